"""`Link`: the short, bounded queue between two tasks of a pipeline."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from serving.errors import first_error

T = TypeVar("T")

MAX_DROPPED_WAITING = 256
"""Dropped items keep their place until they are answered. Beyond this many, the sender has to wait."""


class LinkEnded(Exception):
    """The sender has finished, and every item it sent has been taken."""


class LinkClosed(Exception):
    """The taker has gone: the link accepts no more items."""


class Link(Generic[T]):
    """A queue of at most `depth` items between one sender and one taker. A full link makes its sender wait.

    drop: makes a full link drop its oldest item instead of blocking the sender. It receives that item and returns a
    placeholder, so every item keeps its turn.

    The taker sees the end of the link, from `end` or `fail`, after the last item: earlier items are never lost. Both
    waits can be cancelled without losing an item.
    """

    def __init__(self, depth: int, *, drop: Callable[[T], T] | None = None) -> None:
        if depth < 1:
            raise ValueError(f"a link's depth must be at least one, got {depth}")
        self._depth = depth
        self._drop = drop
        self._items: deque[tuple[T, float]] = deque()
        self._dropped = 0  # dropped items are the oldest: the first `_dropped` of `_items`
        self._ending: Exception | None = None
        self._closed = False
        self._taker: asyncio.Future[None] | None = None
        self._sender: asyncio.Future[None] | None = None

    def __aiter__(self) -> Link[T]:
        return self

    async def __anext__(self) -> tuple[T, float]:
        try:
            return await self.take()
        except LinkEnded:
            raise StopAsyncIteration from None

    async def put(self, item: T) -> None:
        """Add an item, after waiting while the link is full. Raises LinkClosed when the taker has gone."""
        while not self._closed and len(self._items) - self._dropped >= self._depth:
            if self._drop is not None and self._dropped < MAX_DROPPED_WAITING:
                oldest, entered_at = self._items[self._dropped]
                self._items[self._dropped] = (self._drop(oldest), entered_at)
                self._dropped += 1
                break
            self._sender = asyncio.get_running_loop().create_future()
            try:
                await self._sender
            finally:
                self._sender = None
        if self._closed:
            raise LinkClosed
        if self._ending is not None:
            raise RuntimeError("an item was put into a link after its end")
        self._items.append((item, time.perf_counter()))
        _wake(self._taker)

    async def take(self) -> tuple[T, float]:
        """Return the oldest item, and for how many seconds it waited here.

        Raises LinkEnded after the last item, or the error that the sender failed with.
        """
        while not self._items:
            if self._ending is not None:
                raise self._ending
            self._taker = asyncio.get_running_loop().create_future()
            try:
                await self._taker
            finally:
                self._taker = None
        item, entered_at = self._items.popleft()
        self._dropped = max(0, self._dropped - 1)
        _wake(self._sender)
        return item, time.perf_counter() - entered_at

    def end(self) -> None:
        """End the link: the sender has finished."""
        self.fail(LinkEnded())

    def fail(self, error: Exception) -> None:
        """End the link with `error`, which the taker gets after the last item. A second ending is ignored."""
        if self._ending is None:
            self._ending = error
            _wake(self._taker)

    def close(self) -> None:
        """Close the taker's end: waiting items are discarded, and a waiting sender gets LinkClosed."""
        self._closed = True
        self._items.clear()
        self._dropped = 0
        self.end()
        _wake(self._sender)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def run_together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all parts as tasks that end together. Raises the first failure itself; our own errors take precedence."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
        return
    except BaseExceptionGroup as failures:
        failure = first_error(failures)
    raise failure
