"""Processes that a benchmark starts and measures."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from client.local_stack.processes import ManagedProcess, ProcessSpec
from client.local_stack.stack import HOST

_READY_SECONDS = 60.0
_END_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Running:
    """A process that serves at `address` (host:port)."""

    pid: int
    address: str


@asynccontextmanager
async def running(logs: Path, module: str, *arguments: str, **environment: str) -> AsyncIterator[Running]:
    """Run a Python module that serves, from its ready line until the context ends. logs: the folder of its log.

    Raises StackFailed if it does not start.
    """
    spec = ProcessSpec(module, (sys.executable, "-P", "-m", module, *arguments), environment)
    process = ManagedProcess(spec, logs / f"{'-'.join((module, *arguments[:1])).replace('/', '_')}.log")
    try:
        await process.start()
        ready = await process.ready(_READY_SECONDS)
        yield Running(process.pid, f"{HOST}:{ready.ports['port']}")
    finally:
        await process.end(_END_SECONDS)


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and its children."""
    process = psutil.Process(pid)
    return float(sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True))))
