"""Which networks stay open, and which callers wait for one to open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import cast

import pytest

from services.face.network_cache import FaceNetworks
from services.face.refiner import FaceNetwork
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorNotFound, ActorUnusable, AtCapacity, NoConsent
from serving.inference.engine import PictureEngine


class Workshop:
    """Actors "a", "b" and "c" in versions 1 and 2, "plain" without a face network, and a fake that opens networks.

    `opened` records each opening; "c" is damaged while `c_is_damaged`; openings wait while `may_open` is cleared.
    """

    def __init__(self) -> None:
        self.opened: list[tuple[str, int]] = []
        self.revoked: set[tuple[str, int]] = set()
        self.c_is_damaged = False
        self.may_open = threading.Event()
        self.may_open.set()
        self.thread = ThreadPoolExecutor(1)

    def ids(self) -> list[str]:
        """See `ActorStore.ids`."""
        return ["a", "b", "c", "plain"]

    def load(self, actor_id: str, version: int = 0) -> Actor:
        """See `ActorStore.load`."""
        if actor_id not in self.ids() or version > 2:
            raise ActorNotFound(f"no {actor_id} {version}")
        face = None if actor_id == "plain" else object()
        return cast("Actor", SimpleNamespace(id=actor_id, version=version or 2, face=face))

    def check_consent(self, actor: Actor) -> None:
        """See `ActorStore.check_consent`."""
        if (actor.id, actor.version) in self.revoked:
            raise NoConsent("revoked", "she asked")

    def open_network(self, actor: Actor) -> FaceNetwork:
        """See `open_face_network`."""
        self.opened.append((actor.id, actor.version))
        self.may_open.wait(10)
        if actor.id == "c" and self.c_is_damaged:
            raise ActorUnusable("c is damaged")
        return FaceNetwork(actor, cast("PictureEngine", SimpleNamespace(precision="f32")))

    def networks(self, **limits: int) -> FaceNetworks:
        """A cache with these limits."""
        return FaceNetworks(cast("ActorStore", self), self.open_network, self.thread, **limits)


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    """A workshop whose thread is stopped at the end."""
    made = Workshop()
    yield made
    made.may_open.set()
    made.thread.shutdown()


def keys(networks: FaceNetworks) -> list[tuple[str, int]]:
    """Actor and version of the open networks; the most recently used is first."""
    return [(network.actor.id, network.actor.version) for network in networks.networks()]


async def test_networks_are_opened_once_and_the_oldest_goes(workshop: Workshop):
    """A network stays open while it is used; beyond the bound, the least recently used is evicted."""
    networks = workshop.networks(max_networks=2)
    for actor_id in ("a", "b", "a", "c", "a"):
        assert (await networks.network(actor_id, 1)).actor.id == actor_id
    assert workshop.opened == [("a", 1), ("b", 1), ("c", 1)]
    assert keys(networks) == [("a", 1), ("c", 1)]


async def test_an_opening_does_not_delay_open_networks(workshop: Workshop):
    """While one network opens, once for all callers, an open one is returned at once."""
    networks = workshop.networks()
    await networks.network("a", 1)
    workshop.may_open.clear()
    first, second = (asyncio.create_task(networks.network("b", 1)) for _ in range(2))
    await asyncio.sleep(0)
    assert (await networks.network("a", 1)).actor.id == "a"
    assert not first.done()
    workshop.may_open.set()
    assert await first is await second
    assert workshop.opened == [("a", 1), ("b", 1)]


async def test_who_goes_away_ends_no_opening(workshop: Workshop):
    """The other callers waiting for the same network get it."""
    networks = workshop.networks()
    workshop.may_open.clear()
    gone, stays = (asyncio.create_task(networks.network("b", 1)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    workshop.may_open.set()
    assert (await stays).actor.id == "b"


async def test_too_many_who_wait_are_refused(workshop: Workshop):
    """The number of waiting callers is bounded, because their crops are in memory."""
    networks = workshop.networks(max_waiting=1)
    workshop.may_open.clear()
    first = asyncio.create_task(networks.network("b", 1))
    await asyncio.sleep(0)
    with pytest.raises(AtCapacity):
        await networks.network("b", 1)
    workshop.may_open.set()
    await first


async def test_a_failure_is_reported_and_tried_again(workshop: Workshop):
    """A failure to open goes to its callers, and the next caller tries again."""
    networks = workshop.networks()
    workshop.c_is_damaged = True
    with pytest.raises(ActorUnusable, match="damaged"):
        await networks.network("c", 1)
    with pytest.raises(ActorNotFound):
        await networks.network("a", 3)
    workshop.c_is_damaged = False
    assert (await networks.network("c", 1)).actor.id == "c"


async def test_warm_up_opens_the_newest_as_far_as_there_is_room(workshop: Workshop):
    """Warm-up opens the newest versions, and stops before one would evict the first."""
    await workshop.networks(max_networks=2).warm_up()
    assert workshop.opened == [("a", 2), ("b", 2)]


async def test_warm_up_passes_by_what_cannot_be_opened(workshop: Workshop):
    """A damaged actor and one without a face network do not stop the others from being opened."""
    workshop.c_is_damaged = True
    networks = workshop.networks()
    await networks.warm_up()
    assert keys(networks) == [("b", 2), ("a", 2)]


async def test_a_network_without_consent_is_closed(workshop: Workshop):
    """The others stay open."""
    networks = workshop.networks()
    await networks.network("a", 1)
    await networks.network("b", 1)
    workshop.revoked.add(("a", 1))
    await networks.drop_without_consent()
    assert keys(networks) == [("b", 1)]
