"""A real Triton gathers the requests of several sessions as it does on a GPU. The device is a fake."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc.aio as triton_grpc

from services.generator.triton.client import TritonClient
from services.generator.triton.model_repository import EngineOptions, ModelRepository
from services.generator.triton.process import TritonServer
from serving.actors.store import ActorStore
from serving.rpc.channels import CHANNEL_OPTIONS
from tests.contract.conftest import Publish
from tests.contract.triton_drawings import draw, pictures, right_answer

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pytriton") is None, reason="nvidia-pytriton is not installed")

# A device that tells the size of each batch but the first, which is the warm-up, and holds it until the test says go.
_HELD_DEVICE = """\
from pathlib import Path

import numpy as np

from services.generator import actor_network
from services.generator.model import TritonPythonModel

__all__ = ["TritonPythonModel"]


class HeldDevice:
    precision = "bf16"
    warm = False

    def run_batch(self, items):
        if self.warm:
            Path({began!r}).write_text(str(len(items)))
            Path({go!r}).read_text()
        self.warm = True
        return [np.rint(0.5 * label_map + 0.25 * previous).astype(np.uint8) for label_map, previous in items]


actor_network.open_engine = lambda model_path, **options: HeldDevice()
"""


async def test_requests_that_wait_for_one_actor_are_drawn_together(store: ActorStore, publish: Publish, tmp_path: Path):
    """While the device draws, requests of other sessions gather; they run as batches of the preferred sizes.

    Each session gets the picture that it gets alone. Only the instance's kind differs from a GPU's configuration.
    """
    actor = publish("anna")
    began, go = tmp_path / "began", tmp_path / "go"
    for pipe in (began, go):
        os.mkfifo(pipe)
    repository = ModelRepository(tmp_path / "repository", store.root, EngineOptions(device="gpu"))
    repository.write(actor.id, [actor.version])
    entry = repository.root / actor.id
    (entry / str(actor.version) / "model.py").write_text(_HELD_DEVICE.format(began=str(began), go=str(go)))
    config = (entry / "config.pbtxt").read_text()
    assert "KIND_GPU" in config
    (entry / "config.pbtxt").write_text(config.replace("KIND_GPU", "KIND_CPU"))
    asked = [(pictures(session), pictures(session + 50)) for session in range(8)]
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(TritonServer(repository.root, tmp_path / "triton.log", exit_seconds=1))
        agent = TritonClient(
            server.address, load_seconds=30.0, canary_seconds=10.0, repository_key=lambda: server.repository_key
        )
        stack.push_async_callback(agent.close)
        await agent.load(actor.id)
        caller = triton_grpc.InferenceServerClient(server.address, channel_args=list(CHANNEL_OPTIONS))
        stack.push_async_callback(caller.close)

        drawings = [asyncio.create_task(draw(caller, actor, *asked[0]))]
        batches = [int(await asyncio.to_thread(began.read_text))]
        drawings += [asyncio.create_task(draw(caller, actor, *pair)) for pair in asked[1:]]
        while await asyncio.to_thread(_waiting, server.ports.metrics) < len(asked) - 1:
            pass  # Triton has not received all of them yet
        await asyncio.to_thread(go.write_text, "go")
        while sum(batches) < len(asked):
            batches.append(int(await asyncio.to_thread(began.read_text)))
            await asyncio.to_thread(go.write_text, "go")
        drawn = await asyncio.gather(*drawings)
    assert batches == [1, 4, 2, 1]
    for pair, result in zip(asked, drawn, strict=True):
        np.testing.assert_array_equal(result.as_numpy("FRAME"), right_answer(*pair, 0))


def _waiting(metrics_port: int) -> int:
    """Return how many requests are in the queues of Triton's models."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as page:
        numbers = re.findall(r"^nv_inference_pending_request_count\{.*\} (\d+)", page.read().decode(), re.MULTILINE)
    return sum(map(int, numbers))
