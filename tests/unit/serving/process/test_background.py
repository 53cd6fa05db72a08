"""Tasks that run while a context lasts."""

from __future__ import annotations

import asyncio
import threading

import pytest

from serving.process.background import in_background, in_stoppable_thread


async def test_the_task_ends_with_its_context():
    """The work runs while the context lasts and is cancelled on leaving."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with in_background(work(), "work"):
        await begun.wait()
    assert ended.is_set()


async def test_a_failure_is_raised_on_leaving():
    """Work that failed while the context lasted raises its error at the end."""

    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        async with in_background(work(), "work"):
            await asyncio.sleep(0)


async def test_a_cancellation_on_leaving_is_not_lost():
    """A cancellation that arrives while the work is being ended still cancels the caller."""
    ending, may_end = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await may_end.wait()

    async def caller() -> None:
        async with in_background(work(), "work"):
            await asyncio.sleep(0)

    calling = asyncio.create_task(caller())
    await ending.wait()
    calling.cancel()
    await asyncio.wait({calling})
    may_end.set()
    assert calling.cancelled()


async def test_the_error_of_the_context_comes_first():
    """If the context fails too, its own error is raised."""

    async def work() -> None:
        raise ValueError("broken")

    async def caller() -> None:
        async with in_background(work(), "work"):
            await asyncio.sleep(0)
            raise KeyError("of the context")

    with pytest.raises(KeyError):
        await caller()


async def test_a_thread_ends_with_the_task_that_waits_for_it() -> None:
    """On cancellation, the work is told to stop, and is over when the cancellation goes on."""
    begun, over = threading.Event(), threading.Event()

    def work(stopped: threading.Event) -> None:
        begun.set()
        stopped.wait()
        over.set()

    waiting = asyncio.create_task(in_stoppable_thread(work))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert over.is_set()
