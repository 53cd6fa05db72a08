"""Measure the body in a whole clip: pose on every frame, then the two-pass fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from motion.body import BodyMeasure, BodyStats, fit_body, measure_body
from orchestrator.pipeline.in_flight_frame import InFlightFrame
from orchestrator.pipeline.link import run_together
from orchestrator.pipeline.play import Door, Stage, feed, play
from serving.errors import BadInput, NoBody

_IN_FLIGHT = 3


@dataclass(frozen=True, slots=True)
class FittedClip:
    """The body stats of a clip. frames_with_person: how many of `frames` show a person."""

    body: BodyStats
    frames: int
    frames_with_person: int


class ClipFit:
    """Measures the body in one clip. A frame that cannot be decoded counts as one without a person.

    next_frame: see `orchestrator.session.transfer_session.Client.next_frame`. max_frames: the limit that bounds memory.
    """

    def __init__(
        self,
        next_frame: Callable[[float], Awaitable[InFlightFrame | None]],
        pose: Stage,
        *,
        idle_seconds: float,
        max_frames: int,
    ) -> None:
        self._next_frame = next_frame
        self._pose = pose
        self._idle_seconds = idle_seconds
        self._max_frames = max_frames
        self._door = Door(depth=1, in_flight=_IN_FLIGHT, live=False)
        self._measures: list[BodyMeasure] = []
        self._taken = self._frames = self._frames_with_person = 0

    async def run(self) -> FittedClip:
        """Measure every frame. Raises NoBody if no frame shows a whole body, StageError, BadInput."""
        await run_together(
            feed(self._door, self._next, self._idle_seconds, lambda: self._taken > self._frames),
            play(self._door, [self._pose], self._measure, depth=1),
        )
        if not self._measures:
            raise NoBody(
                f"no whole body was seen in {self._frames} frames; {self._frames_with_person} of them show a person"
            )
        return FittedClip(fit_body(self._measures), self._frames, self._frames_with_person)

    async def _next(self, seconds: float) -> InFlightFrame | None:
        frame = await self._next_frame(seconds)
        if frame is None:
            self._door.link.end()
            return None
        self._taken += 1
        if self._taken > self._max_frames:
            raise BadInput("frame", f"a clip may have at most {self._max_frames} frames")
        return frame

    async def _measure(self, frame: InFlightFrame) -> None:
        self._door.answered(frame)
        self._frames += 1
        if frame.source_pose is None or frame.size is None:
            return
        self._frames_with_person += 1
        measure = measure_body(frame.source_pose, frame.size)
        if measure is not None:
            self._measures.append(measure)
