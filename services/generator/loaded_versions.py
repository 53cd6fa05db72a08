"""The actors' versions that Triton has loaded: loading, unloading, and when each of them last drew."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Gauge

from services.generator.agent_types import STAGE
from services.generator.triton.client import TritonClient, TritonRefused
from services.generator.triton.model_repository import ModelRepository
from serving.actors.store import Actor
from serving.errors import ActorUnusable, DanceError, StageUnavailable
from serving.rpc.error_status import without_paths

_log = logging.getLogger(__name__)

LOADED: Final = Gauge("dance_generator_loaded_versions", "Versions of actors that Triton has loaded")


@dataclass(slots=True)
class LoadedVersion:
    """One version of an actor that Triton serves. Times are of the agent's clock.

    precision: of its arithmetic. used_at: when it was last requested, or drew for a session. proven_at: when it last
    drew anything. canaries, drawn: pictures since it was loaded, for the agent and for sessions.
    """

    actor: Actor
    precision: str
    used_at: float
    proven_at: float
    canaries: int = 1
    drawn: int = 0


class LoadedVersions:
    """All versions that Triton has loaded, by actor and version.

    log_tail: returns the last lines of Triton's log; empty if it is not ours.
    """

    def __init__(
        self, repository: ModelRepository, triton: TritonClient, clock: Callable[[], float], log_tail: Callable[[], str]
    ) -> None:
        self._repository = repository
        self._triton = triton
        self._clock = clock
        self._log_tail = log_tail
        self._loaded: dict[str, dict[int, LoadedVersion]] = {}

    def __len__(self) -> int:
        """The number of actors with a loaded version."""
        return len(self._loaded)

    def ids(self) -> list[str]:
        """Return the actors with a loaded version."""
        return list(self._loaded)

    def get(self, actor: Actor) -> LoadedVersion | None:
        """Return the entry of this actor and version; None if it is not loaded."""
        return self._loaded.get(actor.id, {}).get(actor.version)

    def of(self, actor_id: str) -> dict[int, LoadedVersion]:
        """Return the actor's loaded versions."""
        return self._loaded.get(actor_id, {})

    def actors(self, actor_id: str) -> list[Actor]:
        """Return the actor's loaded versions as actors."""
        return [entry.actor for entry in self.of(actor_id).values()]

    def all(self) -> list[LoadedVersion]:
        """Return every loaded version."""
        return [entry for versions in self._loaded.values() for entry in versions.values()]

    def unproven(self, seconds: float) -> list[LoadedVersion]:
        """Return the versions that have drawn nothing for this long."""
        now = self._clock()
        return [entry for entry in self.all() if now - entry.proven_at >= seconds]

    async def load(self, actors: Iterable[Actor]) -> dict[int, LoadedVersion]:
        """Load exactly these versions of one actor; each of them must draw a canary.

        Raises ActorUnusable if the last of them cannot be served, and StageUnavailable for other failures of Triton.
        Both restore the versions that were loaded before.
        """
        wanted = {actor.version: actor for actor in actors}
        actor_id = next(iter(wanted.values())).id
        before = self.of(actor_id)
        fresh: dict[int, LoadedVersion] = {}
        self._repository.write(actor_id, list(wanted))
        try:
            await self._triton.load(actor_id)
            for version, actor in wanted.items():
                precision = await self._triton.canary(actor)
                used_at = before[version].used_at if version in before else self._clock()
                fresh[version] = LoadedVersion(actor, precision, used_at, proven_at=self._clock())
        except TritonRefused as error:
            await self._roll_back(actor_id, before)
            raise self._load_failure(list(wanted.values())[-1], str(error)) from error
        self._loaded[actor_id] = fresh
        LOADED.set(len(self.all()))
        _log.info("loaded actor %s, versions %s", actor_id, sorted(fresh))
        return fresh

    async def unload(self, actor_id: str) -> None:
        """Unload all versions of an actor. Raises StageUnavailable."""
        try:
            await self._triton.unload(actor_id)
        except TritonRefused as error:
            raise StageUnavailable(STAGE, None, f"actor {actor_id!r} cannot be unloaded: {error}") from error
        self.forget(actor_id)
        self._repository.remove(actor_id)

    def forget(self, actor_id: str) -> None:
        """Drop the actor's entries without asking Triton."""
        self._loaded.pop(actor_id, None)
        LOADED.set(len(self.all()))

    def mark_broken(self, actors: Iterable[Actor]) -> None:
        """Replace the entries of these versions of one actor by entries that have never drawn."""
        for actor in actors:
            entry = LoadedVersion(actor, precision="", used_at=self._clock(), proven_at=-math.inf)
            self._loaded.setdefault(actor.id, {})[actor.version] = entry

    async def update_use(self) -> None:
        """Read from Triton which versions drew for sessions since the last call. Raises TritonRefused."""
        answered = await self._triton.pictures_drawn()
        now = self._clock()
        for entry in self.all():
            drawn = answered.get((entry.actor.id, entry.actor.version), 0) - entry.canaries
            if drawn > entry.drawn:
                entry.used_at = entry.proven_at = now
            entry.drawn = max(drawn, 0)

    def least_recently_used(self) -> str:
        """Return the actor that was last used the longest ago. At least one must be loaded."""
        return min(self._loaded, key=lambda actor_id: max(e.used_at for e in self._loaded[actor_id].values()))

    async def _roll_back(self, actor_id: str, before: dict[int, LoadedVersion]) -> None:
        try:
            if before:
                self._repository.write(actor_id, list(before))
                await self._triton.load(actor_id)
                for entry in before.values():
                    entry.canaries = entry.drawn = 0  # Triton counts from zero again
            else:
                # A model that failed to load would keep the whole Triton from being ready.
                await self._triton.unload(actor_id)
                self._repository.remove(actor_id)
        except TritonRefused as error:
            _log.warning("cannot restore the previous versions of actor %s: %s", actor_id, error)

    def _load_failure(self, actor: Actor, message: str) -> DanceError:
        problem = f"actor {actor.id!r} version {actor.version} cannot be loaded"
        log_tail = self._log_tail()
        _log.error("%s: %s%s", problem, message, f"\nthe end of Triton's log:\n{log_tail}" if log_tail else "")
        text = f"{problem}: {without_paths(message)}; see the generator's log"
        # The model puts our error's name first if the actor is at fault.
        return ActorUnusable(text) if ActorUnusable.__name__ in message else StageUnavailable(STAGE, None, text)
