"""The generator on a real Triton: its answers, and how the agent keeps it drawing."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest
import pytest_asyncio
import tritonclient.grpc.aio as triton_grpc
from tritonclient.utils import InferenceServerException

from services.generator.agent import GeneratorAgent
from services.generator.agent_types import AgentPolicy
from services.generator.triton.client import TritonClient, TritonRefused
from services.generator.triton.model_repository import EngineOptions, ModelRepository
from services.generator.triton.process import TritonFailed, TritonPorts, TritonServer
from serving.actors.rollout import Canary, Served
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorNotFound, ActorUnusable, AtCapacity, BadSettings
from serving.rpc.channels import CHANNEL_OPTIONS
from tests.contract.triton_drawings import assert_draws, draw, pictures, right_answer
from tests.pipeline.fake_stages import person
from tests.tiny_wardrobes import tiny_wardrobe

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(importlib.util.find_spec("pytriton") is None, reason="nvidia-pytriton is not installed"),
]

OPTIONS = EngineOptions(threads=1, precision="f32")  # in float32 the expected answer is exact


class Running:
    """A Triton, an agent with a manual clock, and a caller."""

    def __init__(
        self, server: TritonServer, repository: ModelRepository, store: ActorStore, client: TritonClient
    ) -> None:
        self.server = server
        self.repository = repository
        self.client = client
        self.now = 1000.0
        policy = AgentPolicy(max_actors=2, in_use_seconds=30.0, canary_seconds=10.0)
        self.agent = GeneratorAgent(store, repository, client, policy, server, clock=lambda: self.now)

    async def forget_all(self) -> None:
        """Let the agent see what was drawn, and advance the clock until no actor is in use."""
        await self.agent.check()
        self.now += 100.0

    def stub_of(self, actor: Actor) -> psutil.Process:
        """Return the process that runs this version of the actor; of several, the newest."""
        path = f"/{actor.id}/{actor.version}/model.py"
        children = [p for p in psutil.Process(self.server.pid).children() if p.status() != psutil.STATUS_ZOMBIE]
        stubs = [process for process in children if any(word.endswith(path) for word in process.cmdline())]
        return max(stubs, key=lambda process: process.create_time())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def triton(store: ActorStore, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Run one Triton for all tests of this file, and check that it leaves nothing behind."""
    folder = tmp_path_factory.mktemp("triton")
    repository = ModelRepository(folder / "repository", store.root, OPTIONS)
    repository.root.mkdir()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(TritonServer(repository.root, folder / "triton.log", exit_seconds=1))
        client = TritonClient(
            server.address, load_seconds=30.0, canary_seconds=10.0, repository_key=lambda: server.repository_key
        )
        stack.push_async_callback(client.close)
        running = Running(server, repository, store, client)
        stack.push_async_callback(running.agent.close)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def running(triton: Running) -> Running:
    """Return the Triton and its agent; actors loaded by earlier tests are not in use."""
    await triton.forget_all()
    return triton


@pytest_asyncio.fixture(loop_scope="module")
async def caller(running: Running) -> AsyncIterator[triton_grpc.InferenceServerClient]:
    """Open a connection like the orchestrator's."""
    client = triton_grpc.InferenceServerClient(running.server.address, channel_args=list(CHANNEL_OPTIONS))
    yield client
    await client.close()


async def test_an_ensured_actor_draws(running: Running, caller, publish: Callable[..., Actor]):
    """An ensured actor draws exactly what its network computes, and reports the time and the precision."""
    actor = publish("echo", bias=5)
    ensured = await running.agent.ensure("echo")
    label_map, previous = pictures(1, count=2), pictures(2, count=2)
    result = await draw(caller, actor, label_map, previous)
    np.testing.assert_array_equal(result.as_numpy("FRAME"), right_answer(label_map, previous, 5))
    seconds = result.as_numpy("COMPUTE_SECONDS")
    assert (ensured.version, ensured.precision) == (1, "f32")
    assert (seconds.shape, seconds.dtype) == ((2, 1), np.float64)
    assert (seconds > 0).all()


async def test_neighbours_change_nothing(running: Running, caller, publish: Callable[..., Actor]):
    """Requests that arrive together get the same bytes as each gets alone."""
    actor = publish("crowd", bias=1)
    await running.agent.ensure("crowd")
    asked = [(pictures(seed), pictures(seed + 50)) for seed in range(3)]
    alone = [(await draw(caller, actor, *pair)).as_numpy("FRAME") for pair in asked]
    together = await asyncio.gather(*(draw(caller, actor, *pair) for pair in asked))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other.as_numpy("FRAME"))


async def test_a_wrong_picture_harms_only_its_sender(running: Running, caller, publish: Callable[..., Actor]):
    """A picture of the wrong size is refused with its name and size, while the others in the batch are drawn."""
    actor = publish("strict")
    await running.agent.ensure("strict")

    async def refused() -> None:
        with pytest.raises(InferenceServerException, match=r"LABEL_MAP.*\(16, 16, 3\)") as refusal:
            await draw(caller, actor, pictures(1, side_px=16), pictures(2, side_px=16))
        assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"

    await asyncio.gather(assert_draws(caller, actor, 0), refused(), assert_draws(caller, actor, 0))


async def test_an_unknown_actor_is_named(running: Running):
    """An actor or a version that does not exist is refused without a call to Triton."""
    with pytest.raises(ActorNotFound, match="nobody"):
        await running.agent.ensure("nobody")
    with pytest.raises(ActorNotFound, match="version 7"):
        await running.agent.ensure("echo", 7)


async def test_other_label_maps_are_refused_at_load(running: Running, publish: Callable[..., Actor]):
    """An actor of another label-map version is refused by the agent, and by the model when Triton loads it."""
    publish("foreign", label_map_version=99)
    with pytest.raises(ActorUnusable, match="version 99"):
        await running.agent.ensure("foreign")
    running.repository.write("foreign", [1])
    with pytest.raises(TritonRefused, match=r"ActorUnusable.*label maps of version 99"):
        await running.client.load("foreign")
    await running.client.unload("foreign")


async def test_a_damaged_actor_shows_the_log(
    running: Running, store: ActorStore, publish: Callable[..., Actor], caplog: pytest.LogCaptureFixture
):
    """An unreadable network is an error with the reason; its path and Triton's log are only in the agent's log."""
    actor = publish("broken", generator=b"this is no network")
    with pytest.raises(ActorUnusable, match=r"broken.*generator.onnx is not a readable network") as refusal:
        await running.agent.ensure("broken")
    for hidden in (str(store.root), "/", "At:", "Traceback", "end of Triton's log"):
        assert hidden not in str(refusal.value)
    assert "the end of Triton's log:\n" in caplog.text
    assert "model.py" in caplog.text
    assert str(actor.id) in caplog.text
    assert ("broken", 1) not in running.agent.loaded()
    assert await running.agent.check()


async def test_a_dead_stub_is_healed(running: Running, caller, publish: Callable[..., Actor]):
    """Triton stays ready with a dead stub; the agent's canary notices, and the actor draws again."""
    actor = publish("mortal", bias=9)
    await running.agent.ensure("mortal")
    running.stub_of(actor).kill()
    with pytest.raises(InferenceServerException, match="not healthy"):
        await draw(caller, actor, pictures(1), pictures(2))
    assert ("mortal", 1) in await running.client.ready()
    running.now += 11.0  # the canary is due
    assert await running.agent.check()
    await assert_draws(caller, actor, 9)


async def test_ensure_heals_too(running: Running, caller, publish: Callable[..., Actor]):
    """Ensuring an actor whose stub has died repairs it, without waiting for the next canary."""
    actor = publish("fallen", bias=8)
    await running.agent.ensure("fallen")
    running.stub_of(actor).kill()
    assert (await running.agent.ensure("fallen")).version == 1
    await assert_draws(caller, actor, 8)


async def test_a_new_version_is_served_beside_the_old(running: Running, caller, publish: Callable[..., Actor]):
    """A published version is loaded; the old one stays while it draws, and is unloaded when it is no longer used."""
    old = publish("twice", bias=1)
    await running.agent.ensure("twice")
    new = publish("twice", bias=2, side_px=48)
    assert await running.agent.check()
    label_map, previous = pictures(1, side_px=48), pictures(2, side_px=48)
    frame = (await draw(caller, new, label_map, previous)).as_numpy("FRAME")
    np.testing.assert_array_equal(frame, right_answer(label_map, previous, 2))

    running.now += 29.0
    await assert_draws(caller, old, 1)
    await running.agent.check()
    running.now += 29.0
    await running.agent.check()
    await assert_draws(caller, old, 1)  # it drew 29 s ago

    await running.forget_all()
    await running.agent.check()
    assert [version for actor_id, version in running.agent.loaded() if actor_id == "twice"] == [2]
    with pytest.raises(InferenceServerException, match="version 1"):
        await draw(caller, old, pictures(1), pictures(2))


async def test_versions_with_and_without_a_wardrobe_are_served_side_by_side(
    running: Running, caller, publish: Callable[..., Actor]
):
    """The new kind of version is loaded beside the old; each takes exactly its own inputs, and names what is wrong."""
    old = publish("dressed", bias=1)
    await running.agent.ensure("dressed")
    wardrobe = tiny_wardrobe([person()], 64)
    new = publish("dressed", bias=2, side_px=64, wardrobe=wardrobe)
    assert await running.agent.check()
    await assert_draws(caller, old, 1)
    label_map, previous = pictures(1, side_px=64) >> np.uint8(1), pictures(2, side_px=64)
    reference = pictures(3, side_px=64, channels=4)
    drawn = await draw(caller, new, label_map, previous, reference)
    np.testing.assert_array_equal(drawn.as_numpy("FRAME"), right_answer(label_map, previous, 2, reference))
    np.testing.assert_array_equal(drawn.as_numpy("PERSON"), reference)
    with pytest.raises(InferenceServerException, match="REFERENCE: is missing, and actor 'dressed' version 2 needs it"):
        await draw(caller, new, label_map, previous)
    with pytest.raises(InferenceServerException, match="REFERENCE: was sent, and actor 'dressed' version 1 does not"):
        await draw(caller, old, pictures(1), pictures(2), pictures(3, channels=4))
    publish("dressed", bias=3)  # and back
    assert await running.agent.check()
    running.now += 11.0  # canaries are due
    assert await running.agent.check()
    assert [version for actor_id, version in running.agent.loaded() if actor_id == "dressed"] == [1, 2, 3]


async def test_a_smaller_size_is_drawn_once_it_is_compiled(running: Running, caller, publish: Callable[..., Actor]):
    """The first request for it is UNAVAILABLE; soon it is drawn, beside the own size. Other sizes are refused."""
    wardrobe = tiny_wardrobe([person().transformed(8, 8)], 512)
    actor = publish("shrinking", bias=2, side_px=512, wardrobe=wardrobe)
    await running.agent.ensure("shrinking")
    for side_px in (256, 512):
        label_map, previous = pictures(1, side_px=side_px) >> np.uint8(1), pictures(2, side_px=side_px)
        reference = pictures(3, side_px=side_px, channels=4)
        refusals: list[InferenceServerException] = []
        async with asyncio.timeout(60):
            while True:
                try:
                    drawn = await draw(caller, actor, label_map, previous, reference)
                    break
                except InferenceServerException as error:
                    refusals.append(error)
        assert bool(refusals) == (side_px == 256)
        for refusal in refusals:
            assert refusal.status() == "StatusCode.UNAVAILABLE"
            assert "the network for 256x256 is being compiled; ask again" in str(refusal)
        np.testing.assert_array_equal(drawn.as_numpy("FRAME"), right_answer(label_map, previous, 2, reference))
    with pytest.raises(InferenceServerException, match=r"takes uint8 \(512, 512, 3\)"):
        await draw(
            caller, actor, pictures(1, side_px=128), pictures(2, side_px=128), pictures(3, side_px=128, channels=4)
        )


async def test_a_version_that_is_not_served_is_published_all_the_same(running: Running, caller, publish):
    """A version that is published but not served is loaded only when requested by its number."""
    old = publish("gated", bias=5)
    await running.agent.ensure("gated")
    new = publish("gated", bias=6, serve=False)
    assert await running.agent.check()
    assert [version for actor_id, version in running.agent.loaded() if actor_id == "gated"] == [1]
    assert (await running.agent.ensure("gated")).version == 1
    await assert_draws(caller, old, 5)
    assert (await running.agent.ensure("gated", 2)).version == 2
    await assert_draws(caller, new, 6)


async def test_no_request_is_lost_while_a_version_is_added(running: Running, caller, publish: Callable[..., Actor]):
    """Sessions of the old version continue without a gap while the new one is loaded."""
    old = publish("busy", bias=3)
    await running.agent.ensure("busy")
    publish("busy", bias=4)
    check = asyncio.create_task(running.agent.check())
    drawn = 0
    while not check.done():
        await assert_draws(caller, old, 3)
        drawn += 1
    assert await check
    assert drawn > 1
    assert ("busy", 2) in running.agent.loaded()


async def test_a_canary_draws_beside_what_is_served_until_it_is_taken_back(
    running: Running, caller, store: ActorStore, publish: Callable[..., Actor]
):
    """Both versions are loaded before any use; after the rollback the canary goes, and the other never stops."""
    old, new = publish("tried", bias=7), publish("tried", bias=8)
    store.serve("tried", Served(1, Canary(2, 10)))
    await running.agent.ensure("tried")
    for _ in range(2):
        await running.forget_all()
        assert await running.agent.check()
        await assert_draws(caller, old, 7)
        await assert_draws(caller, new, 8)
    store.serve("tried", Served(1))
    await running.forget_all()
    assert await running.agent.check()
    await assert_draws(caller, old, 7)
    with pytest.raises(InferenceServerException, match="version 2"):
        await draw(caller, new, pictures(1), pictures(2))


async def healed(agent: GeneratorAgent) -> bool:
    """Whether a few rounds of the agent restore everything."""
    for _round in range(5):
        if await agent.check():
            return True
    return False


async def test_a_damaged_new_version_leaves_the_old_one_alone(running: Running, caller, publish: Callable[..., Actor]):
    """A new version that cannot be loaded is not served; the old one is still served, or is served again.

    Sometimes such a load kills Triton (2.51.0, signal 11), and the agent restarts it.
    """
    old = publish("firm", bias=6)
    await running.agent.ensure("firm")
    publish("firm", generator=b"this is no network")
    assert await running.agent.check() or await healed(running.agent)
    assert [version for actor_id, version in running.agent.loaded() if actor_id == "firm"] == [1]
    await assert_draws(caller, old, 6)


async def test_the_least_recently_used_actor_makes_room(running: Running, publish: Callable[..., Actor]):
    """Beyond the limit, the least recently used actor is unloaded; while all are in use, another one is refused."""
    for name in ("one", "two", "three"):
        publish(name)
    for name in ("one", "two", "one"):
        await running.forget_all()
        await running.agent.ensure(name)
    await running.agent.ensure("three")
    assert {actor_id for actor_id, _ in running.agent.loaded()} == {"one", "three"}
    assert {actor_id for actor_id, _ in await running.client.ready()} == {"one", "three"}
    with pytest.raises(AtCapacity, match="2 actors"):
        await running.agent.ensure("two")


async def test_a_dead_triton_is_started_again(running: Running, caller, publish: Callable[..., Actor]):
    """When Triton is killed, the agent restarts it at the same address, with everything that was loaded."""
    actor = publish("survivor", bias=7)
    await running.agent.ensure("survivor")
    loaded, address, process = running.agent.loaded(), running.server.address, psutil.Process(running.server.pid)
    process.kill()
    await running.server.ended()
    assert await running.agent.check()
    assert (running.agent.loaded(), running.server.address) == (loaded, address)
    await assert_draws(caller, actor, 7)


async def test_a_port_in_use_is_named(running: Running, tmp_path: Path):
    """A requested port that is in use is refused before anything is started."""
    ports = TritonPorts(grpc=running.server.ports.grpc)
    with pytest.raises(BadSettings, match=r"triton_grpc_port.*in use"):
        await TritonServer(tmp_path, tmp_path / "triton.log", ports=ports).start()


async def test_a_triton_that_cannot_start_shows_its_log(tmp_path: Path):
    """Without a model repository Triton ends at its start, and the error contains its output."""
    server = TritonServer(tmp_path / "missing", tmp_path / "triton.log")
    with pytest.raises(TritonFailed, match=r"(?s)exit code 1.*missing"):
        await server.start()
    assert not server.alive
