"""Wardrobes are read once, shared, and dropped when they are no longer used."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.session.wardrobes import Wardrobes
from serving.actors.store import Actor
from serving.errors import ActorUnusable, NoConsent
from serving.observability import metrics

BYTES = 100


class Shelf:
    """A folder of actors whose wardrobes take 100 bytes each; `reads` lists what was read."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, int]] = []
        self.fails = False
        self.held: threading.Event | None = None

    def actor(self, actor_id: str, version: int = 1) -> Actor:
        """An actor whose wardrobe can be read, unless the shelf fails."""

        def read_wardrobe() -> Any:
            self.reads.append((actor_id, version))
            if self.held is not None:
                self.held.wait(10)
            if self.fails:
                raise ActorUnusable(f"actor {actor_id!r} version {version}: wardrobe.npz: pixels: is missing")
            return SimpleNamespace(memory_bytes=BYTES)

        return cast("Actor", SimpleNamespace(id=actor_id, version=version, read_wardrobe=read_wardrobe))


@pytest.fixture
def shelf() -> Shelf:
    """Actors to borrow wardrobes of."""
    return Shelf()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Two threads that read."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


def held_bytes() -> float:
    """The metric of loaded wardrobes."""
    return float(metrics.WARDROBE_BYTES._value.get())


async def test_sessions_that_begin_together_share_one_reading(shelf: Shelf, threads: ThreadPoolExecutor):
    """Concurrent sessions wait for the same reading, and get the same object."""
    wardrobes, actor = Wardrobes(threads, idle_bytes=BYTES), shelf.actor("anna")
    first, second, third = await asyncio.gather(*(wardrobes.borrow(actor) for _ in range(3)))
    assert first is second is third
    assert shelf.reads == [("anna", 1)]
    assert held_bytes() == BYTES


async def test_idle_wardrobes_stay_within_the_limit(shelf: Shelf, threads: ThreadPoolExecutor):
    """The least recently used go first; wardrobes in use do not count and never go."""
    wardrobes = Wardrobes(threads, idle_bytes=2 * BYTES)
    actors = [shelf.actor(name) for name in ("anna", "ben", "cara", "dora")]
    for actor in actors:
        await wardrobes.borrow(actor)
    assert held_bytes() == 4 * BYTES
    for actor in (actors[1], actors[0], actors[2]):
        wardrobes.give_back(actor)
    assert held_bytes() == 3 * BYTES  # ben is gone
    shelf.reads.clear()
    for actor in actors:
        await wardrobes.borrow(actor)
    assert shelf.reads == [("ben", 1)]


async def test_versions_that_sessions_no_longer_begin_with_are_dropped(shelf: Shelf, threads: ThreadPoolExecutor):
    """When a session begins with a new version, the idle old one goes; an old one in use stays until it is idle."""
    wardrobes = Wardrobes(threads, idle_bytes=10 * BYTES)
    old, new, other = shelf.actor("anna", 1), shelf.actor("anna", 2), shelf.actor("ben")
    await wardrobes.borrow(other)
    wardrobes.give_back(other)
    await wardrobes.borrow(old)
    await wardrobes.borrow(new)
    assert held_bytes() == 3 * BYTES
    wardrobes.give_back(old)
    await wardrobes.borrow(new)
    assert held_bytes() == 2 * BYTES  # ben's and the new one
    assert shelf.reads == [("ben", 1), ("anna", 1), ("anna", 2)]


async def test_a_wardrobe_that_cannot_be_read_is_tried_again(shelf: Shelf, threads: ThreadPoolExecutor):
    """Every session that waits gets the error; the next session reads the file again."""
    wardrobes, actor = Wardrobes(threads, idle_bytes=0), shelf.actor("anna")
    shelf.fails = True
    failures = await asyncio.gather(*(wardrobes.borrow(actor) for _ in range(2)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [ActorUnusable, ActorUnusable]
    shelf.fails = False
    await wardrobes.borrow(actor)
    assert shelf.reads == [("anna", 1)] * 2
    wardrobes.give_back(actor)
    assert held_bytes() == 0


async def test_a_cancelled_session_leaves_the_reading_to_the_others(shelf: Shelf, threads: ThreadPoolExecutor):
    """The reading goes on for the other session, and nothing stays behind after the last one."""
    wardrobes, actor = Wardrobes(threads, idle_bytes=0), shelf.actor("anna")
    shelf.held = threading.Event()
    sessions = [asyncio.create_task(wardrobes.borrow(actor)) for _ in range(2)]
    await asyncio.sleep(0)
    sessions[0].cancel()
    await asyncio.wait(sessions[:1])
    shelf.held.set()
    assert await sessions[1] is not None
    assert shelf.reads == [("anna", 1)]
    wardrobes.give_back(actor)
    assert held_bytes() == 0


@pytest.mark.parametrize(("fails", "idle_bytes", "kept"), [(False, BYTES, BYTES), (False, 0, 0), (True, BYTES, 0)])
async def test_sessions_that_end_at_once_share_one_reading(
    shelf: Shelf, threads: ThreadPoolExecutor, *, fails: bool, idle_bytes: int, kept: int
):
    """A client that opens and cancels sessions makes the server read once; the result counts as idle."""
    wardrobes, actor = Wardrobes(threads, idle_bytes=idle_bytes), shelf.actor("anna")
    shelf.held, shelf.fails = threading.Event(), fails
    for _ in range(5):
        session = asyncio.create_task(wardrobes.borrow(actor))
        await asyncio.sleep(0)
        session.cancel()
        await asyncio.wait([session])
    last = asyncio.create_task(wardrobes.borrow(actor))
    await asyncio.sleep(0)
    shelf.held.set()
    await asyncio.wait([last])
    assert shelf.reads == [("anna", 1)]
    if not fails:
        wardrobes.give_back(actor)
    assert held_bytes() == kept


async def test_a_reading_that_outlives_its_sessions_is_tidied_up(shelf: Shelf, threads: ThreadPoolExecutor):
    """Without room for idle wardrobes, one that no session waits for any more is dropped as soon as it is read."""
    wardrobes, actor = Wardrobes(threads, idle_bytes=0), shelf.actor("anna")
    shelf.held = threading.Event()
    session = asyncio.create_task(wardrobes.borrow(actor))
    await asyncio.sleep(0)
    session.cancel()
    await asyncio.wait([session])
    reading = wardrobes._shelves["anna", 1, None].loading
    shelf.held.set()
    await asyncio.wait([reading])
    assert not wardrobes._shelves
    assert held_bytes() == 0


async def test_an_idle_wardrobe_is_dropped_when_the_consent_ends(shelf: Shelf, threads: ThreadPoolExecutor):
    """One that a session uses stays until that session ends, which is at its next frame."""
    wardrobes = Wardrobes(threads, idle_bytes=10 * BYTES)
    anna, ben, cara = (shelf.actor(name) for name in ("anna", "ben", "cara"))
    for actor in (anna, ben, cara):
        await wardrobes.borrow(actor)
    wardrobes.give_back(anna)
    wardrobes.give_back(ben)

    def check(actor: Actor) -> None:
        if actor.id != "ben":
            raise NoConsent("revoked", "she asked")

    await wardrobes.drop_without_consent(check)
    assert held_bytes() == 2 * BYTES
    wardrobes.give_back(cara)
    await wardrobes.drop_without_consent(check)
    assert held_bytes() == BYTES
