"""A task that runs while a context lasts, and a thread that ends with the task that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from threading import Event
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run `work` in a task while the context lasts; on leaving, cancel it.

    Raises the error that ended the work earlier, unless the context ends with an error of its own.
    """
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        # Not `await task`: a cancellation of ours that arrives now must not pass for the task's.
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def in_stoppable_thread(work: Callable[[Event], ResultT]) -> ResultT:
    """Run `work` in a thread. On cancellation, set its event, and wait until it has ended.

    Raises what `work` raises; after a cancellation that is dropped, and CancelledError raised instead.
    """
    stopped = Event()
    running: asyncio.Future[Any] = asyncio.ensure_future(asyncio.to_thread(work, stopped))
    try:
        result: ResultT = await asyncio.shield(running)
        return result
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait({running})
        if not running.cancelled():
            running.exception()  # it is expected, and asked for here only
        raise
