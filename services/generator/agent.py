"""The generator's agent: keeps a Triton serving the actors that are wanted, and notices when they stop drawing.

A loaded version proves that it draws by drawing for sessions, or else by a canary: a picture of nobody, asked for now
and then. Triton itself calls a model ready although the process that runs it is dead.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter, Gauge

from services.generator.agent_types import Care, LoadedVersion, OwnTriton, Triton
from services.generator.triton.client import TritonRefused
from services.generator.triton.model_repository import ModelRepository
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorNotFound, ActorUnusable, AtCapacity, DanceError, StageUnavailable
from serving.process.backoff import Backoff
from serving.rpc.error_status import without_paths

_log = logging.getLogger(__name__)

LOADED: Final = Gauge("dance_generator_loaded_versions", "Versions of actors that Triton has loaded")
CANARIES: Final = Counter(
    "dance_generator_canaries", "Pictures asked for as a proof of life, by outcome: drew or failed", ["outcome"]
)
HEALINGS: Final = Counter(
    "dance_generator_healings", "What was done about a version that did not draw: load or restart", ["by"]
)
for _outcome in ("drew", "failed"):  # a counter that appears with its first event has no rate for it
    CANARIES.labels(_outcome)
for _by in ("load", "restart"):
    HEALINGS.labels(_by)

STAGE: Final = "generator"
_RETRY_SECONDS: Final = 30.0
_LONGEST_RESTART_PAUSE_SECONDS: Final = 30.0
_SILENT_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Ensured:
    """A version that drew a canary just now, and the precision that it drew it in."""

    version: int
    precision: str


class GeneratorAgent:
    """Looks after one Triton. `ensure` loads on demand; `check`, called again and again, does everything else.

    own_triton is None where Triton runs elsewhere: then only its own host can restart it, told by our health.
    """

    def __init__(
        self,
        store: ActorStore,
        repository: ModelRepository,
        triton: Triton,
        care: Care,
        own_triton: OwnTriton | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._repository = repository
        self._triton = triton
        self._care = care
        self._own_triton = own_triton
        self._clock = clock
        self._loaded: dict[str, dict[int, LoadedVersion]] = {}
        self._retry_at: dict[tuple[str, int], float] = {}
        self._unreadable_until: dict[str, float] = {}
        self._ensuring: dict[tuple[str, int], asyncio.Task[Ensured]] = {}
        self._changing = asyncio.Lock()  # held while anything about what Triton serves is changed
        self._restarts = Backoff(1.0, _LONGEST_RESTART_PAUSE_SECONDS)
        self._no_restart_before = 0.0
        self._silent_rounds = 0
        self._lost_memory_bytes = 0
        self._failure = ""

    @property
    def failure(self) -> str:
        """Why Triton draws nothing though something was to be loaded; empty where something is, or nothing was."""
        return "" if self._loaded else self._failure

    def loaded(self) -> list[tuple[str, int]]:
        """Actor and version of everything that is loaded, sorted."""
        return sorted((entry.actor.id, entry.actor.version) for entry in self._entries())

    async def ensure(self, actor_id: str, version: int = 0) -> Ensured:
        """Loads a version (0: the one that is served) unless it is loaded, and answers when a canary went through.

        Callers that ask for the same version at the same time wait for one and the same load. Asking is using: the
        version is in use for `Care.in_use_seconds`, whether it draws or not. Raises ActorNotFound, ActorUnusable,
        BadInput for a name that is no actor id, AtCapacity when as many actors as may be are in use, and
        StageUnavailable when Triton does not draw.
        """
        actor = await asyncio.to_thread(self._store.load, actor_id, version)
        key = (actor.id, actor.version)
        loaded = self._entry(actor)
        if loaded is not None:
            loaded.used_at = self._clock()  # now, and not when its canary is back: nobody may push it out meanwhile
        task = self._ensuring.get(key)
        if task is None:
            task = asyncio.create_task(self._ensure(actor), name=f"ensure {actor.id} {actor.version}")
            self._ensuring[key] = task
            task.add_done_callback(lambda _: self._ensuring.pop(key))
        # A caller that goes away must not end the load for the others.
        return await asyncio.shield(task)

    async def check(self) -> bool:
        """One round: Triton, its actors, new versions, canaries. Returns whether everything that is loaded draws."""
        async with self._changing:
            if self._own_triton is not None and not self._own_triton.alive and not await self._restart("it is gone"):
                return False
        if not await self._triton.answers():
            return await self._silent_round()
        try:
            async with self._changing:
                await self._heal_ended()
                await self._shed_at_rest()
                await self._reload_missing()
                await self._load_wanted()
                await self._look_at_use()
                await self._drop_old_versions()
        except TritonRefused as error:
            _log.warning("Triton does not say what it does: %s", error)
            return await self._silent_round()
        self._silent_rounds = 0
        # Canaries may wait in an actor's queue: nobody else should wait with them.
        return await self._prove(self._due())

    async def close(self) -> None:
        """Ends loads that nobody waits for any more."""
        tasks = list(self._ensuring.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ensure(self, actor: Actor) -> Ensured:
        entry = self._entry(actor)
        if entry is not None and not await self._prove([entry]) and self._entry(actor) is not None:
            raise StageUnavailable(STAGE, None, f"actor {actor.id!r} version {actor.version} does not draw")
        async with self._changing:
            entry = self._entry(actor)
            if entry is None:
                await self._make_room(actor.id)
                others = [loaded.actor for loaded in self._loaded.get(actor.id, {}).values()]
                entry = (await self._load([*others, actor]))[actor.version]
            entry.used_at = self._clock()
            return Ensured(actor.version, entry.precision)

    async def _prove(self, entries: Iterable[LoadedVersion]) -> bool:
        """Sends a canary through each; heals what does not draw. Returns whether all draw in the end."""
        all_draw = True
        for entry in entries:
            if self._entry(entry.actor) is not entry:
                continue  # a restart has loaded, and proven, all of them again
            try:
                await self._canary(entry)
            except TritonRefused as failure:
                async with self._changing:
                    drawn = entry.drawn
                    with suppress(TritonRefused):
                        await self._look_at_use()
                    # Else it is only slow because it is busy, or somebody has healed it meanwhile.
                    if self._entry(entry.actor) is entry and entry.drawn == drawn:
                        all_draw &= await self._heal(entry.actor.id, str(failure))
        return all_draw

    async def _canary(self, entry: LoadedVersion) -> None:
        try:
            entry.precision = await self._triton.canary(entry.actor)
        except TritonRefused:
            CANARIES.labels("failed").inc()
            raise
        CANARIES.labels("drew").inc()
        entry.canaries += 1
        entry.proven_at = self._clock()

    async def _heal(self, actor_id: str, failure: str) -> bool:
        if await self._measure_lost_memory() > self._care.lost_memory_bytes and self._may_restart():
            return await self._restart(f"actor {actor_id} does not draw, and {self._lost_memory()}")
        actors = [entry.actor for entry in self._loaded[actor_id].values()]
        _log.warning("actor %s does not draw, it is loaded again: %s", actor_id, failure)
        HEALINGS.labels("load").inc()
        try:
            await self._triton.unload(actor_id)  # loading alone would find nothing changed and do nothing
            self._loaded.pop(actor_id, None)
            await self._load(actors)
        except ActorUnusable as error:
            # The actor's own fault, which a restart would not mend, and which would interrupt all others.
            self._forget(actor_id)
            _log.error("actor %s is not served any more: %s", actor_id, error)
            return False
        except (TritonRefused, StageUnavailable) as error:
            self._loaded[actor_id] = {actor.version: self._unproven(actor) for actor in actors}
            return await self._restart(f"actor {actor_id} cannot be healed: {error}")
        return True

    async def _silent_round(self) -> bool:
        # Once may be a busy machine.
        self._silent_rounds += 1
        if self._silent_rounds < _SILENT_ROUNDS:
            return False
        async with self._changing:
            return await self._restart("it does not answer")

    async def _restart(self, reason: str) -> bool:
        """Starts Triton again with everything that was loaded. Returns whether all of it draws."""
        if self._own_triton is None:
            _log.error("Triton must be restarted where it runs: %s", reason)
            return False
        if not self._may_restart():
            return False
        _log.warning("Triton is restarted: %s", reason)
        HEALINGS.labels("restart").inc()
        try:
            await self._own_triton.stop()
            await self._own_triton.start()
            self._lost_memory_bytes = 0
        except (DanceError, OSError) as error:
            self._restart_failed()
            _log.error("Triton cannot be restarted: %s", error)
            return False
        all_draw = True
        for actor_id, versions in list(self._loaded.items()):
            actors = [entry.actor for entry in versions.values()]
            self._forget(actor_id)
            try:
                await self._load(actors)
            except DanceError as error:
                all_draw = False
                _log.error("actor %s is not served any more: %s", actor_id, error)
        if all_draw:
            self._restarts.reset()
        else:
            self._restart_failed()
        return all_draw

    def _restart_failed(self) -> None:
        self._no_restart_before = self._clock() + self._restarts.next_seconds()

    def _may_restart(self) -> bool:
        return self._clock() >= self._no_restart_before

    async def _measure_lost_memory(self) -> int:
        if self._own_triton is not None:
            self._lost_memory_bytes = await asyncio.to_thread(self._own_triton.lost_memory_bytes)
        return self._lost_memory_bytes

    def _lost_memory(self) -> str:
        return f"dead processes of actors hold {self._lost_memory_bytes / 2**20:.0f} MiB of shared memory"

    async def _shed_at_rest(self) -> None:
        """Starts Triton again to free the memory that dead processes hold, while no actor is in use."""
        if self._lost_memory_bytes <= self._care.lost_memory_bytes // 4 or any(map(self._in_use, self._entries())):
            return
        # It was measured at the last death; Triton may have given it back since.
        if await self._measure_lost_memory() > self._care.lost_memory_bytes // 4 and self._may_restart():
            await self._restart(self._lost_memory())

    async def _heal_ended(self) -> None:
        """Loads actors again whose process has ended. Triton notices only when it has a picture to draw."""
        if self._own_triton is None:
            return
        drawing = await asyncio.to_thread(self._own_triton.drawing)
        ended = [entry for entry in self._entries() if (entry.actor.id, entry.actor.version) not in drawing]
        for entry in ended:
            if (
                self._entry(entry.actor) is entry
            ):  # healing one before it may have started Triton, and all of them, anew
                await self._heal(entry.actor.id, "its process has ended")

    async def _reload_missing(self) -> None:
        """Loads what another Triton lost when it was restarted by its own host. Raises TritonRefused."""
        ready = await self._triton.ready()
        lost = {entry.actor.id for entry in self._entries() if (entry.actor.id, entry.actor.version) not in ready}
        for actor_id in lost:
            actors = [entry.actor for entry in self._loaded[actor_id].values()]
            _log.warning("Triton has lost actor %s, it is loaded again", actor_id)
            HEALINGS.labels("load").inc()
            await self._load_or_log(actors)

    async def _load_wanted(self) -> None:
        """Loads the served versions of every actor that is loaded or wanted, as far as there is room."""
        for actor_id in await asyncio.to_thread(self._wanted):
            for version in await self._served(actor_id):
                loaded = self._loaded.get(actor_id, {})
                if version in loaded or self._clock() < self._retry_at.get((actor_id, version), 0.0):
                    continue
                if not loaded and len(self._loaded) >= self._care.max_actors:
                    continue
                try:
                    actor = await asyncio.to_thread(self._store.load, actor_id, version)
                except DanceError as error:
                    self._refuse(actor_id, version, error)
                    continue
                # One after the other: a canary that cannot be loaded takes nothing away from the version beside it.
                await self._load_or_log([*(entry.actor for entry in loaded.values()), actor])
                fresh = self._entry(actor)
                if fresh is not None and not loaded:
                    fresh.used_at = -math.inf  # nobody has asked for it: it makes room for whoever is asked for

    async def _served(self, actor_id: str) -> tuple[int, ...]:
        """The versions that new sessions get; none where that cannot be told."""
        if self._clock() < self._unreadable_until.get(actor_id, 0.0):
            return ()
        try:
            served = await asyncio.to_thread(self._store.served, actor_id)
        except ActorNotFound:
            return ()  # its versions were taken away
        except DanceError as error:
            self._unreadable_until[actor_id] = self._clock() + _RETRY_SECONDS
            _log.error("it cannot be told which version of actor %s is served: %s", actor_id, error)
            return ()
        return served.versions

    async def _load_or_log(self, actors: list[Actor]) -> None:
        try:
            await self._load(actors)
        except (ActorUnusable, StageUnavailable) as error:
            self._refuse(actors[-1].id, actors[-1].version, error)

    def _refuse(self, actor_id: str, version: int, error: DanceError) -> None:
        # A published version never changes: what is wrong with it stays wrong. `ensure` tries nevertheless.
        pause_seconds = _RETRY_SECONDS if error.retryable else math.inf
        if error.retryable:
            self._failure = str(error)
        self._retry_at[actor_id, version] = self._clock() + pause_seconds
        _log.error("actor %s version %d is not loaded: %s", actor_id, version, error)

    async def _look_at_use(self) -> None:
        """Asks Triton what has drawn for sessions since the last look. Raises TritonRefused."""
        answered = await self._triton.pictures_drawn()
        now = self._clock()
        for entry in self._entries():
            drawn = answered.get((entry.actor.id, entry.actor.version), 0) - entry.canaries
            if drawn > entry.drawn:
                entry.used_at = entry.proven_at = now
            entry.drawn = max(drawn, 0)

    async def _drop_old_versions(self) -> None:
        for actor_id, versions in list(self._loaded.items()):
            served = [version for version in await self._served(actor_id) if version in versions]
            if not served:
                continue  # what is served cannot be loaded, or told: nothing takes the place of what is there
            kept = [e.actor for v, e in versions.items() if v in served or self._in_use(e)]
            if len(kept) < len(versions):
                await self._load_or_log(kept)

    async def _make_room(self, actor_id: str) -> None:
        """Unloads the actor that was used least recently, if one more would be too many. Raises AtCapacity."""
        if actor_id in self._loaded or len(self._loaded) < self._care.max_actors:
            return
        with suppress(TritonRefused):
            await self._look_at_use()
        last_used = {other: max(e.used_at for e in versions.values()) for other, versions in self._loaded.items()}
        oldest = min(last_used, key=lambda other: last_used[other])
        if any(self._in_use(entry) for entry in self._loaded[oldest].values()):
            raise AtCapacity(f"all {self._care.max_actors} actors that may be loaded at the same time are in use")
        _log.info("actor %s makes room for actor %s", oldest, actor_id)
        await self._unload(oldest)

    async def _unload(self, actor_id: str) -> None:
        try:
            await self._triton.unload(actor_id)
        except TritonRefused as error:
            raise StageUnavailable(STAGE, None, f"actor {actor_id!r} cannot be unloaded: {error}") from error
        self._forget(actor_id)
        self._repository.remove(actor_id)

    async def _load(self, actors: Iterable[Actor]) -> dict[int, LoadedVersion]:
        """Makes exactly these versions of one actor the loaded ones, each proven by a canary.

        Raises ActorUnusable when the last of them cannot be served, StageUnavailable when Triton fails otherwise. Then
        the versions that were loaded before are the loaded ones again.
        """
        wanted = {actor.version: actor for actor in actors}
        actor_id = next(iter(wanted.values())).id
        before = self._loaded.get(actor_id, {})
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
        for version in fresh:
            self._retry_at.pop((actor_id, version), None)
        LOADED.set(len(self.loaded()))
        _log.info("actor %s is loaded, versions %s", actor_id, sorted(fresh))
        return fresh

    async def _roll_back(self, actor_id: str, before: dict[int, LoadedVersion]) -> None:
        try:
            if before:
                self._repository.write(actor_id, list(before))
                await self._triton.load(actor_id)
                for entry in before.values():
                    entry.canaries = entry.drawn = 0  # Triton counts from zero again
            else:
                # A model that failed to load would keep Triton's readiness false for all.
                await self._triton.unload(actor_id)
                self._repository.remove(actor_id)
        except TritonRefused as error:
            _log.warning("actor %s cannot be brought back to what it was: %s", actor_id, error)

    def _load_failure(self, actor: Actor, message: str) -> DanceError:
        log_tail = f"\nthe end of Triton's log:\n{self._own_triton.log_tail()}" if self._own_triton is not None else ""
        what = f"actor {actor.id!r} version {actor.version} cannot be loaded"
        _log.error("%s: %s%s", what, message, log_tail)
        text = f"{what}: {without_paths(message)}; the generator's log says more"
        # The model names our own error first when it is the actor that is at fault.
        return ActorUnusable(text) if ActorUnusable.__name__ in message else StageUnavailable(STAGE, None, text)

    def _wanted(self) -> list[str]:
        wanted = self._store.ids() if self._care.wanted_ids is None else self._care.wanted_ids
        return list(dict.fromkeys([*self._loaded, *wanted]))

    def _due(self) -> list[LoadedVersion]:
        now = self._clock()
        return [entry for entry in self._entries() if now - entry.proven_at >= self._care.canary_seconds]

    def _in_use(self, entry: LoadedVersion) -> bool:
        return self._clock() - entry.used_at < self._care.in_use_seconds

    def _unproven(self, actor: Actor) -> LoadedVersion:
        return LoadedVersion(actor, precision="", used_at=self._clock(), proven_at=-math.inf)

    def _entry(self, actor: Actor) -> LoadedVersion | None:
        return self._loaded.get(actor.id, {}).get(actor.version)

    def _entries(self) -> list[LoadedVersion]:
        return [entry for versions in self._loaded.values() for entry in versions.values()]

    def _forget(self, actor_id: str) -> None:
        self._loaded.pop(actor_id, None)
        LOADED.set(len(self.loaded()))
