"""The generator as a process: the agent with a real Triton, from its ready line to its end."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import grpc
import grpc.aio
import psutil
import pytest
import tritonclient.grpc.aio as triton_grpc
from dance.v1 import agent_pb2, agent_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.generator.servicer import AgentService
from services.generator.settings import GeneratorSettings
from services.generator.triton.leftovers import SHARED_MEMORY
from serving.actors.store import Actor, ActorStore
from serving.rpc.channels import CHANNEL_OPTIONS, open_channel
from tests.contract.agent_process import agent_process, family_of
from tests.contract.triton_drawings import assert_draws
from tests.shared_memory import prefixes_of, regions_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(importlib.util.find_spec("pytriton") is None, reason="nvidia-pytriton is not installed"),
]


async def test_the_process_serves_and_ends(store: ActorStore, publish: Callable[..., Actor], tmp_path: Path):
    """The agent's process reports its ports and Triton's, loads the wanted actors, answers, and ends cleanly."""
    publish("star", bias=2)
    with agent_process(store, tmp_path, load_at_start="star") as (process, ready):
        family = family_of(process)
        memory = prefixes_of(process.pid)
        assert regions_of(memory)
        async with open_channel(f"127.0.0.1:{ready['port']}") as channel:
            agent = agent_pb2_grpc.GeneratorAgentServiceStub(channel)
            answer = await agent.EnsureActor(agent_pb2.EnsureActorRequest(actor="star"))
            assert (answer.actor_version, answer.precision) == (1, "f32")
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await agent.EnsureActor(agent_pb2.EnsureActorRequest(actor="stranger"))
            assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
        async with open_channel(f"127.0.0.1:{ready['health_port']}") as channel:
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.SERVING
        caller = triton_grpc.InferenceServerClient(ready["triton_address"], channel_args=list(CHANNEL_OPTIONS))
        try:
            await assert_draws(caller, store.load("star"), 2)
        finally:
            await caller.close()
        family[1].kill()  # Triton must end even with a dead stub
        process.terminate()
        assert await asyncio.to_thread(process.wait, 60) == 0
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=60)
    assert not alive
    assert not [path for prefix in memory for path in SHARED_MEMORY.glob(f"{prefix}*")]


async def test_health_follows_triton(store: ActorStore, publish: Callable[..., Actor], tmp_path: Path):
    """Health is NOT_SERVING while Triton is away, and SERVING once the agent has restarted it with its actors.

    When the agent is killed and cannot clean up, Triton ends on its own, with its stubs and their memory.
    """
    publish("orphan")
    with agent_process(store, tmp_path, load_at_start="orphan", answer_seconds="0.5") as (process, ready):
        async with open_channel(f"127.0.0.1:{ready['health_port']}") as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60.0)
            statuses = aiter(watch)
            assert (await anext(statuses)).status == health_pb2.HealthCheckResponse.SERVING
            (first_triton,) = process.children()
            first_triton.suspend()  # it neither answers nor ends
            assert (await anext(statuses)).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert (await anext(statuses)).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()
        family = family_of(process)
        assert first_triton not in family
        memory = prefixes_of(process.pid)
        assert regions_of(memory)
        process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=60)
        assert not alive
    assert not regions_of(memory)


@pytest.mark.parametrize("name", ["Tänzer", "mit leer zeichen", "it's $HOME; (two)"])
async def test_folders_may_have_any_name(
    store: ActorStore, publish: Callable[..., Actor], tmp_path: Path, name, monkeypatch
):
    """Actors, temporary files and Triton's repository work below a folder whose name Triton cannot read."""
    publish("named", bias=2)
    odd = tmp_path / name
    (odd / "tmp").mkdir(parents=True)
    shutil.copytree(store.root, odd / "actors")
    monkeypatch.setattr(tempfile, "tempdir", str(odd / "tmp"))
    settings = GeneratorSettings(actors_root=odd / "actors", load_at_start="named", threads=1, precision="f32")
    service = AgentService(settings)
    try:
        async with asyncio.timeout(60):
            await service.warm_up()
        assert [actor for actor, _ in service.agent.loaded()] == ["named"]
    finally:
        await service.close()
    assert list((odd / "tmp").iterdir()) == []


async def test_a_proxy_in_the_environment_hears_nothing(store: ActorStore, publish: Callable[..., Actor], monkeypatch):
    """The agent never calls its Triton through a proxy, from the first check to the canary."""
    publish("straight", bias=2)
    came: list[bytes] = []

    async def on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readline())
        writer.close()

    proxy = await asyncio.start_server(on, "127.0.0.1", 0)
    for variable in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
    settings = GeneratorSettings(actors_root=store.root, load_at_start="straight", threads=1, precision="f32")
    service = AgentService(settings)
    try:
        async with asyncio.timeout(60):
            await service.warm_up()
        assert [actor for actor, _ in service.agent.loaded()] == ["straight"]
    finally:
        await service.close()
        proxy.close()
    assert came == []
