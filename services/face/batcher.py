"""`Batcher`: runs concurrent requests in batches, without a timer."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from serving.errors import AtCapacity

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Batched(NamedTuple, Generic[Result]):
    """One item's result, its equal share of the batch's compute time, and the size of the batch."""

    result: Result
    compute_seconds: float
    batch_size: int


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    answer: asyncio.Future[Batched[Result]]


class Batcher(Generic[Key, Item, Result]):
    """Runs items in batches of one key, one batch at a time, in a worker thread.

    An item that arrives while the worker is idle starts at once, alone. Items that arrive while a batch runs form the
    next batch of their key, so batches grow with the load. Keys take turns.

    run: called in the worker thread with a key and up to `max_batch` items; returns one result per item, in order. Its
    exception goes to all callers of that batch.
    worker: the single thread that runs batches; work submitted to it never overlaps with a batch.
    """

    def __init__(self, run: Callable[[Key, Sequence[Item]], list[Result]], *, max_batch: int, max_waiting: int) -> None:
        self._run = run
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: OrderedDict[Key, deque[_Waiting[Item, Result]]] = OrderedDict()
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="face")
        self._draining: asyncio.Task[None] | None = None
        self._running_since_s: float | None = None

    def waiting(self) -> int:
        """Return the number of items that no batch has taken yet."""
        return sum(len(queue) for queue in self._waiting.values())

    def running_seconds(self) -> float:
        """Return how long the current batch has been running; 0 without one."""
        since_s = self._running_since_s
        return 0.0 if since_s is None else time.perf_counter() - since_s

    async def submit(self, key: Key, item: Item) -> Batched[Result]:
        """Return the result of `item`. Raises AtCapacity if too many items wait, and what `run` raises.

        A caller that is cancelled before its batch began withdraws its item.
        """
        if self.waiting() >= self._max_waiting:
            raise AtCapacity(f"{self._max_waiting} faces are already waiting")
        answer: asyncio.Future[Batched[Result]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(_Waiting(item, answer))
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._drain(), name="batches")
        return await answer

    async def close(self) -> None:
        """Cancel waiting items, and wait for the running batch."""
        for queue in self._waiting.values():
            for waiting in queue:
                waiting.answer.cancel()
        self._waiting.clear()
        if self._draining is not None:
            await self._draining
        await asyncio.to_thread(self.worker.shutdown)

    async def _drain(self) -> None:
        while self._waiting:
            key, queue = self._waiting.popitem(last=False)
            batch: list[_Waiting[Item, Result]] = []
            while queue and len(batch) < self._max_batch:
                waiting = queue.popleft()
                if not waiting.answer.done():
                    batch.append(waiting)
            if queue:
                self._waiting[key] = queue
            if batch:
                await self._run_batch(key, batch)

    async def _run_batch(self, key: Key, batch: list[_Waiting[Item, Result]]) -> None:
        def timed() -> tuple[list[Result], float]:
            started = time.perf_counter()
            results = self._run(key, [waiting.item for waiting in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"run returned {len(results)} results for {len(batch)} items")
            return results, time.perf_counter() - started

        self._running_since_s = time.perf_counter()
        try:
            results, seconds = await asyncio.get_running_loop().run_in_executor(self.worker, timed)
        except Exception as error:
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        finally:
            self._running_since_s = None
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(Batched(result, seconds / len(batch), len(batch)))
