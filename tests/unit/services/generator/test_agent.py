"""The agent's decisions, with a fake Triton."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from services.generator.agent import GeneratorAgent
from services.generator.agent_types import AgentPolicy, Ensured
from services.generator.triton.client import TritonClient, TritonRefused
from services.generator.triton.model_repository import ModelRepository
from services.generator.triton.process import TritonFailed, TritonServer
from serving.actors.rollout import Canary, Served
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorNotFound, ActorUnusable, AtCapacity, BadInput, StageUnavailable
from tests.damaged_actors import DAMAGES
from tests.tiny_actors import publish_tiny


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
        self.mortally_ill: set[str] = set()
        self.cannot_start = False
        self.lost_bytes = 0
        self.load_began, self.loading = asyncio.Event(), asyncio.Event()
        self.loading.set()
        self.agent = GeneratorAgent(
            cast("ActorStore", SimpleNamespace(load=self.load_actor, ids=self.ids, served=self.served)),
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
        """Return the events since the last call."""
        events, self.events = self.events, []
        return events


async def test_damaged_actors_do_not_affect_the_others(tmp_path: Path):
    """In a folder with every kind of damage, the intact actor draws, and the others are rejected."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "kind")
    for name, (damage, _) in DAMAGES.items():
        shutil.copytree(store.root / "kind", store.root / name)
        damage(store.root / name)
    world = World({"kind": [1]})
    repository = cast("ModelRepository", SimpleNamespace(write=world.write, remove=world.remove))
    agent = GeneratorAgent(store, repository, cast("TritonClient", world), AgentPolicy(wanted_ids=None, max_actors=99))
    for _ in range(2):
        assert await agent.check()
        assert agent.loaded() == [("kind", 1)]
    for name, (_, said) in DAMAGES.items():
        with pytest.raises(ActorUnusable, match=re.escape(said)):
            await agent.ensure(name)
    assert await agent.ensure("kind") == Ensured(1, "bf16")


async def test_ensure_loads_once_for_all_who_ask():
    """Concurrent callers share one load; a caller that is cancelled does not cancel it for the others."""
    world = World({"a": [1]})
    world.loading.clear()
    first, second, leaver = (asyncio.create_task(world.agent.ensure("a")) for _ in range(3))
    await world.load_began.wait()
    leaver.cancel()
    world.loading.set()
    assert await first == await second == Ensured(1, "bf16")
    assert world.events_since() == ["load a (1,)", "canary a 1"]


async def test_actor_whose_process_has_ended_is_loaded_again_at_once():
    """The next check detects an ended process, although no canary is due and no picture was requested."""
    world = World({"a": [1], "b": [1]}, canary_seconds=1000.0)
    await world.agent.ensure("a")
    await world.agent.ensure("b")
    world.ended.add("a")
    world.events_since()
    assert await world.agent.check()
    assert world.events_since() == ["unload a", "load a (1,)", "canary a 1"]


async def test_too_much_lost_memory_causes_a_restart():
    """Up to the limit, the agent reloads the actor of a dead process; beyond it, it restarts Triton with everything."""
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


async def test_lost_memory_is_freed_earlier_while_no_actor_is_in_use():
    """Above a quarter of the limit, the agent restarts Triton at the first check at which no actor is in use."""
    world = World({"a": [1]}, canary_seconds=1000.0, in_use_seconds=30.0, lost_memory_bytes=100)
    await world.agent.ensure("a")
    world.ended.add("a")
    world.lost_bytes = 26
    assert await world.agent.check()
    world.events_since()
    assert await world.agent.check()
    assert world.events_since() == []  # it was requested just now
    world.now += 31.0
    assert await world.agent.check()
    assert world.events_since() == ["stop", "start", "load a (1,)", "canary a 1"]
    world.now += 31.0
    assert await world.agent.check()
    assert world.events_since() == []


async def test_memory_that_triton_has_freed_causes_no_restart():
    """The agent measures the lost memory again before it restarts Triton."""
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
    """`ensure` checks the actor's current state, not the state when it was loaded."""
    world = World({"a": [1]})
    await world.agent.ensure("a")
    world.events_since()
    await world.agent.ensure("a")
    assert world.events_since() == ["canary a 1"]


async def test_a_request_counts_as_use():
    """A version that is requested regularly stays loaded without drawing; afterwards it makes room for another."""
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


async def test_an_old_version_that_is_requested_stays():
    """An idle session that began with version 1 can continue with it after version 2 was published."""
    world = World({"a": [1]}, in_use_seconds=30.0)
    await world.agent.ensure("a", 1)
    world.published["a"] = [1, 2]
    for _ in range(10):
        world.now += 10.0
        await world.agent.check()
        await world.agent.ensure("a", 1)
    assert world.agent.loaded() == [("a", 1), ("a", 2)]


async def test_a_version_that_is_published_and_not_served_is_not_loaded():
    """The served version stays loaded, even if there is a newer one; a version requested by number is loaded too."""
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


async def test_an_unreadable_actor_does_not_stop_the_check():
    """The check goes on with the other actors after an invalid id, or an actor that is removed during the check."""
    world = World({"Odd": [1], "gone": [1], "z": [1]}, wanted_ids=None)  # type: ignore[arg-type]

    def served(actor_id: str) -> Served:
        if actor_id == "Odd":
            raise BadInput("actor", "'Odd' is not an actor id")
        return Served(7 if actor_id == "gone" else 1)

    world.agent = GeneratorAgent(
        cast("ActorStore", SimpleNamespace(load=world.load_actor, ids=world.ids, served=served)),
        cast("ModelRepository", SimpleNamespace(write=world.write, remove=world.remove)),
        cast("TritonClient", world),
        AgentPolicy(wanted_ids=None),
        cast("TritonServer", world),
        clock=lambda: world.now,
    )
    assert await world.agent.check()
    assert world.agent.loaded() == [("z", 1)]


async def test_drawing_for_sessions_replaces_canaries():
    """Only versions that have drawn nothing for a while get a canary."""
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
    """An old version that draws only canaries is unloaded."""
    world = World({"a": [1]}, canary_seconds=1.0, in_use_seconds=30.0)
    await world.agent.ensure("a")
    world.published["a"] = [1, 2]
    for _ in range(40):
        world.now += 1.0
        await world.agent.check()
    assert world.agent.loaded() == [("a", 2)]


async def test_an_actor_that_does_not_draw_is_reloaded_then_triton_restarted():
    """First the actor is unloaded and loaded; if that does not help, Triton is restarted with all its actors."""
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
    """An actor that can no longer be loaded is dropped, without interrupting the others."""
    world = World({"a": [1], "b": [1]}, canary_seconds=10.0)
    await world.agent.ensure("a")
    await world.agent.ensure("b")
    world.dead.add("a")
    world.damaged.add(("a", 1))
    world.now += 11.0
    assert not await world.agent.check()
    assert "stop" not in world.events
    assert world.agent.loaded() == [("b", 1)]
    with pytest.raises(ActorUnusable, match=r"is damaged; see the generator's log$"):
        await world.agent.ensure("a")


async def test_a_busy_actor_is_not_considered_dead():
    """A canary that times out in the queue is ignored while the actor draws for sessions."""
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


async def test_one_time_out_causes_no_restart():
    """Health changes at the first time-out of Triton; only repeated ones cause a restart."""
    world = World({})
    world.speaks = False
    assert not await world.agent.check()
    assert not await world.agent.check()
    assert world.events == []
    assert await world.agent.check()
    assert world.events == ["stop", "start"]


async def test_a_live_triton_without_an_index_counts_as_silent():
    """A Triton that is live but does not report its models is treated like one that does not answer."""
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


async def test_failed_restarts_back_off():
    """A Triton that cannot start is restarted with exponential back-off, and stays unhealthy."""
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


async def test_a_triton_elsewhere_is_never_restarted_but_reloaded():
    """For a Triton elsewhere, the agent only reports failures, and reloads what a restart of that Triton lost."""
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
    """If all actors are wanted, they are loaded up to the maximum, also later ones; none is unloaded for them."""
    world = World({"a": [1]}, wanted_ids=None, max_actors=2)  # type: ignore[arg-type]
    await world.agent.check()
    assert world.agent.loaded() == [("a", 1)]
    world.published |= {"b": [1], "c": [1]}
    await world.agent.check()
    assert world.agent.loaded() == [("a", 1), ("b", 1)]
    await world.agent.ensure("c")
    assert ("c", 1) in world.agent.loaded(), "an actor that was never requested makes room at once"


async def test_a_damaged_version_is_tried_once():
    """A published version never changes, so a damaged one is not tried again."""
    world = World({"a": [1]}, wanted_ids=None)  # type: ignore[arg-type]
    world.damaged.add(("a", 1))
    for _ in range(3):
        assert await world.agent.check()
    assert [event for event in world.events if event.startswith("load")] == ["load a (1,)"]
    assert not world.agent.failure, "the actor is at fault, not Triton"


async def test_a_triton_that_draws_no_wanted_actor_is_a_failure():
    """If no actor is at fault and none draws, `failure` gives the reason; one actor that draws is enough."""
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


async def test_an_old_version_can_be_requested():
    """A session that resumes with an old version gets it, and the newest one stays loaded."""
    world = World({"a": [1, 2]})
    await world.agent.ensure("a")
    assert await world.agent.ensure("a", 1) == Ensured(1, "bf16")
    assert world.serves["a"] == (1, 2)


async def test_ensure_fails_when_triton_cannot_draw():
    """If no repair helps, the caller gets an error, and later checks try again."""
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


async def test_a_canary_is_loaded_beside_the_served_version_and_both_stay():
    """Neither has to be requested. After a rollback or a promotion, the other one is unloaded once it is unused."""
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


async def test_a_canary_that_cannot_be_loaded_does_not_affect_the_served_version():
    """The served version stays loaded."""
    world = World({"a": [1, 2]})
    world.said["a"] = Served(1, Canary(2, 50))
    world.damaged.add(("a", 2))
    await world.agent.ensure("a", 1)
    assert await world.agent.check()
    assert world.agent.loaded() == [("a", 1)]


async def test_a_damaged_serving_file_changes_nothing():
    """While serving.json is damaged, the loaded versions stay; it is read again after a while."""
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
