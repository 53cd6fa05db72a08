"""An agent with a fake Triton and a folder of actors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

from services.generator.agent import GeneratorAgent
from services.generator.agent_types import AgentPolicy
from services.generator.triton.client import TritonClient, TritonRefused
from services.generator.triton.model_repository import ModelRepository
from services.generator.triton.process import TritonFailed, TritonServer
from serving.actors.rollout import Served
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorNotFound, NoConsent


class World:
    """A fake store, repository, Triton and Triton process; records what the agent does, and can be broken."""

    def __init__(self, versions: dict[str, list[int]], *, elsewhere: bool = False, **policy: float) -> None:
        self.published = versions
        self.said: dict[str, Served | Exception] = {}
        self.written: dict[str, tuple[int, ...]] = {}
        self.serves: dict[str, tuple[int, ...]] = {}
        self.drawn: dict[tuple[str, int], int] = {}
        self.events: list[str] = []
        self.now = 100.0
        self.alive = self.speaks = True
        self.dead: set[str] = set()
        self.ended: set[str] = set()
        self.damaged: set[tuple[str, int]] = set()
        self.revoked: set[tuple[str, int]] = set()
        self.mortally_ill: set[str] = set()
        self.cannot_start = False
        self.lost_bytes = 0
        self.load_began, self.loading = asyncio.Event(), asyncio.Event()
        self.loading.set()
        self.agent = GeneratorAgent(
            cast(
                "ActorStore",
                SimpleNamespace(
                    load=self.load_actor, ids=self.ids, served=self.served, check_consent=self.check_consent
                ),
            ),
            cast("ModelRepository", SimpleNamespace(write=self.write, remove=self.remove)),
            cast("TritonClient", self),
            AgentPolicy(**policy),  # type: ignore[arg-type]
            None if elsewhere else cast("TritonServer", self),
            clock=lambda: self.now,
        )

    # The store.
    def ids(self) -> list[str]:
        return sorted(self.published)

    def versions(self, actor_id: str) -> list[int]:
        return self.published.get(actor_id, [])

    def served(self, actor_id: str) -> Served:
        versions = self.versions(actor_id)
        if not versions:
            raise ActorNotFound(f"no {actor_id}")
        said = self.said.get(actor_id, Served(versions[-1]))
        if isinstance(said, Exception):
            raise said
        return said

    def load_actor(self, actor_id: str, version: int = 0) -> Actor:
        versions = self.versions(actor_id)
        if not versions or (version and version not in versions):
            raise ActorNotFound(f"no {actor_id} {version}")
        self.check_consent(cast("Actor", SimpleNamespace(id=actor_id, version=version)))
        return cast("Actor", SimpleNamespace(id=actor_id, version=version or self.served(actor_id).version))

    def check_consent(self, actor: Actor) -> None:
        if (actor.id, actor.version) in self.revoked:
            raise NoConsent("revoked", f"{actor.id} {actor.version} was revoked")

    # The repository.
    def write(self, actor_id: str, versions: Sequence[int]) -> None:
        self.written[actor_id] = tuple(sorted(versions))

    def remove(self, actor_id: str) -> None:
        self.written.pop(actor_id, None)

    # Triton.
    async def answers(self) -> bool:
        return self.alive and self.speaks

    async def load(self, actor_id: str) -> None:
        self.events.append(f"load {actor_id} {self.written[actor_id]}")
        self.load_began.set()
        await self.loading.wait()
        for version in self.written[actor_id]:
            if (actor_id, version) in self.damaged:
                raise TritonRefused(f"load failed: ActorUnusable: {actor_id} {version} is damaged")
        self.serves[actor_id] = self.written[actor_id]
        for version in self.written[actor_id]:
            self.drawn[actor_id, version] = 0
        if actor_id not in self.mortally_ill:
            self.dead.discard(actor_id)
        self.ended.discard(actor_id)

    async def unload(self, actor_id: str) -> None:
        self.events.append(f"unload {actor_id}")
        self.serves.pop(actor_id, None)

    async def ready(self) -> set[tuple[str, int]]:
        return {(actor_id, version) for actor_id, versions in self.serves.items() for version in versions}

    async def pictures_drawn(self) -> dict[tuple[str, int], int]:
        return dict(self.drawn)

    async def canary(self, actor: Actor) -> str:
        if actor.version not in self.serves.get(actor.id, ()) or actor.id in self.dead:
            raise TritonRefused(f"Stub process '{actor.id}_0_0' is not healthy.")
        self.events.append(f"canary {actor.id} {actor.version}")
        self.drawn[actor.id, actor.version] += 1
        return "bf16"

    # Its process.
    def drawing(self) -> set[tuple[str, int]]:
        everything = {(actor_id, version) for actor_id, versions in self.published.items() for version in versions}
        return {entry for entry in everything if entry[0] not in self.ended}

    async def start(self) -> None:
        self.events.append("start")
        if self.cannot_start:
            raise TritonFailed("Triton ended at its start")
        self.alive = self.speaks = True
        self.mortally_ill.clear()
        self.dead.clear()
        self.lost_bytes = 0

    async def stop(self) -> None:
        self.events.append("stop")
        self.alive = False
        self.serves.clear()

    def lost_memory_bytes(self) -> int:
        return self.lost_bytes

    def log_tail(self) -> str:
        return "the last words"

    def events_since(self) -> list[str]:
        """Return the events since the last call."""
        events, self.events = self.events, []
        return events
