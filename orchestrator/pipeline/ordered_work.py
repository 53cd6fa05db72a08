"""`OrderedStage`: a stage that works on several frames at the same time and passes them on in order."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import ClassVar, Final

from orchestrator.pipeline.in_flight_frame import InFlightFrame
from orchestrator.pipeline.link import Link, LinkEnded, run_together
from orchestrator.pipeline.play import Inbox
from serving.errors import DanceError

SMALL_PX: Final = 256 * 256
"""Pictures of up to so many pixels are drawn and encoded on the event loop, which takes 1.0 and 0.4 ms. A thread costs
more: it must wake up, load the interpreter into another core's cache, acquire the interpreter lock again and again, and
wake the event loop."""


class OrderedStage(ABC):
    """Starts work on each frame as it arrives, on at most `at_once` + 2 at a time, and passes frames on in order.

    If the work on a frame fails, the stage fails with the same error, after all earlier frames have been passed on.
    """

    name: ClassVar[str]
    at_once: ClassVar[int] = 2

    @abstractmethod
    def _begin(self, frame: InFlightFrame) -> Awaitable[None] | None:
        """Start the work on a frame; return an awaitable, or None if the frame needs no work or is already done."""

    async def run(self, inbox: Inbox, outbox: Link[InFlightFrame]) -> None:
        """See `orchestrator.pipeline.play.Stage`."""
        begun: Link[tuple[InFlightFrame, asyncio.Future[None] | None]] = Link(self.at_once)
        unfinished: set[asyncio.Future[None]] = set()
        waiting = 0  # frames begun and not passed on; a finished frame may skip `begun` only when there are none

        async def begin_all() -> None:
            nonlocal waiting
            try:
                while True:
                    frame, waited_seconds = await inbox.take()
                    frame.enter(waited_seconds)
                    work = self._begin(frame)
                    future = None if work is None else asyncio.ensure_future(work)
                    if future is None and not waiting:
                        await outbox.put(frame)
                        continue
                    if future is not None:
                        unfinished.add(future)
                    waiting += 1
                    await begun.put((frame, future))
            except (LinkEnded, DanceError) as ending:
                begun.fail(ending)

        async def collect() -> None:
            nonlocal waiting
            async for (frame, work), _ in begun:
                if work is not None:
                    await work
                    unfinished.discard(work)
                await outbox.put(frame)
                waiting -= 1

        try:
            await run_together(begin_all(), collect())
        finally:
            for work in unfinished:
                work.cancel()
            if unfinished:
                await asyncio.wait(unfinished)
