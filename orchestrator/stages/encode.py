"""The encode stage: composes the picture that the client requested, marks it as synthetic, and encodes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from concurrent.futures import Executor
from typing import ClassVar

from motion.frame import PictureEncoding
from orchestrator.pipeline.in_flight_frame import InFlightFrame
from orchestrator.pipeline.ordered_work import SMALL_PX, OrderedStage
from orchestrator.session_config import SessionConfig
from orchestrator.stages.marks import Marks
from orchestrator.stages.scene import Scene
from serving.pictures.codec import encode_picture
from serving.pictures.compositing import with_straight_alpha


class EncodeStage(OrderedStage):
    """Adds `output`, and `label_map_output` and `reference_output` if the client requested them.

    Pictures are marked here and nowhere before, so the generator's previous picture and checkpoints have no mark. A
    label map shows no person, and is not marked.
    """

    name: ClassVar[str] = "encode"

    def __init__(self, config: SessionConfig, scene: Scene, marks: Marks, threads: Executor) -> None:
        self._config = config
        self._scene = scene
        self._marks = marks
        self._threads = threads
        self._here = (
            scene.is_generated_picture
            and not (config.returns.label_map or config.returns.reference)
            and config.output.encoding is PictureEncoding.JPEG
            and scene.size.width_px * scene.size.height_px <= SMALL_PX
        )

    def _begin(self, frame: InFlightFrame) -> Awaitable[None] | None:
        if frame.no_picture is not None:
            return None
        if self._here:
            self._encode(frame)
            return None
        return asyncio.get_running_loop().run_in_executor(self._threads, self._encode, frame)

    def _encode(self, frame: InFlightFrame) -> None:
        started_s = time.perf_counter()
        output = self._config.output
        picture = self._marks.marked(self._scene.picture(frame), frame)
        frame.person = None  # pictures dominate a session's memory
        frame.output = encode_picture(picture, output.encoding, output.jpeg_quality)
        if self._config.returns.label_map:
            assert frame.label_map is not None
            frame.label_map_output = encode_picture(frame.label_map, PictureEncoding.PNG)
        if frame.reference is not None:  # the generator stage discards it unless it was requested
            frame.reference_output = encode_picture(
                self._marks.reference(with_straight_alpha(frame.reference), frame), PictureEncoding.PNG
            )
        frame.leave(self.name, time.perf_counter() - started_s)
