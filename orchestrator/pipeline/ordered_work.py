"""Work on several frames at the same time, handed on in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from orchestrator.pipeline.in_flight_frame import Passage
from orchestrator.pipeline.link import Link, LinkEnded, run_together
from orchestrator.pipeline.play import Inbox
from serving.errors import DanceError


async def in_order(
    inbox: Inbox,
    outbox: Link[Passage],
    begin: Callable[[Passage], Awaitable[None] | None],
    *,
    at_once: int,
) -> None:
    """Begins work on each frame as it comes, on at most `at_once` + 2 at a time, and puts finished ones in order.

    begin: starts the work and returns what to wait for, or None for a frame that passes by or is done already. A frame
    whose work fails ends the stage with that failure, after all frames before it were put.
    """
    begun: Link[tuple[Passage, asyncio.Future[None] | None]] = Link(at_once)
    unfinished: set[asyncio.Future[None]] = set()

    before_it = 0  # frames that were begun and not yet put: one that is done passes only where there is none

    async def begin_all() -> None:
        nonlocal before_it
        try:
            while True:
                passage, waited_seconds = await inbox.take()
                passage.enter(waited_seconds)
                work = begin(passage)
                future = None if work is None else asyncio.ensure_future(work)
                if future is None and not before_it:
                    await outbox.put(passage)
                    continue
                if future is not None:
                    unfinished.add(future)
                before_it += 1
                await begun.put((passage, future))
        except (LinkEnded, DanceError) as ending:
            begun.fail(ending)

    async def collect() -> None:
        nonlocal before_it
        async for (passage, work), _ in begun:
            if work is not None:
                await work
                unfinished.discard(work)
            await outbox.put(passage)
            before_it -= 1

    try:
        await run_together(begin_all(), collect())
    finally:
        for work in unfinished:
            work.cancel()
        if unfinished:
            await asyncio.wait(unfinished)
