"""Batches: which items run together, and which wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from services.face.batcher import Batched, Batcher
from serving.errors import ActorUnusable, AtCapacity


class HeldWorker:
    """Records its batches; each waits until it is released."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.released = threading.Semaphore(0)
        self._started = threading.Semaphore(0)

    def run(self, key: str, items: Sequence[int]) -> list[int]:
        """Double the items of every key except "bad"."""
        self.batches.append((key, list(items)))
        self._started.release()
        self.released.acquire()
        if key == "bad":
            raise ActorUnusable("bad is damaged")
        return [2 * item for item in items]

    async def started(self) -> None:
        """Wait until one more batch has begun."""
        await asyncio.to_thread(self._started.acquire)


@asynccontextmanager
async def batching(
    worker: HeldWorker, max_batch: int = 8, max_waiting: int = 64
) -> AsyncIterator[Batcher[str, int, int]]:
    """A batcher that is closed at the end, whatever its worker waits for."""
    batcher: Batcher[str, int, int] = Batcher(worker.run, max_batch=max_batch, max_waiting=max_waiting)
    try:
        yield batcher
    finally:
        worker.released.release(100)
        await batcher.close()


def ask(batcher: Batcher[str, int, int], key: str, item: int) -> asyncio.Task[Batched[int]]:
    """The request of one session."""
    return asyncio.create_task(batcher.submit(key, item))


async def test_the_first_starts_alone_and_at_once():
    """An item that finds the worker idle starts at once, alone; those that arrive during its run share the next."""
    worker = HeldWorker()
    async with batching(worker) as batcher:
        first = ask(batcher, "a", 1)
        await worker.started()
        others = [ask(batcher, "a", item) for item in (2, 3, 4)]
        await asyncio.sleep(0)
        worker.released.release(2)
        assert (await first).batch_size == 1
        answers = await asyncio.gather(*others)
        assert worker.batches == [("a", [1]), ("a", [2, 3, 4])]
        assert [(answer.result, answer.batch_size) for answer in answers] == [(4, 3), (6, 3), (8, 3)]
        assert all(answer.compute_seconds > 0 for answer in answers)


async def test_keys_take_turns_and_never_mix():
    """A batch has one key; a key with many waiting items does not delay another key's turn."""
    worker = HeldWorker()
    async with batching(worker, max_batch=2) as batcher:
        tasks = [ask(batcher, "a", 1)]
        await worker.started()
        tasks += [ask(batcher, key, item) for key, item in (("a", 2), ("a", 3), ("a", 4), ("b", 5))]
        await asyncio.sleep(0)
        worker.released.release(10)
        await asyncio.gather(*tasks)
        assert worker.batches == [("a", [1]), ("a", [2, 3]), ("b", [5]), ("a", [4])]


async def test_a_full_queue_refuses():
    """Beyond the bound a caller is refused at once; the others are served."""
    worker = HeldWorker()
    async with batching(worker, max_waiting=1) as batcher:
        first = ask(batcher, "a", 1)
        await worker.started()
        second = ask(batcher, "a", 2)
        await asyncio.sleep(0)
        with pytest.raises(AtCapacity):
            await batcher.submit("a", 3)
        worker.released.release(2)
        assert [(await task).result for task in (first, second)] == [2, 4]


async def test_a_failure_reaches_its_own_batch_only():
    """Every caller in the failed batch gets its error; the next batch runs."""
    worker = HeldWorker()
    async with batching(worker) as batcher:
        first = ask(batcher, "a", 1)
        await worker.started()
        bad = [ask(batcher, "bad", 2), ask(batcher, "bad", 3)]
        good = ask(batcher, "good", 4)
        await asyncio.sleep(0)
        worker.released.release(3)
        for task in bad:
            with pytest.raises(ActorUnusable, match="damaged"):
                await task
        assert (await first).result == 2
        assert (await good).result == 8


async def test_who_goes_away_takes_the_item_back():
    """A caller that is cancelled before its batch began costs no work."""
    worker = HeldWorker()
    async with batching(worker) as batcher:
        first = ask(batcher, "a", 1)
        await worker.started()
        gone, stays = ask(batcher, "a", 2), ask(batcher, "a", 3)
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        worker.released.release(2)
        await asyncio.gather(first, stays)
        assert worker.batches == [("a", [1]), ("a", [3])]


async def test_closing_cancels_who_waits():
    """After closing, no caller waits forever."""
    worker = HeldWorker()
    async with batching(worker) as batcher:
        first = ask(batcher, "a", 1)
        await worker.started()
        second = ask(batcher, "a", 2)
        await asyncio.sleep(0)
    assert (await first).result == 2
    assert second.cancelled()
