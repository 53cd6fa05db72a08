"""The label map stage: draws label maps ahead, large ones in threads, so that the generator never waits for one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from concurrent.futures import Executor
from typing import ClassVar

from motion.face_region import cut_face, face_region
from motion.labelmap import draw_label_map
from orchestrator.pipeline.in_flight_frame import InFlightFrame, Remark
from orchestrator.pipeline.ordered_work import SMALL_PX, OrderedStage
from serving.actors.store import Actor


class LabelMapStage(OrderedStage):
    """Adds `label_map`, `face_region` and `face_label` to each frame that has a pose."""

    name: ClassVar[str] = "label_map"

    def __init__(self, actor: Actor, threads: Executor) -> None:
        self._actor = actor
        self._threads = threads

    def _begin(self, frame: InFlightFrame) -> Awaitable[None] | None:
        if frame.no_picture is not None:
            return None
        assert frame.rung is not None
        if frame.rung.size.width_px * frame.rung.size.height_px <= SMALL_PX:
            self._draw(frame)
            return None
        return asyncio.get_running_loop().run_in_executor(self._threads, self._draw, frame)

    def _draw(self, frame: InFlightFrame) -> None:
        started_s = time.perf_counter()
        assert frame.normalized_pose is not None
        assert frame.rung is not None
        crop, rule = frame.rung.crop, self._actor.face_rule
        width_px, height_px = crop.out_width_px, crop.out_height_px
        pose = crop.to_crop(frame.normalized_pose)
        frame.label_map = draw_label_map(pose, width_px, height_px)
        if not crop.contains(frame.normalized_pose):
            frame.remarks.append(Remark.OUT_OF_STAGE)
        if self._actor.face is not None:
            frame.face_region = face_region(pose, rule, width_px, height_px)
            if frame.face_region is None:
                frame.remarks.append(Remark.NO_FACE)
            else:
                frame.face_label = cut_face(frame.label_map, frame.face_region, rule.crop_px)
        frame.leave(self.name, time.perf_counter() - started_s)
