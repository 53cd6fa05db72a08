"""Which face networks are held: the ones used last. Opening one keeps no face of another actor waiting."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress

from services.face.refiner import FaceNetwork
from serving.actors.store import Actor, ActorStore
from serving.errors import AtCapacity, DanceError

_log = logging.getLogger(__name__)

Key = tuple[str, int]


class FaceNetworks:
    """Opens networks when they are first asked for. Lives on the event loop.

    open_network: opens an actor's network, as `services.face.refiner.open_face_network` does; called in `opener`, for
    one network at a time. max_networks: how many are held; the one that was used least recently goes first.
    max_waiting: callers that may wait for networks to be opened.
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

    def held(self) -> list[Key]:
        """Actor and version of the networks that are held; the one that was used last comes last."""
        return list(self._held)

    def networks(self) -> list[FaceNetwork]:
        """The networks that are held; the one that was used last comes first."""
        return list(reversed(self._held.values()))

    async def network(self, actor_id: str, version: int) -> FaceNetwork:
        """The network of one version of an actor. Callers that ask at the same time wait for one and the same opening.

        Raises BadInput, ActorNotFound and ActorUnusable for the actor, AtCapacity when too many wait already.
        """
        key = (actor_id, version)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        if self._waiting >= self._max_waiting:
            raise AtCapacity(f"{self._max_waiting} are waiting for face networks already")
        task = self._opening.get(key)
        if task is None:
            task = asyncio.create_task(self._open(key), name=f"face network {actor_id} {version}")
            self._opening[key] = task
            task.add_done_callback(lambda _: self._opening.pop(key))
        self._waiting += 1
        try:
            # A caller that goes away must not end the opening for the others.
            return await asyncio.shield(task)
        finally:
            self._waiting -= 1

    async def warm_up(self) -> None:
        """Opens the served version of every actor that has a face network, as far as there is room.

        An actor that cannot be served is logged; whoever asks for it will be told.
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
        """Waits for the network that is being opened."""
        with suppress(DanceError):
            for task in list(self._opening.values()):
                await task

    async def _open(self, key: Key) -> FaceNetwork:
        network = await asyncio.get_running_loop().run_in_executor(self._opener, self._loaded_and_opened, key)
        _log.info("actor %s version %d: face network in %s", *key, network.engine.precision)
        self._held[key] = network
        while len(self._held) > self._max_networks:
            self._held.popitem(last=False)
        return network

    def _loaded_and_opened(self, key: Key) -> FaceNetwork:
        return self._open_network(self._store.load(*key))
