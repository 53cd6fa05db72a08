"""Draws label maps ahead, in threads, so that the generator never waits for one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from concurrent.futures import Executor
from typing import ClassVar

from motion.face_region import cut_face, face_region
from motion.labelmap import draw_label_map
from orchestrator.pipeline.in_flight_frame import Passage, Remark
from orchestrator.pipeline.link import Link
from orchestrator.pipeline.ordered_work import in_order
from orchestrator.pipeline.play import Inbox
from serving.actors.store import Actor


class LabelMapStage:
    """Adds `label_map`, and where the face will be with its crop of the label map, to each frame that has a pose."""

    name: ClassVar[str] = "label_map"

    def __init__(self, actor: Actor, threads: Executor, *, at_once: int) -> None:
        self._actor = actor
        self._threads = threads
        self._at_once = at_once

    async def run(self, inbox: Inbox, outbox: Link[Passage]) -> None:
        """See `orchestrator.pipeline.play.Stage`."""
        await in_order(inbox, outbox, self._begin, at_once=self._at_once)

    def _begin(self, passage: Passage) -> Awaitable[None] | None:
        if passage.no_picture is not None:
            return None
        return asyncio.get_running_loop().run_in_executor(self._threads, self._draw, passage)

    def _draw(self, passage: Passage) -> None:
        started_s = time.perf_counter()
        assert passage.normalized_pose is not None
        crop, rule = self._actor.crop, self._actor.face_rule
        width_px, height_px = crop.out_width_px, crop.out_height_px
        pose = crop.to_crop(passage.normalized_pose)
        passage.label_map = draw_label_map(pose, width_px, height_px)
        if not crop.contains(passage.normalized_pose):
            passage.remarks.append(Remark.OUT_OF_STAGE)
        if self._actor.face is not None:
            passage.face_region = face_region(pose, rule, width_px, height_px)
            if passage.face_region is None:
                passage.remarks.append(Remark.NO_FACE)
            else:
                passage.face_label = cut_face(passage.label_map, passage.face_region, rule.crop_px)
        passage.leave(self.name, time.perf_counter() - started_s)
