"""The page's process beside a deployment, and a visit that moves each of its metrics."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from client.local_stack.processes import ManagedProcess, ProcessSpec
from tests.faults.deployment import END_SECONDS, HOST, START_SECONDS
from tests.pipeline.web.gateway import Refusal, Visitor


@asynccontextmanager
async def page(folder: Path, server: str, metrics_port: int) -> AsyncIterator[str]:
    """Run the page's process in front of `server` while the context lasts; yields its address."""
    environment = {
        "WEB_SERVER": server,
        "WEB_DATA_FOLDER": str(folder / "data"),
        "WEB_DISK_KEPT_BYTES": "0",
        "WEB_METRICS_PORT": str(metrics_port),
    }
    process = ManagedProcess(ProcessSpec("web", (sys.executable, "-m", "web"), environment), folder / "web.log")
    try:
        await process.start()
        ready = await process.ready(START_SECONDS)
        yield f"http://{HOST}:{ready.ports['port']}"
    finally:
        await process.end(END_SECONDS)


async def visit(address: str, actor: str) -> None:
    """Ask too early, which is refused; then dance one pose, and begin and cancel the sample dance."""
    async with Visitor(address) as visitor:
        with pytest.raises(Refusal, match="no_visit"):
            await visitor.ask("GET", "/api/actors")
        await visitor.arrive()
        async with visitor.live(actor) as live:
            await live.send(0)
            await live.said()
        made = await visitor.ask("POST", "/api/dances", json={"actor": actor, "source": {"sample": "steps"}})
        await visitor.ask("POST", f"/api/dances/{made['id']}/cancel")
        await visitor.ask("DELETE", f"/api/dances/{made['id']}")
