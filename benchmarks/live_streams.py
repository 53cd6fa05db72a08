"""Live clients that cost little themselves, so that many of them can load a server from one process.

Each is a camera at a fixed rate, whose frames were encoded, or whose poses were estimated, beforehand. As the real
client's live feed does, it sends its newest frame whenever the session has room, and skips the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from benchmarks.cases import Clip
from client.connection.session import DanceClient
from client.connection.types import Answer, PosedFrame, SentFrame, TransferOptions
from client.poses.dancer_estimator import DancerEstimator, opened_backends
from motion.frame import Frame, FrameSize
from motion.people.dancer_choice import DancerChoice
from motion.pose_choice import PoseBackend, PoseDetail

RATE_HZ: Final = 25.0


def there_and_back(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames once forwards and once backwards: repeated, the dancer never jumps."""
    turned = [*frames, *frames[-2:0:-1]]
    return [replace(frame, sequence=number) for number, frame in enumerate(turned)]


def posed(clip: Clip) -> list[PosedFrame]:
    """Return the clip's frames as poses, estimated in this process in their order."""
    estimator = DancerEstimator(opened_backends({}), PoseBackend.MEDIAPIPE, PoseDetail.HOLISTIC, DancerChoice())
    found = []
    try:
        for frame in clip.frames:
            _, estimate = estimator.estimate(frame.picture, frame.sequence / clip.frame_rate_hz)
            pose = estimate.people[estimate.dancer_index] if estimate.dancer_index >= 0 else None
            size = FrameSize(frame.picture.width_px, frame.picture.height_px)
            found.append(PosedFrame(frame.sequence, pose, size))
    finally:
        estimator.close()
    return found


def newest_due(elapsed_s: float, last: int) -> tuple[int, float]:
    """Return the number of the newest frame after frame `last`, and the seconds until it is there.

    elapsed_s: since frame 0 was there.
    """
    newest = int(elapsed_s * RATE_HZ)
    if newest > last:
        return newest, 0.0
    return last + 1, (last + 1) / RATE_HZ - elapsed_s


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture that arrived. late_s: since the camera had its frame. waits_s: by stage, beside its own work."""

    at_s: float
    late_s: float
    waits_s: dict[str, float]


class LiveStream:
    """One client. `begun` is set once its first picture is there, which came `first_s` after its first frame."""

    def __init__(self, content: Sequence[SentFrame]) -> None:
        self.shown: list[Shown] = []
        self.begun = asyncio.Event()
        self.first_s = float("nan")
        self._content = content
        self._began_s = 0.0
        self._last = -1
        self._running: asyncio.Task[None] | None = None

    def start(self, client: DanceClient, options: TransferOptions) -> None:
        """Open the session; the camera begins when the server has accepted it."""
        self._running = asyncio.create_task(self._run(client, options))

    async def ready(self) -> None:
        """Wait for the first picture. Raises ServerError if the session ends before it."""
        assert self._running is not None
        begun = asyncio.create_task(self.begun.wait())
        await asyncio.wait({begun, self._running}, return_when=asyncio.FIRST_COMPLETED)
        if not self.begun.is_set():
            begun.cancel()
            await self._running

    async def end(self) -> None:
        """Close the session. Raises ServerError if it had failed."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    def __aiter__(self) -> AsyncIterator[SentFrame]:
        return self

    async def __anext__(self) -> SentFrame:
        """The camera's newest frame, as soon as there is one that was not sent."""
        number, seconds = newest_due(time.monotonic() - self._began_s, self._last)
        if seconds:
            await asyncio.sleep(seconds)
        self._last = number
        frame = self._content[number % len(self._content)]
        return replace(frame, sequence=number, captured_at_s=number / RATE_HZ)

    async def _run(self, client: DanceClient, options: TransferOptions) -> None:
        async with client.transfer(options) as session:
            self._began_s = time.monotonic()
            async for answer in session.answers(self):
                self._note(answer)

    def _note(self, answer: Answer) -> None:
        if answer.picture is None:
            return
        now_s = time.monotonic()
        late_s = now_s - self._began_s - answer.sequence / RATE_HZ
        waits_s = {
            spent.stage: spent.queue_seconds + spent.total_seconds - spent.compute_seconds
            for spent in answer.stage_times
        }
        self.shown.append(Shown(now_s, late_s, waits_s))
        if not self.begun.is_set():
            self.first_s = now_s - self._began_s
            self.begun.set()


@dataclass(frozen=True, slots=True)
class Load:
    """What some streams were shown within a time. offered: frames of their cameras."""

    offered: int
    late_ms: list[float]
    waits_ms: dict[str, float]
    """By stage: the median."""

    @classmethod
    def of(cls, streams: Sequence[LiveStream], began_s: float, ended_s: float) -> Load:
        """Collect the pictures that arrived between two moments of `time.monotonic`."""
        shown = [one for stream in streams for one in stream.shown if began_s <= one.at_s < ended_s]
        stages = {stage for one in shown for stage in one.waits_s}
        waits_ms = {
            stage: 1000 * float(np.median([one.waits_s[stage] for one in shown if stage in one.waits_s]))
            for stage in sorted(stages)
        }
        offered = round(len(streams) * (ended_s - began_s) * RATE_HZ)
        return cls(offered, [1000 * one.late_s for one in shown], waits_ms)

    def late_percentile_ms(self, q: float) -> float:
        """Return a percentile of the delays; infinite if nothing was shown."""
        return float(np.percentile(self.late_ms, q)) if self.late_ms else float("inf")

    @property
    def share_shown(self) -> float:
        """Of the offered frames."""
        return len(self.late_ms) / self.offered
