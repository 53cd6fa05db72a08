"""Only the agent can load code into Triton, however Triton is started; legitimate callers can still draw."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc

from services.generator.servicer import AgentService
from services.generator.settings import GeneratorSettings
from services.generator.triton.access_key import key_header
from services.generator.triton.install import TritonInstall, joined
from services.generator.triton.leftovers import SHARED_MEMORY
from services.generator.triton.process import TritonServer
from serving.actors.store import ActorStore
from serving.process.settings import from_environment
from serving.rpc.server import running
from tests.certificates import Authority
from tests.contract.attacker import SPY, as_another_user, attack, caller, listening, load_evil
from tests.contract.conftest import Publish
from tests.contract.test_triton_leftovers import zombies_of
from tests.faults.deployment import free_ports
from tests.shared_memory import prefixes_of
from tests.unit.deploy.manifests import applied, deployment, environment, pods
from tests.unit.images.dockerfiles import Dockerfile

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pytriton") is None, reason="nvidia-pytriton is not installed")

SIDE_PX = 32
ON_THIS_MACHINE = {
    "GENERATOR_PORT": "0", "GENERATOR_HEALTH_PORT": "0", "GENERATOR_METRICS_PORT": "0", "GENERATOR_DEVICE": "cpu",
    "GENERATOR_PRECISION": "f32", "GENERATOR_THREADS": "1", "GENERATOR_DRAIN_DELAY_SECONDS": "0",
    "GENERATOR_DRAIN_SECONDS": "0", "GENERATOR_TRITON_EXIT_SECONDS": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Started:
    """A running Triton, its agent, its gRPC address, and a legitimate caller's credentials."""

    agent: AgentService
    triton: psutil.Process
    address: str
    credentials: grpc.ChannelCredentials | None = None

    @property
    def launcher(self) -> TritonServer:
        """Return the arguments of a Triton started by its agent."""
        assert self.agent._own_triton is not None
        return self.agent._own_triton


@asynccontextmanager
async def launched(
    store: ActorStore, credentials: grpc.ChannelCredentials | None = None, **settings: str
) -> AsyncIterator[Started]:
    """Run the agent, with a Triton that it starts."""
    given = {**ON_THIS_MACHINE, "GENERATOR_ACTORS_ROOT": str(store.root)}
    given |= {f"GENERATOR_{name.upper()}": value for name, value in settings.items()}
    read = from_environment(GeneratorSettings, "GENERATOR_", given)
    agent = AgentService(read)
    async with running(agent, read):
        (triton,) = [p for p in psutil.Process().children() if p.name() == "tritonserver"]
        yield Started(agent, triton, str(agent.ready_facts()["triton_address"]), credentials)


def draws(started: Started, actor_id: str) -> bool:
    """Whether a caller without a key gets a picture."""
    client = caller(started.address, started.credentials)
    inputs = []
    for name, level in (("LABEL_MAP", 100), ("PREVIOUS_FRAME", 40)):
        inputs.append(triton_grpc.InferInput(name, [1, SIDE_PX, SIDE_PX, 3], "UINT8"))
        inputs[-1].set_data_from_numpy(np.full((1, SIDE_PX, SIDE_PX, 3), level, np.uint8))
    with client:
        frame = client.infer(actor_id, inputs, client_timeout=20.0).as_numpy("FRAME")
    return frame is not None and bool((frame == 63).all())  # 100 / 2 + 40 / 4 + 3


async def held(started: Started, marker: Path, actor_id: str) -> None:
    """Only the agent can load, and all callers can draw, before and after the attack."""
    await started.agent.agent.ensure(actor_id)
    await asyncio.to_thread(attack, started.address, started.triton, marker, started.credentials)
    assert await asyncio.to_thread(draws, started, actor_id)


@pytest.fixture
def actor_id(publish: Publish) -> str:
    """Publish an actor to draw."""
    return publish("drawn", bias=3).id


async def test_on_loopback_there_is_no_port_but_the_metrics(store: ActorStore, actor_id: str, tmp_path: Path):
    """Started by `dance up`, Triton listens on a socket, and requires the key there as well."""
    async with launched(store) as started:
        await held(started, tmp_path / "marker", actor_id)
        assert started.address.startswith("unix:/")
        assert listening(started.triton) == [started.agent.ready_facts()["triton_metrics_port"]]


async def test_the_cpu_image_and_its_overlay(store: ActorStore, actor_id: str, tmp_path: Path, root: Path):
    """Triton listens on the port of the image and the overlay, for other containers."""
    overlay = deployment("cpu-only")
    (pod,) = [pod for pod in pods(overlay) if pod.name == "triton"]
    image = Dockerfile(root, "triton-cpu").environment
    for given in (image, image | environment(overlay, pod.containers(init=False)[0])):
        ports = dict(zip(("8001", "8002"), map(str, free_ports(2)), strict=True))
        own = {name: ports.get(value, value) for name, value in given.items() if name.startswith("GENERATOR_TRITON")}
        assert set(ports.values()) <= set(own.values())
        settings = {name.removeprefix("GENERATOR_").lower(): value for name, value in own.items()}
        settings |= {"host": given["GENERATOR_HOST"], "insecure": "true", "triton_exit_seconds": "1"}
        async with launched(store, **settings) as started:
            assert listening(started.triton) == sorted(map(int, ports.values()))
            await held(started, tmp_path / "marker", actor_id)


async def test_with_tls(store: ActorStore, actor_id: str, tmp_path: Path):
    """With TLS, a caller who trusts the CA can draw, and the plain HTTP port is closed."""
    authority = Authority(tmp_path)
    server = authority.sign("generator")
    credentials = grpc.ssl_channel_credentials(authority.ca.read_bytes())
    own = {"tls_certificate": server.certificate, "tls_key": server.key, "triton_ca": authority.ca}
    async with launched(store, credentials, **{name: str(path) for name, path in own.items()}) as started:
        assert len(listening(started.triton)) == 2
        await held(started, tmp_path / "marker", actor_id)


async def test_with_mutual_tls(store: ActorStore, actor_id: str, tmp_path: Path):
    """A client certificate allows drawing, but not loading."""
    authority = Authority(tmp_path)
    server, caller = authority.sign("generator"), authority.sign("orchestrator")
    credentials = grpc.ssl_channel_credentials(
        authority.ca.read_bytes(), caller.key.read_bytes(), caller.certificate.read_bytes()
    )
    own = {
        "tls_certificate": server.certificate, "tls_key": server.key, "tls_client_ca": authority.ca,
        "triton_ca": authority.ca, "triton_certificate": server.certificate, "triton_key": server.key,
    }  # fmt: skip
    async with launched(store, credentials, **{name: str(path) for name, path in own.items()}) as started:
        assert len(listening(started.triton)) == 2
        await held(started, tmp_path / "marker", actor_id)


@dataclass(frozen=True)
class Container:
    """Triton's container in a manifest: its arguments and its environment."""

    words: list[str]
    environment: dict[str, str]


def _of_manifests(documents: list[dict]) -> Container:
    (pod,) = [pod for pod in pods(documents) if pod.name == "triton"]
    (triton,) = [container for container in pod.containers() if container["name"] == "triton"]
    return Container(triton["args"], environment(documents, triton))


def _of_the_manifest(root: Path) -> Container:
    return _of_manifests(applied())


def _of_the_tls_overlay(root: Path) -> Container:
    return _of_manifests(deployment("tls"))


def _of_the_image(root: Path) -> Container:
    (command,) = Dockerfile(root, "triton").all("CMD")
    return Container(json.loads(command), {})


@asynccontextmanager
async def in_a_container(
    container: Container, folder: Path, store: ActorStore, authority: Authority | None = None
) -> AsyncIterator[Started]:
    """Run Triton with the exact arguments of a manifest, but this test's folders and ports, and the agent beside it."""
    grpc_port, metrics_port = free_ports(2)
    memory = f"dance_fence_{os.getpid()}_{grpc_port}_"
    replaced = {
        "=/models": f"={folder}/models", "/run/repository-key": str(folder), "/dev/shm/dance_*": f"/dev/shm/{memory}*",
        "shm-region-prefix-name=dance_": f"shm-region-prefix-name={memory}", "/run/tls": f"{folder}/tls",
        "--exit-timeout-secs=60": "--exit-timeout-secs=1",
    }  # fmt: skip

    def here(word: str) -> str:
        for old, new in replaced.items():
            word = word.replace(old, new)
        return word

    words = [word for word in map(here, container.words) if not word.startswith(("--grpc-port=", "--metrics-port="))]
    install = TritonInstall.find()
    for name in ("bin", "models", "tls"):
        (folder / name).mkdir()
    (folder / "bin" / "tritonserver").symlink_to(install.server)
    install.lay_out(folder / "backends")
    (folder / "key").write_text("stale")
    given: dict[str, str] = {}
    credentials = None
    if authority is not None:
        server, caller = authority.sign("triton"), authority.sign("orchestrator")
        files = {"tls.crt": server.certificate, "tls.key": server.key, "ca.crt": authority.ca}
        for name, path in files.items():
            (folder / "tls" / name).write_bytes(path.read_bytes())
        given = {
            "GENERATOR_TRITON_CA": str(authority.ca), "GENERATOR_TRITON_CERTIFICATE": str(caller.certificate),
            "GENERATOR_TRITON_KEY": str(caller.key),
        }  # fmt: skip
        credentials = grpc.ssl_channel_credentials(
            authority.ca.read_bytes(), caller.key.read_bytes(), caller.certificate.read_bytes()
        )
    ports = [f"--grpc-port={grpc_port}", f"--metrics-port={metrics_port}", "--allow-gpu-metrics=false"]
    with (folder / "log").open("wb") as log:
        process = psutil.Popen(
            [*words, *ports, f"--backend-directory={folder}/backends"],
            env={
                **os.environ,
                **{name: here(value) for name, value in container.environment.items()},
                "PATH": f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
                "LD_LIBRARY_PATH": joined(install.library_folders, install.stub_libraries),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        given |= {
            **ON_THIS_MACHINE, "GENERATOR_ACTORS_ROOT": str(store.root),
            "GENERATOR_REPOSITORY_ROOT": str(folder / "models"),
            "GENERATOR_TRITON_ADDRESS": f"127.0.0.1:{grpc_port}",
            "GENERATOR_TRITON_REPOSITORY_KEY_FILE": str(folder / "key"),
        }  # fmt: skip
        settings = from_environment(GeneratorSettings, "GENERATOR_", given)
        triton = psutil.Process(process.pid)
        async with asyncio.timeout(60):
            while process.poll() is None and grpc_port not in listening(triton):  # noqa: ASYNC110 - on its way
                await asyncio.sleep(0.05)
        assert process.poll() is None, (folder / "log").read_text()
        agent = AgentService(settings)
        async with running(agent, settings):
            yield Started(agent, triton, f"127.0.0.1:{grpc_port}", credentials)
    finally:
        with suppress(psutil.NoSuchProcess):  # it ended on its own: the assertion above has its log
            for member in (*process.children(), process):
                with suppress(psutil.NoSuchProcess):
                    member.kill()
        process.wait()
        for region in SHARED_MEMORY.glob(f"{memory}*"):
            region.unlink(missing_ok=True)


@pytest.mark.parametrize("words_of", [_of_the_manifest, _of_the_image])
async def test_in_a_container_of_its_own(words_of, store: ActorStore, actor_id: str, tmp_path: Path, root: Path):
    """With the arguments of deploy/ and the image, which compose.yaml keeps, Triton is closed to others."""
    async with in_a_container(words_of(root), tmp_path, store) as started:
        await held(started, tmp_path / "marker", actor_id)
        assert len(listening(started.triton)) == 2
        regions = list(SHARED_MEMORY.glob(f"dance_fence_{os.getpid()}_*"))
        assert {oct(region.stat().st_mode & 0o777) for region in regions} == {"0o600"}
        for stub in started.triton.children():
            with suppress(psutil.NoSuchProcess):
                stub.kill()
        await started.agent.agent.ensure(actor_id)
        assert not zombies_of(started.triton.pid)


async def test_in_a_container_with_tls(store: ActorStore, actor_id: str, tmp_path: Path, root: Path):
    """With the arguments of the overlay, Triton is closed to others."""
    (tmp_path / "ca").mkdir()
    authority = Authority(tmp_path / "ca")
    async with in_a_container(_of_the_tls_overlay(root), tmp_path, store, authority) as started:
        await held(started, tmp_path / "marker", actor_id)


async def test_the_attack_is_one(store: ActorStore, actor_id: str, tmp_path: Path):
    """Only the key of this start can load the attacker's model and run its code; the next start has another key."""
    async with launched(store) as started:
        await started.agent.agent.ensure(actor_id)
        marker, key = tmp_path / "marker", started.launcher.repository_key
        with caller(started.address) as client:
            await asyncio.to_thread(load_evil, client, marker, key_header(key))
        assert marker.read_text() == "it ran"
        started.triton.kill()
        await started.launcher.ended()
        await started.agent.agent.check()
        marker.unlink()
        (triton,) = [p for p in psutil.Process().children() if p.name() == "tritonserver"]
        with (
            caller(started.address) as client,
            pytest.raises(Exception, match="restricted"),
        ):
            await asyncio.to_thread(load_evil, client, marker, key_header(key))
        assert len(started.launcher.repository_key) == 64
        assert started.launcher.repository_key != key
        assert not marker.exists()
        assert await asyncio.to_thread(draws, Started(started.agent, triton, started.address), actor_id)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("port", [0, 1])
async def test_another_user_of_the_machine_finds_no_key_and_no_picture(
    store: ActorStore, actor_id: str, tmp_path: Path, port: int
):
    """The key is neither in the arguments, which all users can read, nor in the log.

    Only the owner can access the socket and the pictures in shared memory.
    """
    chosen = str(free_ports(1)[0]) if port else "0"
    log = tmp_path / "triton.log"
    async with launched(store, triton_grpc_port=chosen, triton_log=str(log)) as started:
        await started.agent.agent.ensure(actor_id)
        where = started.address.removeprefix("unix:")
        seen = await asyncio.to_thread(as_another_user, SPY, str(started.triton.pid), where)
        assert "--grpc-restricted-protocol=model-repository,shared-memory,trace,logging:dance=xxxx" in seen
        key = started.launcher.repository_key
        assert key not in seen
        assert key not in log.read_text()
        (memory,) = await asyncio.to_thread(prefixes_of, os.getpid())
        spied = [line for line in seen.splitlines() if line.partition(" ")[2].startswith(memory)]
        assert len(spied) > 1  # the lock, and the memory of the actor's process
        assert {line.partition(" ")[0] for line in spied} == {"refused"}
        assert "connected" not in seen
        assert seen.endswith("no entry") != bool(port)
