"""The Triton pod of deploy/ as processes: Triton with its command line, the agent with its settings."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import tritonclient.grpc.aio as triton_grpc
from tritonclient.utils import InferenceServerException

from services.generator.servicer import AgentService
from services.generator.settings import GeneratorSettings
from services.generator.triton.client import TritonClient, TritonRefused
from services.generator.triton.install import TritonInstall, joined
from serving.actors.store import Actor, ActorStore
from serving.process.settings import from_environment
from serving.rpc.channels import CHANNEL_OPTIONS
from serving.rpc.server import running
from tests.contract.conftest import Publish
from tests.faults.deployment import free_ports
from tests.unit.deploy.manifests import applied, environment, pods
from tests.unit.deploy.test_optional_metrics import OF_TRITON

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pytriton") is None, reason="nvidia-pytriton is not installed")

SIDE_PX = 32
KEY = "0f1e2d3c"


@dataclass(frozen=True)
class TritonPod:
    """The agent, Triton's process and its ports."""

    agent: AgentService
    triton: subprocess.Popen
    grpc_port: int
    metrics_port: int


def _command(folder: Path, ports: tuple[int, int], memory: str) -> list[str]:
    """Return the manifest's arguments with this test's folders, ports and shared memory."""
    (pod,) = [pod for pod in pods(applied()) if pod.name == "triton"]
    (triton,) = [container for container in pod.containers() if container["name"] == "triton"]
    replaced = {
        "/models": f"{folder}/models",
        "/run/repository-key": str(folder),
        "/dev/shm/dance_*": f"/dev/shm/{memory}*",
        "shm-region-prefix-name=dance_": f"shm-region-prefix-name={memory}",
        "--grpc-port=8001": f"--grpc-port={ports[0]}",
        "--metrics-port=8002": f"--metrics-port={ports[1]}",
        "=0.0.0.0": "=127.0.0.1",
    }
    words = triton["args"]
    for old, new in replaced.items():
        assert any(old in word for word in words), f"the manifest has no {old}"
        words = [word.replace(old, new) for word in words]
    # The differences between NVIDIA's image on a GPU and the wheel on a CPU.
    return [*words, f"--backend-directory={folder}/backends", "--allow-gpu-metrics=false"]


def _start(folder: Path, ports: tuple[int, int], memory: str) -> subprocess.Popen:
    install = TritonInstall.find()
    for name in ("bin", "models"):
        (folder / name).mkdir()
    (folder / "bin" / "tritonserver").symlink_to(install.server)
    install.lay_out(folder / "backends")
    (folder / "key").write_text(KEY)
    path = f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    libraries = joined(install.library_folders, install.stub_libraries)
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            _command(folder, ports, memory),
            env={**os.environ, "PATH": path, "TRITON_TLS": "", "LD_LIBRARY_PATH": libraries},
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def _end(process: subprocess.Popen, memory: str) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for region in Path("/dev/shm").glob(f"{memory}*"):
        region.unlink(missing_ok=True)


@asynccontextmanager
async def _pod(folder: Path, actors_root: Path) -> AsyncIterator[TritonPod]:
    grpc_port, metrics_port = free_ports(2)
    memory = f"dance_pod_{os.getpid()}_"
    process = _start(folder, (grpc_port, metrics_port), memory)
    try:
        (pod,) = [pod for pod in pods(applied()) if pod.name == "triton"]
        given = environment(applied(), pod.containers(init=False)[0])
        given |= {
            "GENERATOR_HOST": "127.0.0.1", "GENERATOR_PORT": "0", "GENERATOR_HEALTH_PORT": "0",
            "GENERATOR_METRICS_PORT": "0", "GENERATOR_DRAIN_DELAY_SECONDS": "0", "GENERATOR_DRAIN_SECONDS": "0",
            "GENERATOR_DEVICE": "cpu", "GENERATOR_PRECISION": "f32", "GENERATOR_THREADS": "1",
            "GENERATOR_ACTORS_ROOT": str(actors_root), "GENERATOR_REPOSITORY_ROOT": str(folder / "models"),
            "GENERATOR_TRITON_REPOSITORY_KEY_FILE": str(folder / "key"),
            "GENERATOR_TRITON_ADDRESS": f"127.0.0.1:{grpc_port}",
        }  # fmt: skip
        settings = from_environment(GeneratorSettings, "GENERATOR_", given)
        async with asyncio.timeout(60), _triton(grpc_port) as client:
            while process.poll() is None:
                try:
                    if await client.is_server_live(client_timeout=1.0):
                        break
                except InferenceServerException:
                    await asyncio.sleep(0.05)
        assert process.poll() is None, (folder / "log").read_text()
        agent = AgentService(settings)
        async with running(agent, settings):
            yield TritonPod(agent, process, grpc_port, metrics_port)
    finally:
        _end(process, memory)


def _triton(port: int) -> triton_grpc.InferenceServerClient:
    return triton_grpc.InferenceServerClient(f"127.0.0.1:{port}", channel_args=list(CHANNEL_OPTIONS))


async def _draw(port: int, actor: Actor) -> np.ndarray:
    shape = [1, SIDE_PX, SIDE_PX, 3]
    inputs = []
    for name, level in (("LABEL_MAP", 100), ("PREVIOUS_FRAME", 40)):
        tensor = triton_grpc.InferInput(name, shape, "UINT8")
        tensor.set_data_from_numpy(np.full(shape, level, np.uint8))
        inputs.append(tensor)
    async with _triton(port) as client:
        picture = (await client.infer(actor.id, inputs, client_timeout=30.0)).as_numpy("FRAME")
    assert picture is not None
    return picture


async def test_the_pod_draws_and_ends(store: ActorStore, publish: Publish, tmp_path: Path):
    """The agent loads an actor with its key, and other callers can only draw. The metrics for scalers are there, and
    SIGTERM ends Triton long before the exit timeout."""
    actor = publish("drawn", bias=3)
    async with _pod(tmp_path, store.root) as pod:
        await pod.agent.agent.ensure(actor.id)
        assert (await _draw(pod.grpc_port, actor) == 63).all()  # 100 / 2 + 40 / 4 + 3

        address = f"127.0.0.1:{pod.grpc_port}"
        for key in ("", "another"):
            shown = partial(str, key)
            stranger = TritonClient(address, load_seconds=10.0, canary_seconds=10.0, repository_key=shown)
            for refused in (stranger.load(actor.id), stranger.unload(actor.id)):
                with pytest.raises(TritonRefused, match="restricted"):
                    await refused
            await stranger.close()

        url = f"http://127.0.0.1:{pod.metrics_port}/metrics"
        page = (await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())).decode()
        assert {name for name in OF_TRITON if f"\n{name}{{" in page} == OF_TRITON

        pod.triton.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(pod.triton.wait, 50) == 0


async def test_an_actor_whose_process_died_is_loaded_again(store: ActorStore, publish: Publish, tmp_path: Path):
    """The agent cannot see another container's processes: a session's failed frame makes it check and repair Triton."""
    actor = publish("killed", bias=3)
    async with _pod(tmp_path, store.root) as pod:
        await pod.agent.agent.ensure(actor.id)
        stubs = [p for p in psutil.Process(pod.triton.pid).children() if any("model.py" in w for w in p.cmdline())]
        assert stubs
        for stub in stubs:
            stub.kill()
        with pytest.raises(InferenceServerException):
            await _draw(pod.grpc_port, actor)
        await pod.agent.agent.ensure(actor.id)
        assert (await _draw(pod.grpc_port, actor) == 63).all()
