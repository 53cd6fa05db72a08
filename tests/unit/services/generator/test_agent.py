"""The agent's decisions, with a fake Triton."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from services.generator.agent import GeneratorAgent
from services.generator.agent_types import AgentPolicy, Ensured
from services.generator.triton.client import TritonClient, TritonRefused
from services.generator.triton.model_repository import ModelRepository
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorUnusable, NoConsent
from tests.damaged_actors import DAMAGES
from tests.tiny_actors import publish_tiny
from tests.unit.services.generator.agent_world import World


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


async def test_a_version_without_consent_is_unloaded():
    """The next check does it, although a session may be using it; other versions stay, and `ensure` refuses."""
    world = World({"a": [1, 2], "b": [1]})
    for wanted in (("a", 1), ("a", 2), ("b", 1)):
        await world.agent.ensure(*wanted)
    world.revoked.add(("a", 2))
    assert await world.agent.check()
    assert world.agent.loaded() == [("a", 1), ("b", 1)]
    world.revoked.update({("a", 1), ("b", 1)})
    assert await world.agent.check()
    assert world.agent.loaded() == []
    assert world.serves == world.written == {}
    with pytest.raises(NoConsent, match="was revoked"):
        await world.agent.ensure("a", 1)
