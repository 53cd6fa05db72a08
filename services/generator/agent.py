"""The generator's agent: keeps the wanted actors loaded in Triton, and detects when they stop drawing.

A loaded version is alive if it draws for sessions. Without sessions, the agent requests a blank picture, a canary, from
time to time. Triton's own readiness is not enough: Triton reports a model as ready even if its process is dead.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from prometheus_client import Counter

from services.generator.agent_types import STAGE, AgentPolicy, Ensured
from services.generator.loaded_versions import LoadedVersion, LoadedVersions
from services.generator.triton.client import TritonClient, TritonRefused
from services.generator.triton.model_repository import ModelRepository
from services.generator.triton.process import TritonServer
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorNotFound, ActorUnusable, AtCapacity, DanceError, NoConsent, StageUnavailable
from serving.process.backoff import Backoff

_log = logging.getLogger(__name__)

CANARIES: Final = Counter(
    "dance_generator_canaries", "Canary pictures that the agent requested, by outcome: drew or failed", ["outcome"]
)
HEALINGS: Final = Counter(
    "dance_generator_healings", "Repairs of a version that did not draw, by action: load or restart", ["by"]
)
for _outcome in ("drew", "failed"):  # a counter that appears with its first event has no rate for it
    CANARIES.labels(_outcome)
for _by in ("load", "restart"):
    HEALINGS.labels(_by)

_RECONNECT_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 30.0
_LONGEST_RESTART_PAUSE_SECONDS: Final = 30.0
_SILENT_ROUNDS: Final = 3


class GeneratorAgent:
    """Manages one Triton. `ensure` loads on demand; `check`, called repeatedly, does everything else.

    own_triton: None if Triton runs elsewhere. Then only its host can restart it, which it decides by our health.
    """

    def __init__(
        self,
        store: ActorStore,
        repository: ModelRepository,
        triton: TritonClient,
        policy: AgentPolicy,
        own_triton: TritonServer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._triton = triton
        self._policy = policy
        self._own_triton = own_triton
        self._clock = clock
        log_tail = (lambda: "") if own_triton is None else own_triton.log_tail
        self._versions = LoadedVersions(repository, triton, clock, log_tail)
        self._retry_at: dict[tuple[str, int], float] = {}
        self._unreadable_until: dict[str, float] = {}
        self._ensuring: dict[tuple[str, int], asyncio.Task[Ensured]] = {}
        self._changing = asyncio.Lock()  # held while changing what Triton serves
        self._restarts = Backoff(1.0, _LONGEST_RESTART_PAUSE_SECONDS)
        self._no_restart_before = 0.0
        self._silent_rounds = 0
        self._lost_memory_bytes = 0
        self._failure = ""

    @property
    def failure(self) -> str:
        """The reason why nothing is loaded; empty if a version is loaded, or none was wanted."""
        return "" if len(self._versions) else self._failure

    def loaded(self) -> list[tuple[str, int]]:
        """Return actor and version of everything that is loaded, sorted."""
        return sorted((entry.actor.id, entry.actor.version) for entry in self._versions.all())

    async def ensure(self, actor_id: str, version: int = 0) -> Ensured:
        """Load a version unless it is loaded, and return once it drew a canary. Version 0 is the served one.

        Concurrent calls for the same version share one load. A call counts as use: the version is in use for
        `AgentPolicy.in_use_seconds`, whether it draws or not. Raises ActorNotFound, ActorUnusable, BadInput for an
        invalid actor id, AtCapacity if the maximum number of actors is in use, and StageUnavailable if Triton does not
        draw.
        """
        actor = await asyncio.to_thread(self._store.load, actor_id, version)
        key = (actor.id, actor.version)
        loaded = self._versions.get(actor)
        if loaded is not None:
            loaded.used_at = self._clock()  # before its canary, so that no other actor takes its place in the meantime
        task = self._ensuring.get(key)
        if task is None:
            task = asyncio.create_task(self._ensure(actor), name=f"ensure {actor.id} {actor.version}")
            self._ensuring[key] = task
            task.add_done_callback(lambda _: self._ensuring.pop(key))
        # A caller that is cancelled must not cancel the load for the others.
        return await asyncio.shield(task)

    async def check(self) -> bool:
        """Check Triton, its actors, new versions and due canaries once. Returns whether everything loaded draws."""
        async with self._changing:
            if self._own_triton is not None and not self._own_triton.alive and not await self._restart("it has ended"):
                return False
        if not await self._triton.answers():
            return await self._silent_round()
        try:
            async with self._changing:
                await self._drop_without_consent()
                await self._heal_ended()
                await self._free_lost_memory()
                await self._reload_missing()
                await self._load_wanted()
                await self._versions.update_use()
                await self._drop_old_versions()
        except TritonRefused as error:
            _log.warning("Triton does not report its state: %s", error)
            return await self._silent_round()
        self._silent_rounds = 0
        # Without the lock: a canary may wait in its actor's queue, and must not block the other actors.
        return await self._prove(self._versions.unproven(self._policy.canary_seconds))

    async def close(self) -> None:
        """Cancel the loads that are still in progress."""
        tasks = list(self._ensuring.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ensure(self, actor: Actor) -> Ensured:
        entry = self._versions.get(actor)
        if entry is not None and not await self._prove([entry]) and self._versions.get(actor) is not None:
            raise StageUnavailable(STAGE, None, f"actor {actor.id!r} version {actor.version} does not draw")
        async with self._changing:
            entry = self._versions.get(actor)
            if entry is None:
                await self._make_room(actor.id)
                entry = (await self._load([*self._versions.actors(actor.id), actor]))[actor.version]
            entry.used_at = self._clock()
            return Ensured(actor.version, entry.precision)

    async def _prove(self, entries: Iterable[LoadedVersion]) -> bool:
        """Request a canary from each version, and repair those that do not draw. Returns whether all draw then."""
        all_draw = True
        for entry in entries:
            if self._versions.get(entry.actor) is not entry:
                continue  # a restart has reloaded and proven all versions
            try:
                await self._canary(entry)
            except TritonRefused as failure:
                async with self._changing:
                    drawn = entry.drawn
                    with suppress(TritonRefused):
                        await self._versions.update_use()
                    # If it drew for sessions it is only busy; if the entry changed it has been repaired already.
                    if self._versions.get(entry.actor) is entry and entry.drawn == drawn:
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
        if await self._measure_lost_memory() > self._policy.lost_memory_bytes and self._may_restart():
            return await self._restart(f"actor {actor_id} does not draw, and {self._lost_memory()}")
        actors = self._versions.actors(actor_id)
        _log.warning("actor %s does not draw; loading it again: %s", actor_id, failure)
        HEALINGS.labels("load").inc()
        try:
            await self._triton.unload(actor_id)  # loading alone does nothing, because no file has changed
            self._versions.forget(actor_id)
            await self._load(actors)
        except ActorUnusable as error:
            # The actor itself is at fault. A restart would not help, and would interrupt all others.
            self._versions.forget(actor_id)
            _log.error("actor %s is no longer served: %s", actor_id, error)
            return False
        except (TritonRefused, StageUnavailable) as error:
            self._versions.mark_broken(actors)
            return await self._restart(f"actor {actor_id} cannot be loaded again: {error}")
        return True

    async def _silent_round(self) -> bool:
        # A single silent round may only mean that the machine is busy.
        self._silent_rounds += 1
        if self._silent_rounds < _SILENT_ROUNDS:
            return False
        async with self._changing:
            return await self._restart("it does not answer")

    async def _restart(self, reason: str) -> bool:
        """Restart Triton and load everything again. Returns whether all of it draws."""
        if self._own_triton is None:
            _log.error("Triton runs elsewhere and must be restarted there: %s", reason)
            return False
        if not self._may_restart():
            return False
        _log.warning("restarting Triton: %s", reason)
        HEALINGS.labels("restart").inc()
        try:
            await self._own_triton.stop()
            await self._own_triton.start()
            await self._reconnect()
            self._lost_memory_bytes = 0
        except (DanceError, OSError) as error:
            self._restart_failed()
            _log.error("Triton cannot be restarted: %s", error)
            return False
        all_draw = True
        for actor_id in self._versions.ids():
            actors = self._versions.actors(actor_id)
            self._versions.forget(actor_id)
            try:
                await self._load(actors)
            except DanceError as error:
                all_draw = False
                _log.error("actor %s is no longer served: %s", actor_id, error)
        if all_draw:
            self._restarts.reset()
        else:
            self._restart_failed()
        return all_draw

    async def _reconnect(self) -> None:
        """Wait until the client's channel has reconnected: its back-off can outlast Triton's start."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_RECONNECT_SECONDS):
                while True:
                    if await self._triton.answers():
                        return
                    await asyncio.sleep(0.05)

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

    async def _free_lost_memory(self) -> None:
        """Restart Triton to free the memory of dead processes, if no actor is in use."""
        limit_bytes = self._policy.lost_memory_bytes // 4
        if self._lost_memory_bytes <= limit_bytes or any(map(self._in_use, self._versions.all())):
            return
        # The last measurement was at the last death; Triton may have freed the memory since.
        if await self._measure_lost_memory() > limit_bytes and self._may_restart():
            await self._restart(self._lost_memory())

    async def _heal_ended(self) -> None:
        """Reload actors whose process has ended. Triton itself notices only at the next request."""
        if self._own_triton is None:
            return
        drawing = await asyncio.to_thread(self._own_triton.drawing)
        for entry in self._versions.all():
            # Healing an earlier one may have restarted Triton, and with it reloaded all versions.
            is_current = self._versions.get(entry.actor) is entry
            if (entry.actor.id, entry.actor.version) not in drawing and is_current:
                await self._heal(entry.actor.id, "its process has ended")

    async def _reload_missing(self) -> None:
        """Reload versions that a Triton elsewhere lost when its host restarted it. Raises TritonRefused."""
        ready = await self._triton.ready()
        loaded = [entry.actor for entry in self._versions.all()]
        for actor_id in {actor.id for actor in loaded if (actor.id, actor.version) not in ready}:
            _log.warning("Triton no longer has actor %s; loading it again", actor_id)
            HEALINGS.labels("load").inc()
            await self._load_or_log(self._versions.actors(actor_id))

    async def _load_wanted(self) -> None:
        """Load the served versions of every loaded or wanted actor, up to the maximum number of actors."""
        for actor_id in await asyncio.to_thread(self._wanted):
            for version in await self._served(actor_id):
                loaded = self._versions.of(actor_id)
                if version in loaded or self._clock() < self._retry_at.get((actor_id, version), 0.0):
                    continue
                if not loaded and len(self._versions) >= self._policy.max_actors:
                    continue
                try:
                    actor = await asyncio.to_thread(self._store.load, actor_id, version)
                except DanceError as error:
                    self._load_failed(actor_id, version, error)
                    continue
                # One at a time, so that a canary version that fails to load does not affect the other version.
                await self._load_or_log([*self._versions.actors(actor_id), actor])
                fresh = self._versions.get(actor)
                if fresh is not None and not loaded:
                    fresh.used_at = -math.inf  # not requested yet: the first to make room for a requested actor

    async def _served(self, actor_id: str) -> tuple[int, ...]:
        """Return the versions that new sessions get; empty if they cannot be read."""
        if self._clock() < self._unreadable_until.get(actor_id, 0.0):
            return ()
        try:
            served = await asyncio.to_thread(self._store.served, actor_id)
        except ActorNotFound:
            return ()  # its versions were deleted
        except DanceError as error:
            self._unreadable_until[actor_id] = self._clock() + _RETRY_SECONDS
            _log.error("cannot read which version of actor %s is served: %s", actor_id, error)
            return ()
        return served.versions

    async def _load(self, actors: Iterable[Actor]) -> dict[int, LoadedVersion]:
        """Load exactly these versions of one actor; see `LoadedVersions.load`."""
        fresh = await self._versions.load(actors)
        for entry in fresh.values():
            self._retry_at.pop((entry.actor.id, entry.actor.version), None)
        return fresh

    async def _load_or_log(self, actors: list[Actor]) -> None:
        try:
            await self._load(actors)
        except (ActorUnusable, StageUnavailable) as error:
            self._load_failed(actors[-1].id, actors[-1].version, error)

    def _load_failed(self, actor_id: str, version: int, error: DanceError) -> None:
        # A published version never changes, so a permanent error is not retried here; `ensure` still tries.
        pause_seconds = _RETRY_SECONDS if error.retryable else math.inf
        if error.retryable:
            self._failure = str(error)
        self._retry_at[actor_id, version] = self._clock() + pause_seconds
        _log.error("actor %s version %d is not loaded: %s", actor_id, version, error)

    async def _drop_old_versions(self) -> None:
        for actor_id in self._versions.ids():
            versions = self._versions.of(actor_id)
            served = [version for version in await self._served(actor_id) if version in versions]
            if not served:
                continue  # the served version is unknown or cannot be loaded: keep what is loaded
            kept = [e.actor for version, e in versions.items() if version in served or self._in_use(e)]
            if len(kept) < len(versions):
                await self._load_or_log(kept)

    async def _drop_without_consent(self) -> None:
        """Unload versions whose consent has ended or was revoked, and deleted ones. Sessions end by themselves."""
        for actor_id in self._versions.ids():
            actors = self._versions.actors(actor_id)
            kept = []
            for actor in actors:
                try:
                    await asyncio.to_thread(self._store.check_consent, actor)
                    kept.append(actor)
                except NoConsent as error:
                    _log.warning("actor %s version %d is unloaded: %s", actor.id, actor.version, error)
                except ActorUnusable:
                    kept.append(actor)  # its history cannot be read: nothing is loaded anew, and sessions end
            if not kept:
                with suppress(StageUnavailable):  # the next check tries again
                    await self._versions.unload(actor_id)
            elif len(kept) < len(actors):
                await self._load_or_log(kept)

    async def _make_room(self, actor_id: str) -> None:
        """Unload the least recently used actor if one more would exceed the maximum. Raises AtCapacity."""
        if self._versions.of(actor_id) or len(self._versions) < self._policy.max_actors:
            return
        with suppress(TritonRefused):
            await self._versions.update_use()
        oldest = self._versions.least_recently_used()
        if any(self._in_use(entry) for entry in self._versions.of(oldest).values()):
            raise AtCapacity(f"all {self._policy.max_actors} actors that may be loaded at the same time are in use")
        _log.info("unloading actor %s to make room for actor %s", oldest, actor_id)
        await self._versions.unload(oldest)

    def _wanted(self) -> list[str]:
        wanted = self._store.ids() if self._policy.wanted_ids is None else self._policy.wanted_ids
        return list(dict.fromkeys([*self._versions.ids(), *wanted]))

    def _in_use(self, entry: LoadedVersion) -> bool:
        return self._clock() - entry.used_at < self._policy.in_use_seconds
