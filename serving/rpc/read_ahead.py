"""A workaround for grpcio: a cancelled read leaks memory, so a separate task reads each call and is never cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

ItemT = TypeVar("ItemT")

_reading: Final[set[asyncio.Task[None]]] = set()
"""asyncio keeps only weak references to its tasks."""


class ReadAhead(Generic[ItemT]):
    """Reads one half of a call ahead, in a task that is never cancelled; time limits apply to the queue that it fills.

    The task ends with its call, so it may outlive the code that used it.

    read: awaits the next item; raises StopAsyncIteration after the last one. depth: how many items may wait in the
    queue; beyond that, the sender waits too.
    """

    def __init__(self, read: Callable[[], Awaitable[ItemT]], *, depth: int, name: str) -> None:
        self._items: asyncio.Queue[ItemT | None] = asyncio.Queue()  # None: see `_failure`
        self._room = asyncio.Semaphore(depth)
        self._ended = False
        self._failure: Exception | None = None
        self._drops_rest = False
        self._decided = asyncio.Event()
        self.task = asyncio.create_task(self._read(read), name=name)
        _reading.add(self.task)
        self.task.add_done_callback(_reading.discard)

    async def _read(self, read: Callable[[], Awaitable[ItemT]]) -> None:
        try:
            while True:
                item = await read()
                if not self._ended:
                    await self._room.acquire()
                if not self._ended:
                    self._items.put_nowait(item)
                del item  # it may be large, and the next one may take long to arrive
                if self._ended:
                    await self._decided.wait()
                    if not self._drops_rest:
                        return
        except StopAsyncIteration:
            self.fail(None)
        except Exception as error:
            self.fail(error)

    async def take(self, within_seconds: float | None = None) -> ItemT | None:
        """Return the next item; None after the last one. May be cancelled without losing an item.

        Raises TimeoutError when none comes in time, and the error that ended the reading, after all items before it.
        """
        if self._items.empty():
            # Not wait_for: in Python 3.11 it loses a cancellation that meets an arriving item.
            async with asyncio.timeout(within_seconds):
                item = await self._items.get()
        else:
            item = self._items.get_nowait()
        if item is not None:
            self._room.release()
            return item
        self._items.put_nowait(None)  # for later calls
        if self._failure is not None:
            raise self._failure
        return None

    def fail(self, failure: Exception | None) -> None:
        """End `take` after the queued items, with `failure` or with None. Only the first call has an effect."""
        if not self._ended:
            self._ended = True
            self._failure = failure
            self._items.put_nowait(None)

    def stop(self) -> None:
        """Drop the queued items, and end `take`. Reading pauses, so the sender waits.

        `drop_rest` or `close` must follow.
        """
        while not self._items.empty():
            self._items.get_nowait()
        if self._ended:
            self._items.put_nowait(None)
        self.fail(None)
        self._room.release()

    async def drop_rest(self, within_seconds: float) -> None:
        """Stop, then read the sender's remaining items and drop them, until their end or for `within_seconds`."""
        self.stop()
        self._drops_rest = True
        self._decided.set()
        await asyncio.wait({self.task}, timeout=within_seconds)

    def close(self) -> None:
        """Stop, and let the task end after its current read."""
        self.stop()
        self._drops_rest = False
        self._decided.set()
