"""What `grpc.health.v1` reports about one process, and how a service keeps it up to date."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from grpc_health.v1 import health, health_pb2

from serving.observability import logs

_log = logging.getLogger(__name__)

LIVE: Final = "live"
"""The health port's name for the process itself: SERVING while its event loop runs, whatever it depends on."""


class Health:
    """SERVING or NOT_SERVING, for the process ("") and each of its services."""

    def __init__(self, full_names: tuple[str, ...]) -> None:
        self.servicer = health.aio.HealthServicer()
        self._names = ("", *full_names)

    async def begin(self) -> None:
        """Report that the process is alive and does not serve yet."""
        await self.set(False)
        await self.servicer.set(LIVE, health_pb2.HealthCheckResponse.SERVING)

    async def set(self, serving: bool) -> None:
        """Report SERVING or NOT_SERVING."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self.servicer.set(name, status)


async def follow(health: Health, trouble: Callable[[], Awaitable[str]], *, every_seconds: float) -> None:
    """Report SERVING while `trouble` returns "", else NOT_SERVING; log the reason when that changes. Never returns.

    Trouble at the start is a warning, because a dependency may still be starting; later it is an error. If `trouble`
    raises, that counts as trouble: health must not keep reporting an outdated state.
    """
    reason, has_served = "", False
    while True:
        try:
            found = await trouble()
        except Exception as error:
            _log.exception("the service cannot check itself")
            found = f"{type(error).__name__}: {error}"
        await health.set(not found)
        if found and not reason:
            if has_served:
                _log.error("not serving", extra=logs.facts(because=found))
            else:
                _log.warning("not serving yet", extra=logs.facts(because=found))
        elif reason and not found:
            _log.info("serving again" if has_served else "serving now")
        reason, has_served = found, has_served or not found
        await asyncio.sleep(every_seconds)
