"""All processes with the page, each of which can be killed and started again at its address."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Self

from client.local_stack.processes import ManagedProcess, ProcessSpec
from tests.browser.cameras import SAMPLE_ACTORS
from tests.faults.deployment import END_SECONDS, HOST, START_SECONDS, Deployment, free_ports

PAGE = "web"


class PageDeployment:
    """A `Deployment` with the sample actor, and the gateway in front of it. Leaving ends all processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._chain = Deployment(folder, SAMPLE_ACTORS)
        self._port = free_ports(1)[0]
        self._gateway: ManagedProcess | None = None
        self._starts = 0

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self._port}"

    async def start(self, name: str) -> None:
        """Start a process at its address, and wait until it serves. name: as in `Deployment`, or `PAGE`."""
        if name != PAGE:
            await self._chain.start(name)
            return
        environment = {
            "WEB_SERVER": self._chain.address,
            "WEB_PORT": str(self._port),
            "WEB_DATA_FOLDER": str(self._folder / "data"),
            "WEB_DISK_KEPT_BYTES": "0",
            "WEB_DRAIN_SECONDS": "1",
        }
        spec = ProcessSpec(PAGE, (sys.executable, "-P", "-m", PAGE), environment)
        self._starts += 1
        self._gateway = ManagedProcess(spec, self._folder / f"{PAGE}.{self._starts}.log")
        await self._gateway.start()
        await self._gateway.ready(START_SECONDS)

    async def kill(self, name: str) -> None:
        """kill -9 of a process."""
        if name != PAGE:
            await self._chain.kill(name)
            return
        assert self._gateway is not None
        os.kill(self._gateway.pid, signal.SIGKILL)
        await self._gateway.died()

    async def __aenter__(self) -> Self:
        await self._chain.__aenter__()
        try:
            await self.start(PAGE)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _end(self) -> None:
        if self._gateway is not None:
            with contextlib.suppress(RuntimeError):
                await self._gateway.end(END_SECONDS)
        await self._chain.end()
