"""The event loop of processes that handle every frame of every session: uvloop, where it is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def fast_event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's maker of event loops, or None if uvloop is not installed; asyncio's own loop then serves.

    A frame passes the orchestrator's loop 40 times, and asyncio's loop is written in Python. docs/decisions/0007 has
    the measurement. grpcio has trouble only with several loops in one process, and a server has one.
    """
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
