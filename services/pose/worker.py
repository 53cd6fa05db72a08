"""Estimators in threads of their own: MediaPipe's graphs are not thread-safe, and must not hold up the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from motion.frame import Picture
from services.pose.estimator import Estimate, PoseDetail, PoseEstimator, PoseRules
from serving.heap import give_freed_back

Factory = Callable[[PoseDetail, PoseRules], PoseEstimator]


def make_estimator(detail: PoseDetail, rules: PoseRules) -> PoseEstimator:
    """A `PoseEstimator` without masks, which no client asks for."""
    return PoseEstimator(detail, rules=rules)


class EstimatorWorker:
    """One estimator and the one thread that creates, uses and closes it."""

    def __init__(self, detail: PoseDetail, rules: PoseRules, factory: Factory = make_estimator) -> None:
        self.detail = detail
        self.rules = rules
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pose")
        self._estimator: Future[PoseEstimator] = self._thread.submit(factory, detail, rules)
        self._looking_since_s: float | None = None

    async def started(self) -> None:
        """Returns when the estimator is ready for its first picture; raises what its start raised."""
        await asyncio.wrap_future(self._estimator)

    async def estimate(self, picture: Picture) -> Estimate:
        """The next picture's estimate; `[H, W, 3]` uint8 RGB."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._estimate, picture)

    @property
    def start_failure(self) -> BaseException | None:
        """What the estimator's start raised; None while it starts and once it has started."""
        return self._estimator.exception() if self._estimator.done() else None

    def looking_seconds(self) -> float:
        """For how long it has been looking at the picture in hand; 0 without one."""
        since_s = self._looking_since_s
        return 0.0 if since_s is None else time.perf_counter() - since_s

    def end(self) -> None:
        """Ends the estimator and the thread as soon as the picture in hand is done. Does not wait."""
        with suppress(RuntimeError):  # a second call
            self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def join(self) -> None:
        """Waits until the thread has ended; after `end`."""
        self._thread.shutdown(wait=True)

    def _estimate(self, picture: Picture) -> Estimate:
        self._looking_since_s = time.perf_counter()
        try:
            return self._estimator.result().estimate(picture)
        finally:
            self._looking_since_s = None

    def _close(self) -> None:
        if self._estimator.exception() is None:
            self._estimator.result().close()
            # A graph's networks and buffers are a hundred megabytes, which would stay with the process.
            give_freed_back()


class WorkerPool:
    """Hands out workers, and keeps one of the default kind started, so that most streams need not wait for theirs.

    A used worker is never used again: its tracker knows somebody else's dancer, and resetting a MediaPipe graph loads
    its networks anew, which takes as long as another graph.
    """

    def __init__(self, detail: PoseDetail, rules: PoseRules, factory: Factory = make_estimator) -> None:
        self._default = (detail, rules)
        self._factory = factory
        self._spare: EstimatorWorker | None = None
        self._workers: set[EstimatorWorker] = set()

    async def warm_up(self) -> None:
        """Returns when a worker of the default kind is ready."""
        await self._refill().started()

    async def take(self, detail: PoseDetail, rules: PoseRules) -> EstimatorWorker:
        """A worker that is ready for its first picture. Give it back, whatever happens."""
        if (detail, rules) == self._default and self._spare is not None:
            worker, self._spare = self._spare, None
        else:
            worker = self._made(detail, rules)
        try:
            await worker.started()
        except BaseException:
            self.give_back(worker)
            raise
        if (detail, rules) == self._default:
            self._refill()
        return worker

    @asynccontextmanager
    async def lent(self, detail: PoseDetail, rules: PoseRules) -> AsyncIterator[EstimatorWorker]:
        """`take`, and `give_back` at the end."""
        worker = await self.take(detail, rules)
        try:
            yield worker
        finally:
            self.give_back(worker)

    def give_back(self, worker: EstimatorWorker) -> None:
        """Ends a worker that was taken."""
        self._workers.discard(worker)
        worker.end()

    def trouble(self, *, stuck_seconds: float) -> str:
        """What keeps the pool from its work; "" for nothing. A spare that did not start is replaced by a new one."""
        longest_seconds = max((worker.looking_seconds() for worker in self._workers), default=0.0)
        if longest_seconds > stuck_seconds:
            return f"an estimator has looked at one picture for {longest_seconds:.0f} s"
        failure = None if self._spare is None else self._spare.start_failure
        if self._spare is None or failure is None:
            return ""
        self.give_back(self._spare)
        self._spare = None
        self._refill()
        return f"an estimator did not start: {type(failure).__name__}: {failure}"

    async def close(self) -> None:
        """Ends all workers and waits for their threads."""
        workers, self._workers, self._spare = self._workers, set(), None
        for worker in workers:
            worker.end()
        for worker in workers:
            await asyncio.to_thread(worker.join)

    def _refill(self) -> EstimatorWorker:
        if self._spare is None:
            self._spare = self._made(*self._default)
        return self._spare

    def _made(self, detail: PoseDetail, rules: PoseRules) -> EstimatorWorker:
        worker = EstimatorWorker(detail, rules, self._factory)
        self._workers.add(worker)
        return worker
