"""Estimators at work in threads, so that they do not block the event loop.

An estimator has one picture at a time, and the pictures of all streams take turns in the threads they share: a slow
stream delays the others by its one picture at most.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from motion.frame import Picture
from motion.pose_choice import PoseBackend
from services.pose.backends import EstimatorConfig
from services.pose.estimator import Estimate, PeopleEstimator
from serving.errors import AtCapacity, BadInput

Make = Callable[[EstimatorConfig, bytes], PeopleEstimator]


class EstimatorWorker:
    """The estimator of one stream, which is created, used and closed in `threads`, by one thread at a time.

    own_thread: `threads` is a single thread for this estimator, and ends with it.

    closed: done once the estimator is closed.
    """

    def __init__(self, make: Callable[[], PeopleEstimator], threads: ThreadPoolExecutor, *, own_thread: bool) -> None:
        self.closed: Future[None] = Future()
        self._threads = threads
        self.own_thread = own_thread
        self._estimator = threads.submit(make)
        self._last: Future[Any] = self._estimator
        self._busy_since_s: float | None = None
        self._ended = False

    async def started(self) -> None:
        """Wait until the estimator is ready for its first picture; raises what its start raised."""
        await asyncio.wrap_future(self._estimator)

    async def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        """Estimate the next picture, `[H, W, 3]` uint8 RGB. time_s: when it was captured; None if unknown."""
        estimate = self._threads.submit(self._estimate, picture, time_s)
        self._last = estimate
        return await asyncio.wrap_future(estimate)

    def busy_seconds(self) -> float:
        """Return how long the current picture has taken so far; 0 without one."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.perf_counter() - since_s

    def end(self) -> None:
        """Close the estimator after the current picture. Does not wait; a second call does nothing."""
        if not self._ended:
            self._ended = True
            self._last.add_done_callback(lambda _: self._threads.submit(self._close))

    def _estimate(self, picture: Picture, time_s: float | None) -> Estimate:
        self._busy_since_s = time.perf_counter()
        try:
            return self._estimator.result().estimate(picture, time_s)
        finally:
            self._busy_since_s = None

    def _close(self) -> None:
        try:
            if not self._estimator.cancelled() and self._estimator.exception() is None:
                self._estimator.result().close()
        finally:
            if self.own_thread:
                self._threads.shutdown(wait=False)
            self.closed.set_result(None)


class WorkerPool:
    """Provides an estimator for each stream, and the threads that all of them share.

    default: the config of the estimators that test whether estimators start. threads: at most as many pictures are
    estimated at the same time; 0 for one thread for each core of this process. Each estimator of MEDIAPIPE_SOLUTION has
    a thread of its own instead, because its start takes as long as ten pictures of others; max_solutions: the largest
    number of those, since each has networks of its own in memory.
    """

    def __init__(self, default: EstimatorConfig, make: Make, threads: int = 0, *, max_solutions: int = 4) -> None:
        self._default = default
        self._make = make
        self._max_solutions = max_solutions
        self._threads = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)), thread_name_prefix="pose")
        self._workers: set[EstimatorWorker] = set()
        self._start_failure: Exception | None = None
        self._retry: asyncio.Task[None] | None = None

    async def warm_up(self) -> None:
        """Start an estimator and close it again: the networks that estimators share are then ready."""
        async with self.lent(self._default):
            pass

    @asynccontextmanager
    async def lent(self, config: EstimatorConfig, state: bytes = b"") -> AsyncIterator[EstimatorWorker]:
        """Provide a worker that is ready for its first picture, and end it on exit.

        state: the `state_after` of another estimator, which this one continues. Raises BadInput if it is none, and
        AtCapacity if all places of MEDIAPIPE_SOLUTION are taken.
        """
        own_thread = config.backend is PoseBackend.MEDIAPIPE_SOLUTION
        if own_thread and sum(worker.own_thread for worker in self._workers) >= self._max_solutions:
            raise AtCapacity(f"pose: all {self._max_solutions} streams of {config.backend.value} are in use")
        threads = ThreadPoolExecutor(1, thread_name_prefix="solution") if own_thread else self._threads
        worker = EstimatorWorker(partial(self._make, config, state), threads, own_thread=own_thread)
        self._workers.add(worker)
        worker.closed.add_done_callback(lambda _: self._workers.discard(worker))
        try:
            try:
                await worker.started()
            except Exception as error:
                if state and isinstance(error, ValueError):
                    raise BadInput("config.state", f"is {error}") from error
                self._start_failure = error
                raise
            self._start_failure = None
            yield worker
        finally:
            worker.end()

    async def trouble(self, *, stuck_seconds: float) -> str:
        """Return the pool's problem, or "". Tries to start an estimator again if the last one did not start."""
        longest_seconds = max((worker.busy_seconds() for worker in tuple(self._workers)), default=0.0)
        if longest_seconds > stuck_seconds:
            return f"an estimator has been busy with one picture for {longest_seconds:.0f} s"
        failure = self._start_failure
        if failure is None:
            return ""
        # A service that is not SERVING gets no stream that could show that it has recovered.
        if self._retry is None or self._retry.done():
            self._retry = asyncio.create_task(self._start_again())
        return f"an estimator did not start: {type(failure).__name__}: {failure}"

    async def close(self) -> None:
        """End all estimators, and wait for them and for the threads."""
        if self._retry is not None:
            self._retry.cancel()
        workers = tuple(self._workers)
        for worker in workers:
            worker.end()
        for worker in workers:
            await asyncio.wrap_future(worker.closed)
        await asyncio.to_thread(self._threads.shutdown)

    async def _start_again(self) -> None:
        with suppress(Exception):  # it is kept as `_start_failure`
            await self.warm_up()
