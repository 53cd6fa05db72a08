"""Which versions the agent loads, keeps and unloads, with a fake Triton."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from services.generator.agent import GeneratorAgent
from services.generator.agent_types import AgentPolicy, Ensured
from services.generator.triton.client import TritonClient
from services.generator.triton.model_repository import ModelRepository
from services.generator.triton.process import TritonServer
from serving.actors.rollout import Canary, Served
from serving.actors.store import ActorStore
from serving.errors import ActorUnusable, AtCapacity, BadInput, StageUnavailable
from tests.unit.services.generator.agent_world import World


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
