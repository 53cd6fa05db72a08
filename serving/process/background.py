"""A task that runs while a context lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


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
