"""The health command of the images."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from services.normalize.servicer import NormalizeService
from services.normalize.settings import NormalizeSettings
from serving.rpc.health_probe import main
from serving.rpc.server import RunningServer, running


@pytest.fixture
async def server():
    """A process that serves."""
    settings = NormalizeSettings()
    async with running(NormalizeService(settings), settings) as served:
        yield served


async def asked(*arguments: str) -> tuple[int, str]:
    """Return the exit code and standard error of the command, which blocks."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "serving.rpc.health_probe", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


async def test_the_exit_code_says_whether_a_process_serves(server: RunningServer):
    """SERVING exits with 0 and no output; anything else exits with 1 and one line."""
    address = f"127.0.0.1:{server.health_port}"
    assert await asked(address) == (0, "")
    assert await asked(address, "--service", "dance.v1.NormalizeService") == (0, "")
    code, said = await asked(address, "--service", "nobody")
    assert code == 1
    assert said.startswith(f"{address}: NOT_FOUND")
    await server.health.set(False)
    assert await asked(address) == (1, f"{address}: NOT_SERVING\n")


def test_a_missing_listener_is_reported_in_time(capsys):
    """A port without a listener exits with 1 and the reason."""
    assert main(["127.0.0.1:1", "--within", "0.5"]) == 1
    assert capsys.readouterr().err.startswith("127.0.0.1:1: ")
