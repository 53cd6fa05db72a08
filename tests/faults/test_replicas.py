"""Replicas of a service come and go: callers find the new ones, and no session is lost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from dance.v1 import agent_pb2, agent_pb2_grpc, transfer_pb2

from serving.actors.store import ActorStore
from serving.rpc.channels import open_channel
from serving.rpc.server import RunningServer, ServerSettings, Service, running
from serving.transport.tls import is_local
from tests.faults.dancer import dance, moving_poses, pictures_of
from tests.faults.deployment import MODULES, SECOND, Deployment
from tests.faults.names import naming
from tests.tiny_actors import publish_tiny

PATIENCE_SECONDS = 25.0
"""Less than the 30 s that gRPC waits by default before it resolves a name again."""


class Named(Service, agent_pb2_grpc.GeneratorAgentServiceServicer):
    """Answers its own name."""

    full_names = ("dance.v1.GeneratorAgentService",)

    def __init__(self, name: str) -> None:
        self.name = name

    def register(self, server: grpc.aio.Server) -> None:
        agent_pb2_grpc.add_GeneratorAgentServiceServicer_to_server(self, server)

    async def EnsureActor(self, request, context) -> agent_pb2.EnsureActorResponse:  # noqa: N802
        return agent_pb2.EnsureActorResponse(precision=self.name)


@asynccontextmanager
async def replica(name: str, host: str, port: int = 0, age_seconds: float = 0.0) -> AsyncIterator[RunningServer]:
    """A server at an address of its own on this machine."""
    settings = ServerSettings(host=host, port=port, max_connection_age_seconds=age_seconds, drain_seconds=5)
    async with running(Named(name), settings) as server:
        yield server


async def asked_until(stub: agent_pb2_grpc.GeneratorAgentServiceStub, name: str) -> list[grpc.StatusCode]:
    """Call again and again until `name` answers; return the failures on the way."""
    failures: list[grpc.StatusCode] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                answer = await stub.EnsureActor(agent_pb2.EnsureActorRequest(), timeout=60)
            except grpc.aio.AioRpcError as error:
                failures.append(error.code())
            else:
                if answer.precision == name:
                    return failures
            await asyncio.sleep(0.01)


async def test_a_replica_in_the_place_of_another_is_found_by_its_name():
    """When the name resolves elsewhere, it is resolved again well within the time that a session waits."""
    async with AsyncExitStack() as stack, AsyncExitStack() as old:
        names = await stack.enter_async_context(naming("127.0.0.2"))
        port = (await old.enter_async_context(replica("old", "127.0.0.2"))).port
        target = f"dns://127.0.0.1:{names.port}/replicas.test:{port}"
        channel = await stack.enter_async_context(open_channel(target))
        stub = agent_pb2_grpc.GeneratorAgentServiceStub(channel)
        assert await asked_until(stub, "old") == []
        await stack.enter_async_context(replica("new", "127.0.0.3", port))
        names.addresses = ["127.0.0.3"]
        await old.aclose()
        assert set(await asked_until(stub, "new")) <= {grpc.StatusCode.UNAVAILABLE}


async def test_a_replica_beside_another_is_found_because_connections_grow_old():
    """When replicas are added, no call fails: the callers reconnect, and then the replicas take turns."""
    async with AsyncExitStack() as stack:
        names = await stack.enter_async_context(naming("127.0.0.2"))
        port = (await stack.enter_async_context(replica("old", "127.0.0.2", age_seconds=0.5))).port
        channel = await stack.enter_async_context(open_channel(f"dns://127.0.0.1:{names.port}/replicas.test:{port}"))
        stub = agent_pb2_grpc.GeneratorAgentServiceStub(channel)
        assert await asked_until(stub, "old") == []
        await stack.enter_async_context(replica("new", "127.0.0.3", port))
        names.addresses = ["127.0.0.2", "127.0.0.3"]
        assert await asked_until(stub, "new") == []
        assert await asked_until(stub, "old") == []


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("ipv4:127.0.0.1:1,127.0.0.2:2", True),
        ("ipv4:127.0.0.1:1,10.0.0.2:2", False),
        ("ipv6:[::1]:1", True),
        ("dns:///localhost:1", True),
        ("dns:///pose.somewhere:1", False),
        ("dns://10.0.0.1/localhost:1", False),
    ],
)
def test_a_list_of_replicas_is_local_only_as_a_whole(address: str, local: bool):
    """Plaintext to another machine must be explicit, even for the last address of a list."""
    assert is_local(address) is local


class Load:
    """Runs sessions, one after the other; each is a whole dance in which every frame is answered once and in order."""

    def __init__(self, address: str, frames: list[transfer_pb2.TransferFrame], least_pictures: int) -> None:
        self.dances = self.sessions = self.answered = self.retried = 0
        self.longest_seconds = 0.0
        self._address, self._frames, self._least_pictures = address, frames, least_pictures
        self._ending = False
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Run until `end`."""
        while not self._ending:
            answers, longest_seconds, sessions = await dance(self._address, self._frames, self._answer)
            assert [answer.sequence for answer in answers] == list(range(len(self._frames)))
            drawn = [answer for answer in answers if answer.WhichOneof("result") == "picture"]
            assert len(drawn) >= self._least_pictures
            self.retried += sum(transfer_pb2.FRAME_REMARK_STAGE_RETRIED in answer.remarks for answer in answers)
            self.dances, self.sessions = self.dances + 1, self.sessions + sessions
            self.longest_seconds = max(self.longest_seconds, longest_seconds)

    async def _answer(self, _: int) -> None:
        self.answered += 1
        self._moved.set()

    async def moves(self, frames: int) -> None:
        """Wait for this many more answers."""
        wanted = self.answered + frames
        while self.answered < wanted:
            self._moved.clear()
            await self._moved.wait()

    def end(self) -> None:
        """Stop after the current dance."""
        self._ending = True


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_rolling_update_of_every_service_loses_no_session(tmp_path: Path, root: Path):
    """Two replicas of each: all ten are ended by SIGTERM and restarted while three clients dance."""
    (tmp_path / "tiny").mkdir()
    publish_tiny(ActorStore(tmp_path / "actors"), tmp_path / "tiny", "tiny", bias=3)
    async with Deployment(tmp_path, tmp_path / "actors", replicas=2) as deployment:
        clip = pictures_of(root / "samples" / "source_clip.mp4", 40)
        loads = [Load(deployment.address, moving_poses(120), 120) for _ in range(2)]
        loads.append(Load(deployment.address, clip, len(clip) - 4))
        async with asyncio.TaskGroup() as group:
            for load in loads:
                group.create_task(load.run())
            try:
                for name, replica_name in itertools.product(MODULES, ("", SECOND)):
                    for load in loads:
                        await load.moves(10)
                    deployment.terminate(name + replica_name)
                    assert await deployment.exit_code(name + replica_name) == 0
                    for load in loads:  # the other one does the work of both
                        await load.moves(5)
                    await deployment.start(name + replica_name)
            finally:
                for load in loads:
                    load.end()
        for load in loads:
            print(
                f"{load.dances} dances in {load.sessions} sessions, {load.answered} answers, {load.retried} retried, "
                f"longest wait {load.longest_seconds:.2f} s"
            )
            assert load.answered == load.dances * len(load._frames)
