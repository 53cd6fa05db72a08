"""Estimators in threads of their own: MediaPipe's graphs are not thread-safe, and must not hold up the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from motion.frame import FrameSize, Picture
from motion.people.person_tracking import Follower
from services.pose.backends import Look
from services.pose.estimator import Estimate, PeopleEstimator, followed
from serving.process.memory import give_freed_back

Make = Callable[[Look], PeopleEstimator]


class EstimatorWorker:
    """One estimator and the one thread that creates, uses and closes it.

    follower: tells the people of its pictures apart and keeps to the dancer; None for a backend that finds one person.
    """

    follower: Follower | None = None

    def __init__(self, look: Look, make: Make) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pose")
        self._estimator: Future[PeopleEstimator] = self._thread.submit(make, look)
        self._looking_since_s: float | None = None

    async def started(self) -> None:
        """Returns when the estimator is ready for its first picture; raises what its start raised."""
        await asyncio.wrap_future(self._estimator)

    async def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        """The next picture's estimate; `[H, W, 3]` uint8 RGB. time_s: when it was taken, None where unknown."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._estimate, picture, time_s)

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

    def _estimate(self, picture: Picture, time_s: float | None) -> Estimate:
        self._looking_since_s = time.perf_counter()
        try:
            estimate = self._estimator.result().estimate(picture)
            if self.follower is None:
                return estimate
            return followed(estimate, self.follower, FrameSize(picture.shape[1], picture.shape[0]), time_s)
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

    def __init__(self, default: Look, make: Make) -> None:
        self._default = default
        self._make = make
        self._spare: EstimatorWorker | None = None
        self._workers: set[EstimatorWorker] = set()

    async def warm_up(self) -> None:
        """Returns when a worker of the default kind is ready."""
        await self._refill().started()

    async def take(self, look: Look) -> EstimatorWorker:
        """A worker that is ready for its first picture. Give it back, whatever happens."""
        if look == self._default and self._spare is not None:
            worker, self._spare = self._spare, None
        else:
            worker = self._made(look)
        try:
            await worker.started()
        except BaseException:
            self.give_back(worker)
            raise
        if look == self._default:
            self._refill()
        return worker

    @asynccontextmanager
    async def lent(self, look: Look) -> AsyncIterator[EstimatorWorker]:
        """`take`, and `give_back` at the end."""
        worker = await self.take(look)
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
            self._spare = self._made(self._default)
        return self._spare

    def _made(self, look: Look) -> EstimatorWorker:
        worker = EstimatorWorker(look, self._make)
        self._workers.add(worker)
        return worker
