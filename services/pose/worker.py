"""Estimators, each in its own thread: MediaPipe's graphs are not thread-safe and must not block the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from motion.frame import FrameSize, Picture
from motion.people.person_tracking import DancerTracker
from services.pose.backends import EstimatorConfig
from services.pose.estimator import Estimate, PeopleEstimator, tracked
from serving.process.memory import give_freed_back

Make = Callable[[EstimatorConfig], PeopleEstimator]


class EstimatorWorker:
    """One estimator and the thread that creates, uses and closes it.

    tracker: tracks the people and the dancer; None for a backend that finds only one person.
    """

    tracker: DancerTracker | None = None

    def __init__(self, config: EstimatorConfig, make: Make) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pose")
        self._estimator: Future[PeopleEstimator] = self._thread.submit(make, config)
        self._busy_since_s: float | None = None

    async def started(self) -> None:
        """Wait until the estimator is ready for its first picture; raises what its start raised."""
        await asyncio.wrap_future(self._estimator)

    async def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        """Estimate the next picture, `[H, W, 3]` uint8 RGB. time_s: when it was captured; None if unknown."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._estimate, picture, time_s)

    @property
    def start_failure(self) -> BaseException | None:
        """The exception of the estimator's start; None if it has started or is still starting."""
        return self._estimator.exception() if self._estimator.done() else None

    def busy_seconds(self) -> float:
        """Return how long the current picture has taken so far; 0 without one."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.perf_counter() - since_s

    def end(self) -> None:
        """End the estimator and its thread after the current picture. Does not wait."""
        with suppress(RuntimeError):  # a second call
            self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def join(self) -> None:
        """Wait until the thread has ended; call `end` first."""
        self._thread.shutdown(wait=True)

    def _estimate(self, picture: Picture, time_s: float | None) -> Estimate:
        self._busy_since_s = time.perf_counter()
        try:
            estimate = self._estimator.result().estimate(picture)
            if self.tracker is None:
                return estimate
            return tracked(estimate, self.tracker, FrameSize(picture.shape[1], picture.shape[0]), time_s)
        finally:
            self._busy_since_s = None

    def _close(self) -> None:
        if self._estimator.exception() is None:
            self._estimator.result().close()
            # The process would otherwise keep the hundred megabytes of the graph's networks and buffers.
            give_freed_back()


class WorkerPool:
    """Hands out workers, and keeps a spare one with the default config, so that most streams start at once.

    Workers are not reused: the tracker has another stream's state, and resetting a MediaPipe graph reloads its
    networks, which takes as long as creating a new graph.
    """

    def __init__(self, default: EstimatorConfig, make: Make) -> None:
        self._default = default
        self._make = make
        self._spare: EstimatorWorker | None = None
        self._workers: set[EstimatorWorker] = set()

    async def warm_up(self) -> None:
        """Wait until the spare worker is ready."""
        await self._refill().started()

    @asynccontextmanager
    async def lent(self, config: EstimatorConfig) -> AsyncIterator[EstimatorWorker]:
        """Provide a worker that is ready for its first picture, and end it on exit."""
        if config == self._default and self._spare is not None:
            worker, self._spare = self._spare, None
        else:
            worker = self._made(config)
        try:
            await worker.started()
            if config == self._default:
                self._refill()
            yield worker
        finally:
            self._end(worker)

    def trouble(self, *, stuck_seconds: float) -> str:
        """Return the pool's problem, or "". Replaces a spare worker that failed to start."""
        longest_seconds = max((worker.busy_seconds() for worker in self._workers), default=0.0)
        if longest_seconds > stuck_seconds:
            return f"an estimator has been busy with one picture for {longest_seconds:.0f} s"
        failure = None if self._spare is None else self._spare.start_failure
        if self._spare is None or failure is None:
            return ""
        self._end(self._spare)
        self._spare = None
        self._refill()
        return f"an estimator did not start: {type(failure).__name__}: {failure}"

    async def close(self) -> None:
        """End all workers and wait for their threads."""
        workers, self._workers, self._spare = self._workers, set(), None
        for worker in workers:
            worker.end()
        for worker in workers:
            await asyncio.to_thread(worker.join)

    def _refill(self) -> EstimatorWorker:
        if self._spare is None:
            self._spare = self._made(self._default)
        return self._spare

    def _made(self, config: EstimatorConfig) -> EstimatorWorker:
        worker = EstimatorWorker(config, self._make)
        self._workers.add(worker)
        return worker

    def _end(self, worker: EstimatorWorker) -> None:
        self._workers.discard(worker)
        worker.end()
