"""A cache of open face networks. Opening one does not block the faces of other actors."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress

from services.face.refiner import FaceNetwork
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorUnusable, AtCapacity, DanceError, NoConsent

_log = logging.getLogger(__name__)

Key = tuple[str, int]


class FaceNetworks:
    """Opens networks on first use, and keeps the most recently used. Must be used on the event loop.

    open_network: opens an actor's network, like `services.face.refiner.open_face_network`; called in `opener`, for one
    network at a time. max_networks: how many are kept; the least recently used is evicted first. max_waiting: how many
    callers may wait for networks to open.
    """

    def __init__(
        self,
        store: ActorStore,
        open_network: Callable[[Actor], FaceNetwork],
        opener: Executor,
        *,
        max_networks: int = 8,
        max_waiting: int = 64,
    ) -> None:
        self._store = store
        self._open_network = open_network
        self._opener = opener
        self._max_networks = max_networks
        self._max_waiting = max_waiting
        self._waiting = 0
        self._held: OrderedDict[Key, FaceNetwork] = OrderedDict()
        self._opening: dict[Key, asyncio.Task[FaceNetwork]] = {}

    def networks(self) -> list[FaceNetwork]:
        """Return the open networks; the most recently used is first."""
        return list(reversed(self._held.values()))

    async def network(self, actor_id: str, version: int) -> FaceNetwork:
        """Return the network of one version of an actor. Concurrent callers share one opening.

        Raises BadInput, ActorNotFound and ActorUnusable for the actor, and AtCapacity if too many callers wait.
        """
        key = (actor_id, version)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        if self._waiting >= self._max_waiting:
            raise AtCapacity(f"{self._max_waiting} faces are already waiting for a network to open")
        task = self._opening.get(key)
        if task is None:
            task = asyncio.create_task(self._open(key), name=f"face network {actor_id} {version}")
            self._opening[key] = task
            task.add_done_callback(lambda _: self._opening.pop(key))
        self._waiting += 1
        try:
            # A caller that is cancelled must not cancel the opening for the others.
            return await asyncio.shield(task)
        finally:
            self._waiting -= 1

    async def drop_without_consent(self) -> None:
        """Close the networks of versions whose consent has ended or was revoked, and of deleted ones."""
        for key, network in list(self._held.items()):
            try:
                await asyncio.to_thread(self._store.check_consent, network.actor)
            except NoConsent as error:
                _log.warning("actor %s version %d: its face network is closed: %s", *key, error)
                self._held.pop(key, None)
            except ActorUnusable as error:
                _log.warning("actor %s version %d: its consent cannot be checked: %s", *key, error)

    async def warm_up(self) -> None:
        """Open the served version of every actor that has a face network, up to `max_networks`.

        An actor that cannot be served is logged; requests for it will fail with the same error.
        """
        for actor_id in await asyncio.to_thread(self._store.ids):
            if len(self._held) >= self._max_networks:
                return
            try:
                actor = await asyncio.to_thread(self._store.load, actor_id)
                if actor.face is not None:
                    await self.network(actor.id, actor.version)
            except DanceError as error:
                _log.warning("no face network for actor %s: %s", actor_id, error)

    async def close(self) -> None:
        """Wait for networks that are still opening."""
        with suppress(DanceError):
            for task in list(self._opening.values()):
                await task

    async def _open(self, key: Key) -> FaceNetwork:
        network = await asyncio.get_running_loop().run_in_executor(
            self._opener, lambda: self._open_network(self._store.load(*key))
        )
        _log.info("actor %s version %d: face network in %s", *key, network.engine.precision)
        self._held[key] = network
        while len(self._held) > self._max_networks:
            self._held.popitem(last=False)
        return network
