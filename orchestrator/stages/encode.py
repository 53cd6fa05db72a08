"""The last stage: pastes the face, lays the stage onto the plate where asked, and encodes; at most one thread hop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from concurrent.futures import Executor
from typing import ClassVar, Final

from motion.face_region import paste_face
from motion.frame import Picture, PictureEncoding
from orchestrator.config import SessionConfig
from orchestrator.pipeline.in_flight_frame import Passage
from orchestrator.pipeline.link import Link
from orchestrator.pipeline.ordered_work import in_order
from orchestrator.pipeline.play import Inbox
from serving.actors.store import Actor
from serving.pictures.codec import encode_picture

_SMALL_PX: Final = 256 * 256
"""A JPEG of so many pixels takes about 0.2 ms with its face: less than a thread costs, which is woken, has to get
the interpreter and wakes the event loop again."""


class EncodeStage:
    """Adds `output`, and `label_map_output` where it was asked for.

    plate: `[H, W, 3]` uint8 of the actor's footage, to lay the picture on; None to send the crop alone.
    """

    name: ClassVar[str] = "encode"

    def __init__(
        self, config: SessionConfig, actor: Actor, plate: Picture | None, threads: Executor, *, at_once: int
    ) -> None:
        self._config = config
        self._actor = actor
        self._plate = plate
        self._threads = threads
        self._at_once = at_once
        self._here = (
            plate is None
            and not config.returns.label_map
            and config.output.encoding is PictureEncoding.JPEG
            and actor.crop.out_width_px * actor.crop.out_height_px <= _SMALL_PX
        )

    async def run(self, inbox: Inbox, outbox: Link[Passage]) -> None:
        """See `orchestrator.pipeline.play.Stage`."""
        await in_order(inbox, outbox, self._begin, at_once=self._at_once)

    def _begin(self, passage: Passage) -> Awaitable[None] | None:
        if passage.no_picture is not None:
            return None
        if self._here:
            self._encode(passage)
            return None
        return asyncio.get_running_loop().run_in_executor(self._threads, self._encode, passage)

    def _encode(self, passage: Passage) -> None:
        started_s = time.perf_counter()
        picture = passage.generated
        assert picture is not None
        if passage.refined_face is not None:
            assert passage.face_region is not None
            picture = paste_face(picture, passage.refined_face, passage.face_region)
        if self._plate is not None:
            picture = self._actor.crop.paste(picture, self._plate)
        output = self._config.output
        passage.output = encode_picture(picture, output.encoding, output.jpeg_quality)
        if self._config.returns.label_map:
            assert passage.label_map is not None
            passage.label_map_output = encode_picture(passage.label_map, PictureEncoding.PNG)
        passage.leave(self.name, time.perf_counter() - started_s)
