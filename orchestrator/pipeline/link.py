"""`Link`: the short, bounded, counted queue between two tasks of a pipeline."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from serving.errors import DanceError

T = TypeVar("T")

MAX_DROPPED_WAITING = 256
"""Dropped items keep their place until they are answered; a sender who outruns even that has to wait."""


class LinkEnded(Exception):
    """The sender is done and everything it sent has been taken."""


class LinkClosed(Exception):
    """The taker is gone: nothing can be put any more."""


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """passed: items put so far. dropped: how many of them were given up. peak: most whole items that lay here."""

    passed: int
    dropped: int
    peak: int


class Link(Generic[T]):
    """A queue of at most `depth` items between one sender and one taker. A full link makes its sender wait.

    drop: makes a full link give up its oldest item instead of letting the sender wait. It gets that item and returns
    what stays in its place, so that nothing ever loses its turn.

    How the sender ends, by `end` or by `fail`, reaches the taker behind the last item: what was put before is never
    lost. Both waits may be cancelled without losing an item.
    """

    def __init__(self, depth: int, *, drop: Callable[[T], T] | None = None) -> None:
        if depth < 1:
            raise ValueError(f"a link holds at least one item, got a depth of {depth}")
        self._depth = depth
        self._drop = drop
        self._items: deque[tuple[T, float]] = deque()
        self._given_up = 0  # they are the oldest: the first so many of `_items`
        self._ending: Exception | None = None
        self._closed = False
        self._taker: asyncio.Future[None] | None = None
        self._sender: asyncio.Future[None] | None = None
        self._passed = self._dropped = self._peak = 0

    def __aiter__(self) -> Link[T]:
        return self

    async def __anext__(self) -> tuple[T, float]:
        try:
            return await self.take()
        except LinkEnded:
            raise StopAsyncIteration from None

    async def put(self, item: T) -> None:
        """Waits while the link is full. Raises LinkClosed when the taker is gone."""
        while not self._closed and len(self._items) - self._given_up >= self._depth:
            if self._drop is not None and self._given_up < MAX_DROPPED_WAITING:
                oldest, entered_at = self._items[self._given_up]
                self._items[self._given_up] = (self._drop(oldest), entered_at)
                self._given_up += 1
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
            raise RuntimeError("something was put into a link after its end")
        self._items.append((item, time.perf_counter()))
        self._passed += 1
        self._peak = max(self._peak, len(self._items) - self._given_up)
        _wake(self._taker)

    async def take(self) -> tuple[T, float]:
        """The oldest item, and for how many seconds it lay here.

        Raises LinkEnded after the last item, or what the sender failed with.
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
        self._given_up = max(0, self._given_up - 1)
        _wake(self._sender)
        return item, time.perf_counter() - entered_at

    def end(self) -> None:
        """The sender is done."""
        self.fail(LinkEnded())

    def fail(self, error: Exception) -> None:
        """The sender cannot go on: the taker gets `error` after the last item. A second ending is ignored."""
        if self._ending is None:
            self._ending = error
            _wake(self._taker)

    def close(self) -> None:
        """The taker is gone: what lies here is forgotten, and a waiting sender gets LinkClosed."""
        self._closed = True
        self._items.clear()
        self._given_up = 0
        self.end()
        _wake(self._sender)

    @property
    def closed(self) -> bool:
        """Whether the taker is gone."""
        return self._closed

    def statistics(self) -> LinkStatistics:
        """What went through so far."""
        return LinkStatistics(self._passed, self._dropped, self._peak)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def run_together(*parts: Coroutine[Any, Any, None]) -> None:
    """Runs all parts as tasks that live and die together. Raises the first failure itself, ours before others."""
    failure: BaseException
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
        return
    except BaseExceptionGroup as failures:
        failure = _first(failures)
    raise failure


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    ours = failures.subgroup(DanceError)
    first: BaseException = ours or failures
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
