"""Adds a checkpoint to every n-th answer, where the client asked for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import ClassVar

from orchestrator.pipeline.in_flight_frame import Passage
from orchestrator.pipeline.link import Link
from orchestrator.pipeline.ordered_work import in_order
from orchestrator.pipeline.play import Inbox


class CheckpointStage:
    """Adds `checkpoint` to every `every_frames`-th frame, whatever its answer is.

    seal: makes the checkpoint behind a frame; run in a thread.
    """

    name: ClassVar[str] = "checkpoint"

    def __init__(self, seal: Callable[[Passage], bytes], every_frames: int, threads: Executor) -> None:
        self._seal = seal
        self._every_frames = every_frames
        self._threads = threads
        self._frames = 0

    async def run(self, inbox: Inbox, outbox: Link[Passage]) -> None:
        """See `orchestrator.pipeline.play.Stage`."""
        await in_order(inbox, outbox, self._begin, at_once=1)

    def _begin(self, passage: Passage) -> Awaitable[None] | None:
        self._frames += 1
        if self._frames % self._every_frames:
            return None
        return asyncio.get_running_loop().run_in_executor(self._threads, self._add, passage)

    def _add(self, passage: Passage) -> None:
        passage.checkpoint = self._seal(passage)
