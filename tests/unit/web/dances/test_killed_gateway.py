"""kill -9 of the gateway in mid-dance."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.local_stack.processes import ManagedProcess, ProcessSpec
from tests.pipeline.chain import Stack
from tests.unit.web.dances.conftest import PATIENCE_SECONDS, clip_of, played

pytestmark = pytest.mark.slow
FRAMES = 60
START_SECONDS = 60.0


class Gateway:
    """A gateway process, and a visitor who asks it things."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self._folder = folder
        self._environment = {
            "WEB_SERVER": stack.address,
            "WEB_DATA_FOLDER": str(folder / "data"),
            "WEB_DISK_KEPT_BYTES": "0",
        }
        self.cookie = ""
        self._starts = 0

    async def start(self) -> None:
        self._starts += 1
        spec = ProcessSpec("web", (sys.executable, "-m", "web"), self._environment)
        self._process = ManagedProcess(spec, self._folder / f"web.{self._starts}.log")
        await self._process.start()
        self._port = (await self._process.ready(START_SECONDS)).ports["port"]

    async def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        await self._process.died()

    async def end(self) -> None:
        await self._process.end(START_SECONDS)

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return the body of a successful answer."""

        def asked() -> bytes:
            with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
                headers = {"Origin": f"http://127.0.0.1:{self._port}", "Cookie": self.cookie}
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                assert answer.status < 300, content
                self.cookie = (answer.getheader("set-cookie") or self.cookie).partition(";")[0]
                return content

        return await asyncio.to_thread(asked)

    async def dance(self, dance_id: str) -> Any:
        return json.loads(await self.ask("GET", f"/api/dances/{dance_id}"))


async def test_killed_gateway_goes_on_where_it_was(stack: Stack, tmp_path: Path) -> None:
    """The upload, the body and the answers up to the last checkpoint outlive it; every frame is in the video once."""
    stack.triton.paint = lambda model, label_map, previous: previous + np.uint8(1)
    stack.triton.gates.hold(40)
    clip = clip_of(frames=FRAMES)
    gateway = Gateway(tmp_path, stack)
    await gateway.start()
    try:
        await gateway.ask("POST", "/api/visit")
        wish = json.dumps({"actor": "ben", "source": {"bytes": len(clip)}}).encode()
        dance_id = json.loads(await gateway.ask("POST", "/api/dances", wish))["id"]
        await gateway.ask("PUT", f"/api/dances/{dance_id}/upload?offset=0", clip)
        await stack.triton.gates.begun(40)
        await gateway.kill()
        stack.triton.gates.release()
        await gateway.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (told := await gateway.dance(dance_id))["state"] not in ("done", "failed"):
                pass
        assert (told["state"], told["text"], told["began_again"]) == ("done", "", 0)
        result = await gateway.ask("GET", f"/api/dances/{dance_id}/result")
    finally:
        await gateway.end()
    assert stack.pose.frames[-35:] == list(range(25, FRAMES))
    seen = played(result)
    assert seen.levels == pytest.approx([129.0 + index for index in range(FRAMES)], abs=1.6)
    assert seen.sound_seconds == pytest.approx(6.0, abs=0.1)
