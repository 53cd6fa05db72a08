"""Estimators in threads, without networks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from motion.frame import Picture
from motion.pose_choice import PoseBackend, PoseDetail
from services.pose.backends import EstimatorConfig
from services.pose.estimator import Estimate, PeopleEstimator, PoseRules, Spent
from services.pose.worker import WorkerPool
from serving.errors import AtCapacity

CONFIG = EstimatorConfig(PoseBackend.MEDIAPIPE, PoseDetail.BODY, PoseRules())
SOLUTION = EstimatorConfig(PoseBackend.MEDIAPIPE_SOLUTION, PoseDetail.BODY, PoseRules())
PICTURE: Picture = np.zeros((4, 4, 3), np.uint8)
PATIENCE_SECONDS = 60


@dataclass
class Fake:
    """Notes its name for every picture, once it is released."""

    name: str
    seen: list[str]
    free: threading.Event = field(default_factory=threading.Event)
    busy: threading.Event = field(default_factory=threading.Event)
    closed: bool = False
    detail: PoseDetail = PoseDetail.BODY
    spent: Spent = field(default_factory=Spent)

    def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        self.busy.set()
        assert self.free.wait(PATIENCE_SECONDS)
        assert not self.closed
        self.seen.append(f"{self.name} in {threading.current_thread().name.rpartition('_')[0]}")
        return Estimate([], -1, 0.0)

    def close(self) -> None:
        self.closed = True


def lending(*fakes: Fake) -> Callable[[EstimatorConfig, bytes], PeopleEstimator]:
    """Return a maker of these estimators, in this order."""
    rest = list(fakes)
    return lambda config, state: rest.pop(0)


def pair(*, held: bool) -> tuple[Fake, Fake, list[str]]:
    """Return two estimators and what they have seen; held: the first one waits until it is released."""
    seen: list[str] = []
    one, two = Fake("one", seen), Fake("two", seen)
    two.free.set()
    if not held:
        one.free.set()
    return one, two, seen


async def test_a_slow_stream_does_not_stop_another():
    """While one estimator is held, the other one answers in the remaining thread."""
    one, two, seen = pair(held=True)
    pool = WorkerPool(CONFIG, lending(one, two), threads=2)
    async with pool.lent(CONFIG) as slow, pool.lent(CONFIG) as quick:
        waiting = asyncio.create_task(slow.estimate(PICTURE))
        for _ in range(5):
            await quick.estimate(PICTURE)
        assert seen == ["two in pose"] * 5
        one.free.set()
        await waiting
    await pool.close()
    assert one.closed
    assert two.closed


async def test_streams_take_turns_in_one_thread():
    """A stream that always has a picture ready does not get the thread twice while another one waits for it."""
    one, two, seen = pair(held=False)
    pool = WorkerPool(CONFIG, lending(one, two), threads=1)

    async with pool.lent(CONFIG) as first, pool.lent(CONFIG) as second:

        async def four(worker):
            for _ in range(4):
                await worker.estimate(PICTURE)

        await asyncio.gather(four(first), four(second))
    await pool.close()
    assert seen == ["one in pose", "two in pose"] * 4


async def test_the_solution_has_a_thread_of_its_own():
    """Its start takes long, so it does not take the threads that all streams share."""
    one, two, seen = pair(held=True)
    pool = WorkerPool(CONFIG, lending(one, two), threads=1)
    async with pool.lent(SOLUTION) as slow, pool.lent(CONFIG) as quick:
        waiting = asyncio.create_task(slow.estimate(PICTURE))
        await quick.estimate(PICTURE)
        one.free.set()
        await waiting
    await pool.close()
    assert seen == ["two in pose", "one in solution"]


async def test_only_some_streams_may_use_the_solution():
    """Each has networks of its own in memory, so a further one is refused until one is closed; others are not."""
    one, two, _ = pair(held=False)
    pool = WorkerPool(CONFIG, lending(one, two, Fake("three", [])), max_solutions=1)
    async with pool.lent(SOLUTION) as first, pool.lent(CONFIG):
        with pytest.raises(AtCapacity, match="all 1 streams of mediapipe-solution"):
            async with pool.lent(SOLUTION):
                pass
    await asyncio.wrap_future(first.closed)
    async with pool.lent(SOLUTION):
        pass
    await pool.close()


async def test_an_estimator_is_closed_after_its_picture():
    """A stream that is cancelled leaves its estimator at work; it is closed when that is done, and not before."""
    one, two, seen = pair(held=True)
    pool = WorkerPool(CONFIG, lending(one, two), threads=1)

    async def stream():
        async with pool.lent(CONFIG) as worker:
            await worker.estimate(PICTURE)

    streaming = asyncio.create_task(stream())
    assert await asyncio.to_thread(one.busy.wait, PATIENCE_SECONDS)
    streaming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await streaming
    assert "busy" in await pool.trouble(stuck_seconds=0.0)  # it still takes the thread from others
    one.free.set()
    await pool.close()
    assert one.closed
    assert seen == ["one in pose"]


async def test_a_failed_start_is_told_until_one_succeeds():
    """The pool tries it again by itself; a state that is none is the caller's fault and tells nothing of the pool."""
    broken = True

    def make(config: EstimatorConfig, state: bytes) -> PeopleEstimator:
        if state or broken:
            raise ValueError("a wrong state" if state else "no memory")
        return Fake("one", [])

    pool = WorkerPool(CONFIG, make, threads=1)
    with pytest.raises(ValueError, match="no memory"):
        await pool.warm_up()
    assert await pool.trouble(stuck_seconds=1.0) == "an estimator did not start: ValueError: no memory"
    broken = False
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await pool.trouble(stuck_seconds=1.0):  # noqa: ASYNC110
            await asyncio.sleep(0)
    with pytest.raises(Exception, match=r"config\.state: is a wrong state"):
        async with pool.lent(CONFIG, b"1"):
            pass
    assert await pool.trouble(stuck_seconds=1.0) == ""
    await pool.close()
