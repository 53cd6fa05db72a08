"""`dance.v1.GeneratorAgentService`: protobuf in, protobuf out. The logic is in `GeneratorAgent`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack

import grpc.aio
from dance.v1 import agent_pb2, agent_pb2_grpc

from services.generator.agent import GeneratorAgent
from services.generator.agent_types import AgentPolicy
from services.generator.settings import GeneratorSettings
from services.generator.triton.client import TritonClient
from services.generator.triton.leftovers import SOCKET_FOLDER_BYTES, plain_folder, sweep
from services.generator.triton.model_repository import ModelRepository
from services.generator.triton.plain_paths import Links
from services.generator.triton.process import TritonFailed, TritonServer
from serving.actors.store import ActorStore
from serving.rpc.health import Health
from serving.rpc.server import Service
from serving.transport.addresses import hosts_of

_log = logging.getLogger(__name__)


class AgentService(Service, agent_pb2_grpc.GeneratorAgentServiceServicer):
    """Serves `EnsureActor`; runs the agent, and Triton unless it runs elsewhere. See `serving.rpc.server.Service`."""

    name: str = "generator"
    full_names: tuple[str, ...] = ("dance.v1.GeneratorAgentService",)

    def __init__(self, settings: GeneratorSettings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._own_triton: TritonServer | None = None
        self._agent: GeneratorAgent | None = None
        self._ready_at_start = False

    @property
    def agent(self) -> GeneratorAgent:
        """The agent, which `warm_up` creates."""
        if self._agent is None:
            raise RuntimeError("the agent has not been started")
        return self._agent

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to `server`."""
        agent_pb2_grpc.add_GeneratorAgentServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    async def warm_up(self) -> None:
        """Start Triton and load the wanted actors; each draws a blank test picture. Raises TritonMissing.

        Raises TritonFailed if our own Triton draws none of them and no actor is at fault.
        """
        settings = self._settings
        await asyncio.to_thread(sweep)
        folder = self._stack.enter_context(plain_folder("generator"))
        repository_root = settings.repository_root or folder / "repository"
        repository_root.mkdir(parents=True, exist_ok=True)
        address, repository_key = settings.triton_address, settings.repository_key
        actors_root = settings.actors_root.resolve()
        if not address:
            links = Links()
            self._stack.callback(links.remove)
            actors_root = links.to(actors_root, "actors")
            socket = None
            if settings.triton_on_socket():
                socket = self._stack.enter_context(plain_folder("socket", SOCKET_FOLDER_BYTES)) / "grpc"
            self._own_triton = TritonServer(
                repository_root,
                settings.triton_log or folder / "triton.log",
                host=settings.host,
                ports=settings.triton_ports(),
                exit_seconds=settings.triton_exit_seconds,
                tls=settings.tls(),
                call_with=settings.triton_tls(),
                socket=socket,
            )
            own_triton = await self._stack.enter_async_context(self._own_triton)
            address, repository_key = own_triton.address, lambda: own_triton.repository_key
        else:
            repository_key()  # raises now if it cannot be read
        triton = TritonClient(
            address,
            load_seconds=settings.load_timeout_seconds,
            canary_seconds=settings.canary_timeout_seconds,
            answer_seconds=settings.answer_seconds,
            tls=settings.triton_tls(),
            repository_key=repository_key,
        )
        self._stack.push_async_callback(triton.close)
        self._agent = GeneratorAgent(
            ActorStore(settings.actors_root),
            ModelRepository(repository_root, actors_root, settings.engine_options()),
            triton,
            AgentPolicy(
                wanted_ids=None if settings.load_at_start == "all" else settings.listed_actors(),
                max_actors=settings.max_actors,
                in_use_seconds=settings.in_use_seconds,
                canary_seconds=settings.canary_seconds,
            ),
            self._own_triton,
        )
        self._stack.push_async_callback(self._agent.close)
        draws = await self._agent.check()
        if self._own_triton is not None and self._agent.failure:
            raise TritonFailed(self._agent.failure)
        self._ready_at_start = draws or self._own_triton is not None

    @property
    def ready_at_start(self) -> bool:
        """Whether Triton answers already. Our own always does; a Triton elsewhere may start later."""
        return self._ready_at_start

    async def keep_health(self, health: Health) -> None:
        """Let the agent check and repair Triton and its actors until cancelled. The process is healthy if Triton is."""
        while True:
            try:
                serving = await self.agent.check()
            except Exception:
                _log.exception("the agent's check failed")
                serving = False
            await health.set(serving)
            await asyncio.sleep(self._settings.watch_seconds)

    async def close(self) -> None:
        """Stop the agent and its Triton."""
        await self._stack.aclose()

    def ready_facts(self) -> Mapping[str, str | int]:
        """Return where Triton listens."""
        own = self._own_triton
        if own is None:
            address = self._settings.triton_address
            facts: dict[str, str | int] = {"triton_address": address}
            hosts = hosts_of(address)
            if len(hosts) == 1:  # neither a socket nor a list of replicas
                facts |= {"triton_host": hosts[0], "triton_port": int(address.rpartition(":")[2])}
            return facts
        on_socket = self._settings.triton_on_socket()
        port: dict[str, str | int] = {} if on_socket else {"triton_host": own.host, "triton_port": own.ports.grpc}
        return {"triton_address": own.address, **port, "triton_metrics_port": own.ports.metrics}

    async def EnsureActor(
        self, request: agent_pb2.EnsureActorRequest, context: grpc.aio.ServicerContext
    ) -> agent_pb2.EnsureActorResponse:
        """See agent.proto."""
        ensured = await self.agent.ensure(request.actor, request.actor_version)
        return agent_pb2.EnsureActorResponse(actor_version=ensured.version, precision=ensured.precision)
