"""The reference stage: moves the actor's own limbs into each pose, ahead of the generator, in threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import ClassVar

from motion.frame import FrameSize
from motion.wardrobe.choose import Choice
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.pieces import Wardrobe
from orchestrator.pipeline.in_flight_frame import InFlightFrame
from orchestrator.pipeline.link import Link, LinkEnded
from orchestrator.pipeline.play import Inbox


class ReferenceStage:
    """Adds `reference` to each frame that has a pose, and `limbs` to every frame.

    One frame at a time: limbs are chosen so that they change rarely, so each choice builds on the one before.

    wardrobes: for each size of picture that a frame's rung may have. limbs: the choice to resume from; None at a
    session's start.
    """

    name: ClassVar[str] = "reference"

    def __init__(self, wardrobes: Mapping[FrameSize, Wardrobe], threads: Executor, limbs: Choice | None) -> None:
        self._wardrobes = wardrobes
        self._threads = threads
        self._limbs = limbs

    async def run(self, inbox: Inbox, outbox: Link[InFlightFrame]) -> None:
        """See `orchestrator.pipeline.play.Stage`."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                frame, waited_seconds = await inbox.take()
            except LinkEnded:
                return
            if frame.no_picture is None:
                frame.enter(waited_seconds)
                await loop.run_in_executor(self._threads, self._draw, frame)
            frame.limbs = self._limbs
            await outbox.put(frame)

    def _draw(self, frame: InFlightFrame) -> None:
        started_s = time.perf_counter()
        assert frame.normalized_pose is not None
        assert frame.rung is not None
        pose = frame.rung.crop.to_crop(frame.normalized_pose)
        drawn = draw_reference(self._wardrobes[frame.rung.size], pose, self._limbs)
        frame.reference, self._limbs = drawn.picture, drawn.choice
        frame.leave(self.name, time.perf_counter() - started_s)
