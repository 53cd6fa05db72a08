"""Tasks that run while a context lasts."""

from __future__ import annotations

import asyncio

import pytest

from serving.process.background import in_background


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
