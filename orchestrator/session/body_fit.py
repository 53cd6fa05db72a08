"""The body of a whole clip: pose over every frame, then the two-pass fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from motion.body import BodyMeasure, BodyStats, fit_body, measure_body
from orchestrator.pipeline.in_flight_frame import Passage
from orchestrator.pipeline.link import run_together
from orchestrator.pipeline.play import Door, Stage, play
from orchestrator.session.transfer_session import feed
from serving.errors import BadInput, NoBody

_IN_FLIGHT = 3


@dataclass(frozen=True, slots=True)
class FittedClip:
    """The stats of a clip. frames_with_person: somebody was found in so many of `frames`."""

    body: BodyStats
    frames: int
    frames_with_person: int


class ClipFit:
    """Measures the bodies of one clip. A frame that cannot be decoded counts as one without a person.

    next_frame: as `orchestrator.session.transfer_session.Client.next_frame`. max_frames: more are refused, so that
    memory is bounded.
    """

    def __init__(
        self, next_frame: Callable[[float], Awaitable[Passage]], pose: Stage, *, idle_seconds: float, max_frames: int
    ) -> None:
        self._next_frame = next_frame
        self._pose = pose
        self._idle_seconds = idle_seconds
        self._max_frames = max_frames
        self._door = Door(depth=1, in_flight=_IN_FLIGHT, live=False)
        self._measures: list[BodyMeasure] = []
        self._taken = self._frames = self._frames_with_person = 0

    async def run(self) -> FittedClip:
        """Looks at every frame. Raises NoBody where no frame shows a whole body, StageError, BadInput."""
        await run_together(
            feed(self._door, self._next, self._idle_seconds, lambda: self._taken > self._frames),
            play(self._door, [self._pose], self._measure, depth=1),
        )
        if not self._measures:
            raise NoBody(
                f"no whole body was seen in {self._frames} frames; {self._frames_with_person} of them show somebody"
            )
        return FittedClip(fit_body(self._measures), self._frames, self._frames_with_person)

    async def _next(self, seconds: float) -> Passage:
        passage = await self._next_frame(seconds)
        self._taken += 1
        if self._taken > self._max_frames:
            raise BadInput("frame", f"a clip may have at most {self._max_frames} frames")
        return passage

    async def _measure(self, passage: Passage) -> None:
        self._door.answered(passage)
        self._frames += 1
        if passage.source_pose is None or passage.size is None:
            return
        self._frames_with_person += 1
        measure = measure_body(passage.source_pose, passage.size)
        if measure is not None:
            self._measures.append(measure)
