"""Reading a call ahead: in order, bounded, and never cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from serving.rpc.read_ahead import ReadAhead


class Sender:
    """Sends numbers, and then ends, fails or falls silent."""

    def __init__(self, count: int, *, failure: Exception | None = None, silent: bool = False) -> None:
        self.sent = 0
        self.cancelled = False
        self._count = count
        self._failure = failure
        self._silent = silent

    async def __anext__(self) -> int:
        if self.sent < self._count:
            self.sent += 1
            return self.sent
        if self._failure is not None:
            raise self._failure
        if self._silent:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        raise StopAsyncIteration


def reading(sender: Sender, depth: int = 2) -> ReadAhead[int]:
    return ReadAhead(sender.__anext__, depth=depth, name="test")


async def taken(ahead: ReadAhead[int]) -> AsyncIterator[int]:
    while (item := await ahead.take(5)) is not None:
        yield item


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_items_come_in_order_and_the_end_stays():
    """All items come before the end, and `take` returns None from then on."""
    ahead = reading(Sender(5))
    assert [item async for item in taken(ahead)] == [1, 2, 3, 4, 5]
    assert await ahead.take(5) is None


async def test_a_failure_comes_after_the_items_before_it():
    """What was read before a failure is not lost, and the failure is raised each time."""
    ahead = reading(Sender(2, failure=ValueError("broken")))
    assert (await ahead.take(5), await ahead.take(5)) == (1, 2)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await ahead.take(5)


async def test_no_more_is_read_than_may_wait():
    """The queue takes `depth` items, and one more is read."""
    sender = Sender(100)
    ahead = reading(sender, depth=3)
    await settled()
    assert sender.sent == 4
    ahead.close()


async def test_a_time_limit_does_not_cancel_the_read():
    """`take` raises TimeoutError, and its read continues even after `close`."""
    sender = Sender(0, silent=True)
    ahead = reading(sender)
    with pytest.raises(TimeoutError):
        await ahead.take(0.01)
    ahead.close()
    await settled()
    assert not sender.cancelled
    assert not ahead.task.done()


async def test_stopping_pauses_the_sender_until_the_rest_is_dropped():
    """After `stop` nothing is read; `drop_rest` reads the sender's items to their end."""
    sender = Sender(50)
    ahead = reading(sender)
    await settled()
    ahead.stop()
    await settled()
    assert await ahead.take(5) is None
    assert sender.sent == 3
    await ahead.drop_rest(5)
    assert ahead.task.done()
    assert sender.sent == 50


async def test_closing_ends_the_reading():
    """After `close` no further item is read."""
    sender = Sender(50)
    ahead = reading(sender)
    await settled()
    ahead.close()
    await asyncio.wait({ahead.task}, timeout=60)
    assert ahead.task.done()
    assert sender.sent == 3


async def test_a_failure_from_outside_ends_a_waiting_take():
    """`fail` wakes a waiting `take`; a later end does not replace the first."""
    ahead = reading(Sender(0, silent=True))
    waiting = asyncio.create_task(ahead.take(5))
    await settled()
    ahead.fail(ValueError("the source broke"))
    ahead.fail(None)
    with pytest.raises(ValueError, match="the source broke"):
        await waiting
    ahead.close()
