"""The checkpoint stage: adds a checkpoint to every n-th answer, if the client requested them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import ClassVar

from orchestrator.pipeline.in_flight_frame import InFlightFrame
from orchestrator.pipeline.ordered_work import OrderedStage


class CheckpointStage(OrderedStage):
    """Adds `checkpoint` to every `every_frames`-th frame, with or without a picture.

    seal: makes the checkpoint after a frame; it runs in a thread.
    """

    name: ClassVar[str] = "checkpoint"
    at_once: ClassVar[int] = 1

    def __init__(self, seal: Callable[[InFlightFrame], bytes], every_frames: int, threads: Executor) -> None:
        self._seal = seal
        self._every_frames = every_frames
        self._threads = threads
        self._frames = 0

    def _begin(self, frame: InFlightFrame) -> Awaitable[None] | None:
        self._frames += 1
        if self._frames % self._every_frames:
            return None
        return asyncio.get_running_loop().run_in_executor(self._threads, self._add, frame)

    def _add(self, frame: InFlightFrame) -> None:
        frame.checkpoint = self._seal(frame)
