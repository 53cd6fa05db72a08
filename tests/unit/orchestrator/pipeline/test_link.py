"""`Link`: bounded, in order, and lossless until its end."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.pipeline.link import MAX_DROPPED_WAITING, Link, LinkClosed, LinkEnded, run_together
from serving.errors import StageError


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_full_link_makes_its_sender_wait() -> None:
    """The third item waits until one of two is taken; order is kept."""
    link: Link[int] = Link(2)
    await link.put(0)
    await link.put(1)
    third = asyncio.create_task(link.put(2))
    await turns()
    assert not third.done()
    assert (await link.take())[0] == 0
    await third
    assert [(await link.take())[0] for _ in range(2)] == [1, 2]


async def test_end_and_failure_come_after_the_last_item() -> None:
    """Items put before the end are still taken; then every take raises the end or the failure."""
    ended: Link[int] = Link(3)
    failed: Link[int] = Link(3)
    for link in (ended, failed):
        await link.put(1)
    ended.end()
    failed.fail(StageError("pose", 7, "gone"))
    failed.end()
    assert [item async for item, _ in ended] == [1]
    assert (await failed.take())[0] == 1
    for _ in range(2):
        with pytest.raises(StageError, match="stage pose failed at frame 7: gone"):
            await failed.take()
        with pytest.raises(LinkEnded):
            await ended.take()


async def test_waiting_taker_hears_of_the_end() -> None:
    """A waiting taker is woken by an item, by the end and by a failure."""
    for ending in (LinkEnded(), ValueError("broken")):
        link: Link[int] = Link(1)
        taking = asyncio.create_task(link.take())
        await turns()
        link.fail(ending)
        with pytest.raises(type(ending)):
            await taking


async def test_cancelled_taker_loses_nothing() -> None:
    """A cancelled take leaves the item for the next one, even if both happen in the same turn of the loop."""
    link: Link[int] = Link(1)
    taking = asyncio.create_task(link.take())
    await turns()
    await link.put(5)
    taking.cancel()
    await asyncio.wait({taking})
    assert taking.cancelled()
    assert (await link.take())[0] == 5


async def test_closing_frees_a_waiting_sender() -> None:
    """When the taker has gone, a waiting sender gets LinkClosed, and so does every later one."""
    link: Link[int] = Link(1)
    await link.put(0)
    waiting = asyncio.create_task(link.put(1))
    await turns()
    link.close()
    with pytest.raises(LinkClosed):
        await waiting
    with pytest.raises(LinkClosed):
        await link.put(2)


async def test_dropped_items_keep_their_place() -> None:
    """A dropping link drops its oldest whole item; the placeholder is taken in its turn."""
    link: Link[int] = Link(2, drop=lambda item: -item)
    for item in range(1, 6):
        await link.put(item)
    assert [(await link.take())[0] for _ in range(5)] == [-1, -2, -3, 4, 5]


async def test_even_dropped_items_are_bounded() -> None:
    """A sender that outruns the answers to dropped items has to wait."""
    link: Link[int] = Link(1, drop=lambda item: -1)
    for item in range(MAX_DROPPED_WAITING + 1):
        await link.put(item)
    waiting = asyncio.create_task(link.put(0))
    await turns()
    assert not waiting.done()
    await link.take()
    await waiting


async def test_link_needs_room() -> None:
    """A depth below one is refused."""
    with pytest.raises(ValueError, match="at least one"):
        Link(0)


async def test_parts_live_and_die_together() -> None:
    """The first of our own errors is raised itself, and the other parts are cancelled."""
    cancelled = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def fails() -> None:
        await turns()
        raise StageError("face", 3, "gone")

    with pytest.raises(StageError, match="face"):
        await run_together(waits(), run_together(waits(), fails()))
    assert cancelled.is_set()
