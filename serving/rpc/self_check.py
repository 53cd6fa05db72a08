"""Health that follows what a service finds out about itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from serving.observability import logs
from serving.rpc.server import Health

_log = logging.getLogger(__name__)


async def follow(health: Health, trouble: Callable[[], Awaitable[str]], *, every_seconds: float) -> None:
    """Says SERVING while `trouble` returns "", else NOT_SERVING; logs what it says when that changes. Never returns.

    Trouble at the start is a warning: what a service waits for may be on its way. Later it is an error.
    A `trouble` that raises counts as trouble: health must not keep saying what was true before.
    """
    said, has_served = "", False
    while True:
        try:
            found = await trouble()
        except Exception as error:
            _log.exception("the service cannot look after itself")
            found = f"{type(error).__name__}: {error}"
        await health.set(not found)
        if found and not said:
            if has_served:
                _log.error("not serving", extra=logs.facts(because=found))
            else:
                _log.warning("not serving yet", extra=logs.facts(because=found))
        elif said and not found:
            _log.info("serving again" if has_served else "serving now")
        said, has_served = found, has_served or not found
        await asyncio.sleep(every_seconds)
