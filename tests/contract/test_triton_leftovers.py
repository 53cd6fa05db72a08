"""Dead processes do not accumulate resources: no zombies, no unbounded shared memory, no folders."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
from dance.v1 import agent_pb2, agent_pb2_grpc

from services.generator.agent import GeneratorAgent
from services.generator.agent_types import AgentPolicy
from services.generator.triton.client import TritonClient
from services.generator.triton.leftovers import SHARED_MEMORY
from services.generator.triton.model_repository import EngineOptions, ModelRepository
from services.generator.triton.process import TritonServer
from serving.actors.store import ActorStore
from serving.rpc.channels import open_channel
from tests.contract.agent_process import agent_process
from tests.contract.conftest import Publish
from tests.shared_memory import prefixes_of, regions_of

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pytriton") is None, reason="nvidia-pytriton is not installed")

REGION_BYTES = 4 * 2**20


@asynccontextmanager
async def kept(
    store: ActorStore, folder: Path, lost_memory_bytes: int
) -> AsyncIterator[tuple[GeneratorAgent, TritonServer]]:
    """A Triton and its agent."""
    repository = ModelRepository(folder / "repository", store.root, EngineOptions(threads=1, precision="f32"))
    repository.root.mkdir()
    async with TritonServer(repository.root, folder / "triton.log", exit_seconds=1) as server:
        client = TritonClient(
            server.address, load_seconds=30.0, canary_seconds=10.0, repository_key=lambda: server.repository_key
        )
        agent = GeneratorAgent(store, repository, client, AgentPolicy(lost_memory_bytes=lost_memory_bytes), server)
        try:
            yield agent, server
        finally:
            await agent.close()
            await client.close()


def folders_in(folder: Path) -> set[Path]:
    """Return the temporary folders of the agent and of Triton."""
    return set(folder.glob("dance-*"))


def stubs_of(server: TritonServer) -> list[psutil.Process]:
    """Return the processes of the actors."""
    assert server.pid is not None
    stubs = []
    for child in psutil.Process(server.pid).children():
        with suppress(psutil.NoSuchProcess):  # the system may reap dead processes at any time
            if "stub" in " ".join(child.cmdline()):
                stubs.append(child)
    return stubs


def zombies_of(pid: int) -> list[psutil.Process]:
    """Return dead children that were not reaped."""
    dead = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):
            if child.status() == psutil.STATUS_ZOMBIE:
                dead.append(child)
    return dead


async def die(agent: GeneratorAgent, server: TritonServer, actor_id: str, deaths: int) -> int:
    """Kill the actor's process repeatedly and request pictures; return the peak of shared memory."""
    most_bytes = 0
    for _ in range(deaths):
        await agent.ensure(actor_id)
        for stub in await asyncio.to_thread(stubs_of, server):
            with suppress(psutil.NoSuchProcess):
                stub.kill()
        await agent.ensure(actor_id)  # its canary finds it dead: from then on Triton frees no memory
        assert server.pid is not None
        assert not zombies_of(server.pid)
        regions = await asyncio.to_thread(lambda: regions_of(prefixes_of(os.getpid())))
        most_bytes = max(most_bytes, sum(region.stat().st_size for region in regions))
    return most_bytes


async def test_memory_of_dead_processes_is_bounded(store: ActorStore, publish: Publish, tmp_path: Path):
    """Two dead processes are tolerated, the third restarts Triton at the same address; no zombie is left."""
    publish("short")
    async with kept(store, tmp_path, 2 * REGION_BYTES) as (agent, server):
        await agent.ensure("short")
        first, address = server.pid, server.address
        assert await die(agent, server, "short", 2) == 3 * REGION_BYTES
        assert server.pid == first
        assert await asyncio.to_thread(server.lost_memory_bytes) == 2 * REGION_BYTES
        assert await die(agent, server, "short", 1) == REGION_BYTES
        assert server.pid != first
        assert server.address == address
        assert await asyncio.to_thread(server.lost_memory_bytes) == 0


@pytest.mark.slow
async def test_sixty_deaths_do_not_fill_the_shared_memory(store: ActorStore, publish: Publish, tmp_path: Path):
    """The agent's default limit holds: the 256 MiB of compose.yaml would be full after 64 dead processes."""
    publish("mortal")
    async with kept(store, tmp_path, AgentPolicy().lost_memory_bytes) as (agent, server):
        most_bytes = await die(agent, server, "mortal", 60)
        print(f"60 deaths: at most {most_bytes / 2**20:.0f} MiB of shared memory")
        assert most_bytes <= AgentPolicy().lost_memory_bytes + 2 * REGION_BYTES


async def test_what_a_killed_agent_left_goes_at_the_next_start(store: ActorStore, publish: Publish, tmp_path: Path):
    """An agent killed together with Triton and the actor's process cannot clean up; the next agent does."""
    publish("orphan")
    with agent_process(store, tmp_path, load_at_start="orphan") as (process, ready):
        memory = prefixes_of(process.pid)
        assert regions_of(memory)
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                member.kill()
        await asyncio.to_thread(process.wait)
    folders = {*folders_in(tmp_path), Path(ready["triton_address"].removeprefix("unix:")).parent}
    assert {path.name.split("-")[1] for path in folders} == {"triton", "generator", "socket"}
    left = [*folders, *(path for prefix in memory for path in SHARED_MEMORY.glob(f"{prefix}*"))]
    assert len(left) > len(folders)
    with agent_process(store, tmp_path, load_at_start="orphan") as (second, ready):
        assert not [path for path in left if path.exists()]
        assert regions_of(prefixes_of(second.pid))  # what it removed was not its own
        async with open_channel(f"127.0.0.1:{ready['port']}") as channel:
            agent = agent_pb2_grpc.GeneratorAgentServiceStub(channel)
            assert (await agent.EnsureActor(agent_pb2.EnsureActorRequest(actor="orphan"))).actor_version == 1
        second.terminate()
        assert await asyncio.to_thread(second.wait, 20) == 0
    assert not folders_in(tmp_path)
