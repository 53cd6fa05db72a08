"""The agent's decisions, on a Triton that is played."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from services.generator.agent import Ensured, GeneratorAgent
from services.generator.agent_types import Care
from services.generator.triton.client import TritonRefused
from services.generator.triton.model_repository import ModelRepository
from services.generator.triton.process import TritonFailed
from serving.actors.rollout import Canary, Served
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorNotFound, ActorUnusable, AtCapacity, BadInput, StageUnavailable
from tests.damaged_actors import DAMAGES
from tests.tiny_actors import publish_tiny


class World:
    """Actors, a repository, a Triton and its process in one; it notes what the agent does, and breaks when told."""

    def __init__(self, versions: dict[str, list[int]], *, elsewhere: bool = False, **care: float) -> None:
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
        self.mortally_ill: set[str] = set()
        self.cannot_start = False
        self.lost_bytes = 0
        self.load_began, self.loading = asyncio.Event(), asyncio.Event()
        self.loading.set()
        self.agent = GeneratorAgent(
            cast("ActorStore", SimpleNamespace(load=self.load_actor, ids=self.ids, served=self.served)),
            cast("ModelRepository", SimpleNamespace(write=self.write, remove=self.remove)),
            self,
            Care(**care),  # type: ignore[arg-type]
            None if elsewhere else self,
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
        return cast("Actor", SimpleNamespace(id=actor_id, version=version or self.served(actor_id).version))

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
        """What happened since the last call."""
        events, self.events = self.events, []
        return events


async def test_damaged_actors_keep_no_other_from_being_loaded(tmp_path: Path):
    """A round of the agent over a folder with every kind of damage: the sound actor draws, the others are refused."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "kind")
    for name, (damage, _) in DAMAGES.items():
        shutil.copytree(store.root / "kind", store.root / name)
        damage(store.root / name)
    world = World({"kind": [1]})
    repository = cast("ModelRepository", SimpleNamespace(write=world.write, remove=world.remove))
    agent = GeneratorAgent(store, repository, world, Care(wanted_ids=None, max_actors=99), None)
    for _ in range(2):
        assert await agent.check()
        assert agent.loaded() == [("kind", 1)]
    for name, (_, said) in DAMAGES.items():
        with pytest.raises(ActorUnusable, match=re.escape(said)):
            await agent.ensure(name)
    assert await agent.ensure("kind") == Ensured(1, "bf16")


async def test_ensure_loads_once_for_all_who_ask():
    """Callers that ask at the same time wait for one load; one that goes away does not end it for the others."""
    world = World({"a": [1]})
    world.loading.clear()
    first, second, leaver = (asyncio.create_task(world.agent.ensure("a")) for _ in range(3))
    await world.load_began.wait()
    leaver.cancel()
    world.loading.set()
    assert await first == await second == Ensured(1, "bf16")
    assert world.events_since() == ["load a (1,)", "canary a 1"]


async def test_actor_whose_process_has_ended_is_loaded_again_at_once():
    """No canary is due, and nobody has asked for a picture: the next round sees it all the same."""
    world = World({"a": [1], "b": [1]}, canary_seconds=1000.0)
    await world.agent.ensure("a")
    await world.agent.ensure("b")
    world.ended.add("a")
    world.events_since()
    assert await world.agent.check()
    assert world.events_since() == ["unload a", "load a (1,)", "canary a 1"]


async def test_memory_of_the_dead_ends_in_a_restart():
    """Up to the bound a dead process is mended by loading; beyond it Triton starts again, with everything."""
    world = World({"a": [1], "b": [1]}, canary_seconds=1000.0, lost_memory_bytes=100)
    await world.agent.ensure("a")
    await world.agent.ensure("b")
    for lost_bytes, done in (
        (100, ["unload a", "load a (1,)", "canary a 1"]),
        (101, ["stop", "start", "load b (1,)", "canary b 1", "load a (1,)", "canary a 1"]),
        (3, ["unload a", "load a (1,)", "canary a 1"]),
    ):
        world.ended.add("a")
        world.lost_bytes = lost_bytes
        world.events_since()
        assert await world.agent.check()
        assert world.events_since() == done


async def test_memory_of_the_dead_is_shed_earlier_when_nobody_draws():
    """Above a quarter of the bound Triton starts again at the first round in which no actor is in use."""
    world = World({"a": [1]}, canary_seconds=1000.0, in_use_seconds=30.0, lost_memory_bytes=100)
    await world.agent.ensure("a")
    world.ended.add("a")
    world.lost_bytes = 26
    assert await world.agent.check()
    world.events_since()
    assert await world.agent.check()
    assert world.events_since() == []  # it was asked for just now
    world.now += 31.0
    assert await world.agent.check()
    assert world.events_since() == ["stop", "start", "load a (1,)", "canary a 1"]
    world.now += 31.0
    assert await world.agent.check()
    assert world.events_since() == []


async def test_what_triton_gave_back_since_starts_nothing():
    """The memory is looked at again before Triton is disturbed for it."""
    world = World({"a": [1]}, canary_seconds=1000.0, in_use_seconds=30.0, lost_memory_bytes=100)
    await world.agent.ensure("a")
    world.events_since()
    world.ended.add("a")
    world.lost_bytes = 99
    assert await world.agent.check()
    assert world.events_since() == ["unload a", "load a (1,)", "canary a 1"]
    world.lost_bytes = 25
    world.now += 31.0
    assert await world.agent.check()
    assert world.events_since() == []


async def test_ensuring_a_loaded_actor_sends_a_canary():
    """The answer is about now, not about when it was loaded."""
    world = World({"a": [1]})
    await world.agent.ensure("a")
    world.events_since()
    await world.agent.ensure("a")
    assert world.events_since() == ["canary a 1"]


async def test_asking_is_using():
    """A version that a session asks for now and then stays, though it draws nothing; then it makes room for another."""
    world = World({"a": [1], "b": [1]}, max_actors=1, in_use_seconds=30.0)
    await world.agent.ensure("a")
    for _ in range(6):
        world.now += 20.0
        await world.agent.check()
        await world.agent.ensure("a")
    world.now += 29.0
    with pytest.raises(AtCapacity):
        await world.agent.ensure("b")
    world.now += 2.0
    await world.agent.ensure("b")
    assert world.agent.loaded() == [("b", 1)]


async def test_an_old_version_that_is_asked_for_stays():
    """A session that began with version 1 and waits goes on with it after version 2 was published."""
    world = World({"a": [1]}, in_use_seconds=30.0)
    await world.agent.ensure("a", 1)
    world.published["a"] = [1, 2]
    for _ in range(10):
        world.now += 10.0
        await world.agent.check()
        await world.agent.ensure("a", 1)
    assert world.agent.loaded() == [("a", 1), ("a", 2)]


async def test_a_version_that_is_published_and_not_served_is_not_loaded():
    """What the actor's folder says is served stays loaded, whatever is newer; who asks by number gets that one."""
    world = World({"a": [1]}, in_use_seconds=30.0)
    await world.agent.ensure("a")
    world.published["a"], world.said["a"] = [1, 2], Served(1)
    await world.agent.check()
    assert world.agent.loaded() == [("a", 1)]
    assert (await world.agent.ensure("a")).version == 1
    assert (await world.agent.ensure("a", 2)).version == 2
    for _ in range(10):
        world.now += 10.0
        await world.agent.check()
    assert world.agent.loaded() == [("a", 1)]
    world.said["a"] = Served(2)
    await world.agent.check()
    assert ("a", 2) in world.agent.loaded()


async def test_one_actor_that_cannot_be_looked_at_stops_nothing():
    """A name that is no actor's, or an actor that goes while it is looked at: the round goes on with the others."""
    world = World({"Odd": [1], "gone": [1], "z": [1]}, wanted_ids=None)  # type: ignore[arg-type]

    def served(actor_id: str) -> Served:
        if actor_id == "Odd":
            raise BadInput("actor", "'Odd' is no actor id")
        return Served(7 if actor_id == "gone" else 1)

    world.agent = GeneratorAgent(
        cast("ActorStore", SimpleNamespace(load=world.load_actor, ids=world.ids, served=served)),
        cast("ModelRepository", SimpleNamespace(write=world.write, remove=world.remove)),
        world,
        Care(wanted_ids=None),
        world,
        clock=lambda: world.now,
    )
    assert await world.agent.check()
    assert world.agent.loaded() == [("z", 1)]


async def test_drawing_for_sessions_is_proof_enough():
    """A canary goes only to what has drawn nothing for a while."""
    world = World({"a": [1]}, canary_seconds=10.0)
    await world.agent.ensure("a")
    world.events_since()
    world.now += 9.0
    world.drawn["a", 1] += 1
    await world.agent.check()
    world.now += 9.0
    await world.agent.check()
    assert world.events_since() == []
    world.now += 1.0
    await world.agent.check()
    assert world.events_since() == ["canary a 1"]


async def test_canaries_do_not_count_as_use():
    """An old version that only the agent asks for pictures is let go."""
    world = World({"a": [1]}, canary_seconds=1.0, in_use_seconds=30.0)
    await world.agent.ensure("a")
    world.published["a"] = [1, 2]
    for _ in range(40):
        world.now += 1.0
        await world.agent.check()
    assert world.agent.loaded() == [("a", 2)]


async def test_what_does_not_draw_is_loaded_again_then_triton_restarted():
    """First the actor is unloaded and loaded; when that does not help, Triton is restarted with all its actors."""
    world = World({"a": [1], "b": [1]}, canary_seconds=10.0)
    await world.agent.ensure("a")
    await world.agent.ensure("b")
    world.dead.add("a")
    world.mortally_ill.add("a")
    world.now += 11.0
    world.events_since()
    assert await world.agent.check()
    assert world.events_since() == [
        *("unload a", "load a (1,)", "unload a", "stop", "start"),
        *("load b (1,)", "canary b 1", "load a (1,)", "canary a 1"),
    ]
    assert world.agent.loaded() == [("a", 1), ("b", 1)]


async def test_an_actor_at_fault_does_not_restart_triton(caplog: pytest.LogCaptureFixture):
    """When the actor itself cannot be loaded any more, it is dropped; the others are not disturbed."""
    world = World({"a": [1], "b": [1]}, canary_seconds=10.0)
    await world.agent.ensure("a")
    await world.agent.ensure("b")
    world.dead.add("a")
    world.damaged.add(("a", 1))
    world.now += 11.0
    assert not await world.agent.check()
    assert "stop" not in world.events
    assert world.agent.loaded() == [("b", 1)]
    with pytest.raises(ActorUnusable, match=r"is damaged; the generator's log says more$"):
        await world.agent.ensure("a")


async def test_a_busy_actor_is_not_taken_for_dead():
    """A canary that got no turn is no alarm while the actor draws for sessions."""
    world = World({"a": [1]}, canary_seconds=10.0)
    await world.agent.ensure("a")
    world.now += 11.0

    async def no_turn(actor: Actor) -> str:
        world.drawn[actor.id, actor.version] += 5
        raise TritonRefused("Deadline Exceeded")

    world.canary = no_turn  # type: ignore[method-assign]
    world.events_since()
    assert await world.agent.check()
    assert world.events_since() == []


async def test_one_silence_is_no_alarm():
    """Health turns at once when Triton does not answer; it is restarted when it stays silent."""
    world = World({})
    world.speaks = False
    assert not await world.agent.check()
    assert not await world.agent.check()
    assert world.events == []
    assert await world.agent.check()
    assert world.events == ["stop", "start"]


async def test_a_triton_that_lives_but_says_nothing_is_silent_too():
    """Health turns when Triton does not say what it has loaded, as if it did not answer at all."""
    world = World({"a": [1]})
    await world.agent.ensure("a")

    async def nothing() -> set[tuple[str, int]]:
        raise TritonRefused("Deadline Exceeded")

    world.ready = nothing  # type: ignore[method-assign]
    world.events_since()
    assert not await world.agent.check()
    assert not await world.agent.check()
    assert await world.agent.check()
    assert world.events_since() == ["stop", "start", "load a (1,)", "canary a 1"]


async def test_restarts_that_fail_are_spaced():
    """A Triton that cannot start is tried again after growing pauses, and health stays down."""
    world = World({})
    world.alive, world.cannot_start = False, True
    starts = 0
    for _ in range(60):
        assert not await world.agent.check()
        world.now += 1.0
        starts = world.events.count("start")
    assert 4 <= starts <= 7
    world.cannot_start = False
    world.now += 60.0
    assert await world.agent.check()


async def test_a_triton_elsewhere_is_never_restarted_but_filled_again():
    """Without a process of its own the agent only reports; what another Triton lost in its restart is loaded again."""
    world = World({"a": [1]}, elsewhere=True)
    await world.agent.ensure("a")
    world.alive = False
    for _ in range(5):
        assert not await world.agent.check()
    assert "stop" not in world.events
    world.alive = True
    world.serves.clear()
    world.events_since()
    assert await world.agent.check()
    assert world.events_since() == ["load a (1,)", "canary a 1"]


async def test_wanted_actors_are_loaded_as_they_are_published():
    """All are wanted: up to the cap they are loaded, later ones too; nothing is pushed out for them."""
    world = World({"a": [1]}, wanted_ids=None, max_actors=2)  # type: ignore[arg-type]
    await world.agent.check()
    assert world.agent.loaded() == [("a", 1)]
    world.published |= {"b": [1], "c": [1]}
    await world.agent.check()
    assert world.agent.loaded() == [("a", 1), ("b", 1)]
    await world.agent.ensure("c")
    assert ("c", 1) in world.agent.loaded(), "whom nobody has asked for makes room at once"


async def test_a_damaged_version_is_tried_once():
    """A published version never changes, so one that cannot be loaded is not tried every second."""
    world = World({"a": [1]}, wanted_ids=None)  # type: ignore[arg-type]
    world.damaged.add(("a", 1))
    for _ in range(3):
        assert await world.agent.check()
    assert [event for event in world.events if event.startswith("load")] == ["load a (1,)"]
    assert not world.agent.failure, "the actor is to blame, and not Triton"


async def test_a_triton_that_draws_nothing_of_what_was_wanted_is_told():
    """No actor is to blame: whoever starts a server hears of it before a session does. One that draws is enough."""
    world = World({"a": [1], "b": [1]}, wanted_ids=None)  # type: ignore[arg-type]
    world.dead |= {"a", "b"}
    world.mortally_ill |= {"a", "b"}
    await world.agent.check()
    assert "is not healthy" in world.agent.failure
    world.mortally_ill.remove("b")
    world.now += 60.0
    await world.agent.check()
    assert world.agent.loaded() == [("b", 1)]
    assert not world.agent.failure


async def test_an_old_version_can_be_asked_for():
    """A session that goes on with an old version gets it, beside the newest."""
    world = World({"a": [1, 2]})
    await world.agent.ensure("a")
    assert await world.agent.ensure("a", 1) == Ensured(1, "bf16")
    assert world.serves["a"] == (1, 2)


async def test_ensure_says_when_triton_cannot_draw():
    """When nothing helps, the caller hears of it, and the next check goes on trying."""
    world = World({"a": [1]}, elsewhere=True)
    await world.agent.ensure("a")
    world.dead.add("a")
    world.mortally_ill.add("a")
    with pytest.raises(StageUnavailable, match="does not draw"):
        await world.agent.ensure("a")
    world.mortally_ill.clear()
    world.now += 60.0
    assert await world.agent.check()
    assert await world.agent.ensure("a") == Ensured(1, "bf16")


async def test_a_canary_is_loaded_beside_what_is_served_and_both_stay():
    """Neither has to be asked for; a rollback, or what is promoted, lets the other one go once nobody uses it."""
    world = World({"a": [1]}, in_use_seconds=30.0)
    await world.agent.ensure("a")
    world.published["a"] = [1, 2, 3]
    world.said["a"] = Served(1, Canary(2, 10))
    for _ in range(5):
        world.now += 100.0
        assert await world.agent.check()
        assert world.agent.loaded() == [("a", 1), ("a", 2)]
    world.said["a"] = Served(1)
    world.now += 100.0
    await world.agent.check()
    assert world.agent.loaded() == [("a", 1)]


async def test_a_canary_that_cannot_be_loaded_takes_nothing_away():
    """The version beside it is served on."""
    world = World({"a": [1, 2]})
    world.said["a"] = Served(1, Canary(2, 50))
    world.damaged.add(("a", 2))
    await world.agent.ensure("a", 1)
    assert await world.agent.check()
    assert world.agent.loaded() == [("a", 1)]


async def test_what_is_served_stays_while_it_cannot_be_told_what_is():
    """A damaged serving.json changes nothing about what is loaded; it is read again after a while."""
    world = World({"a": [1, 2]}, in_use_seconds=30.0)
    world.said["a"] = Served(1)
    await world.agent.ensure("a", 2)
    await world.agent.ensure("a", 1)
    world.said["a"] = ActorUnusable("serving.json cannot be read")
    world.now += 100.0
    assert await world.agent.check()
    assert world.agent.loaded() == [("a", 1), ("a", 2)]
    world.said["a"] = Served(1)
    world.now += 100.0
    await world.agent.check()
    assert world.agent.loaded() == [("a", 1)]
