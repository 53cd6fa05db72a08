"""Health that follows a service's self-check."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from serving.rpc.health import Health, follow


class Told(Health):
    """A health that records what it was set to."""

    def __init__(self) -> None:
        super().__init__(())
        self.said: list[bool] = []

    async def set(self, serving: bool) -> None:
        self.said.append(serving)


async def followed(found: Iterator[str]) -> list[bool]:
    """Return what health was set to while the self-check returned these results in turn."""
    health, over = Told(), asyncio.Event()

    async def trouble() -> str:
        try:
            return next(found)
        except StopIteration:
            over.set()
            return await asyncio.Future()

    task = asyncio.create_task(follow(health, trouble, every_seconds=0))
    await over.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return health.said


async def test_trouble_at_the_start_is_a_warning_and_an_error_later(caplog):
    """Trouble is logged when it begins and when it ends: as a warning at the start, as an error later."""
    caplog.set_level(logging.INFO)
    assert await followed(iter(["no pose", "no pose", "", "", "no face", ""])) == [
        False,
        False,
        True,
        True,
        False,
        True,
    ]
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "not serving yet"),
        ("INFO", "serving now"),
        ("ERROR", "not serving"),
        ("INFO", "serving again"),
    ]
