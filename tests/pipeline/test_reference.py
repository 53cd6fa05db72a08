"""Sessions of an actor with a wardrobe: references are drawn ahead, and the choice of limbs travels with the frame."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import grpc
import numpy as np
import pytest
from dance.v1 import transfer_pb2

from motion.pose import MAX_POSITION_PX, Pose
from motion.wardrobe.draw import Reference, draw_reference
from motion.wardrobe.pieces import Wardrobe
from orchestrator.stages import reference
from serving.actors.actor import Actor
from serving.observability import metrics
from serving.pictures.codec import decode_rgba
from serving.pictures.compositing import with_straight_alpha
from serving.rpc import converters
from tests.pipeline.chain import Dancing, Stack, configured, dance, pose_frame, publish_actor
from tests.pipeline.fake_stages import PATIENCE_SECONDS, person
from tests.tiny_wardrobes import with_arms_turned

ANGLES = np.concatenate([np.linspace(0, 2.4, 9), np.linspace(2.3, 0.1, 9)])
POSES: list[Pose | None] = [with_arms_turned(person(), angle) for angle in ANGLES.tolist()]
POSES[5] = None  # one of the frames shows no person


def frames(begin: int = 0) -> list[transfer_pb2.TransferRequest]:
    """The frames of the dance, from one of them on."""
    return [pose_frame(number, pose) for number, pose in enumerate(POSES)][begin:]


def painted(answers: list[transfer_pb2.TransferAnswer]) -> list[bytes]:
    """The pictures' bytes; empty for an answer without one."""
    return [answer.picture.data for answer in answers]


def references(stack: Stack) -> list[bytes]:
    """The references that the generator was given, in the order of its calls."""
    return [
        dict(zip([i.name for i in call.inputs], call.raw_input_contents, strict=True))["REFERENCE"]
        for call in stack.triton.calls
    ]


async def test_the_generator_gets_the_actors_limbs_in_each_pose(stacks: tuple[Stack, Stack], wardrobe: Wardrobe):
    """Each reference is drawn from the frame's pose and from the choice before it, over frames without a person too."""
    stack, _ = stacks
    _, answers = await dance(stack.stub, configured("cara"), *frames())
    limbs, expected, without_memory = None, [], []
    for pose in filter(None, POSES):
        drawn = draw_reference(wardrobe, pose, limbs)
        limbs = drawn.choice
        expected.append(drawn.picture.tobytes())
        without_memory.append(draw_reference(wardrobe, pose).picture.tobytes())
    assert references(stack) == expected
    assert expected != without_memory  # otherwise this test would not see a lost choice
    assert [answer.WhichOneof("result") for answer in answers].count("picture") == len(expected)


@pytest.mark.settings(watermark=False)
async def test_the_reference_can_be_requested(stacks: tuple[Stack, Stack], wardrobe: Wardrobe):
    """Every answer with a picture then has it, as a PNG with straight alpha; `accepted` confirms it."""
    stack, _ = stacks
    returned = transfer_pb2.ReturnOptions(reference=True)
    accepted, answers = await dance(stack.stub, configured("cara", return_options=returned), *frames())
    assert accepted.config.return_options.reference
    assert [answer.HasField("reference") for answer in answers] == [pose is not None for pose in POSES]
    first = decode_rgba(converters.picture_from_proto(answers[0].reference))
    drawn = draw_reference(wardrobe, POSES[0] or person()).picture
    np.testing.assert_array_equal(first, with_straight_alpha(drawn))
    np.testing.assert_array_equal(first[..., 3], drawn[..., 3])
    _, others = await dance(stack.stub, configured("cara"), *frames())
    assert not any(answer.HasField("reference") for answer in others)
    assert painted(others) == painted(answers)


async def test_actors_without_a_wardrobe_are_drawn_from_two_pictures(stacks: tuple[Stack, Stack]):
    """Their generator gets no reference, and the session has no such stage."""
    stack, _ = stacks
    returned = transfer_pb2.ReturnOptions(stage_times=True, reference=True)
    accepted, answers = await dance(stack.stub, configured("ben", return_options=returned), *frames())
    assert {tuple(i.name for i in call.inputs) for call in stack.triton.calls} == {("LABEL_MAP", "PREVIOUS_FRAME")}
    assert not accepted.config.return_options.reference
    assert not any(answer.HasField("reference") for answer in answers)
    assert "reference" not in {spent.stage for answer in answers for spent in answer.stage_times}


@pytest.mark.parametrize("at", [0, 3, 4, 5, 8, 12, 16])
async def test_a_resumed_session_draws_the_same_bytes(stacks: tuple[Stack, Stack], at: int):
    """After any checkpoint, also that of a frame without a person, another server goes on with the same pictures."""
    first, second = stacks
    _, whole = await dance(first.stub, configured("cara", checkpoint_every_frames=1), *frames())
    resumed = configured("cara", checkpoint=whole[at].checkpoint)
    _, rest = await dance(second.stub, resumed, *frames(at + 1))
    assert painted(rest) == painted(whole)[at + 1 :]


@pytest.mark.parametrize("stage", ["normalize", "triton"])
@pytest.mark.parametrize("at", [0, 4, 9])
async def test_a_retried_frame_has_the_same_bytes(stacks: tuple[Stack, Stack], stage: str, at: int):
    """A stage that fails once and is called again changes no picture."""
    undisturbed, disturbed = stacks
    _, expected = await dance(undisturbed.stub, configured("cara"), *frames())
    getattr(disturbed, stage).stumbles.at(at)
    _, answers = await dance(disturbed.stub, configured("cara"), *frames())
    assert getattr(disturbed, stage).stumbles.count == 1
    assert painted(answers) == painted(expected)


async def test_a_drained_session_goes_on_with_the_same_bytes(stacks: tuple[Stack, Stack]):
    """The checkpoint of a server that shuts down contains the choice of limbs as well."""
    first, second = stacks
    _, whole = await dance(second.stub, configured("cara"), *frames())
    dancing = Dancing(first.stub)
    await dancing.send(configured("cara"), *frames()[:9])
    await dancing.accepted()
    answers = await dancing.answers(9)
    await first.service.drain()
    draining = (await dancing.next()).draining
    await dancing.call.done_writing()
    assert draining.next_sequence == 9
    _, rest = await dance(second.stub, configured("cara", checkpoint=draining.checkpoint), *frames(9))
    assert painted(answers) + painted(rest) == painted(whole)


async def test_references_are_drawn_ahead_of_the_generator(
    stacks: tuple[Stack, Stack], monkeypatch: pytest.MonkeyPatch
):
    """While the generator works on one frame, the references of the next frames are drawn."""
    stack, _ = stacks
    loop, third_drawn, drawn = asyncio.get_running_loop(), asyncio.Event(), itertools.count(1)

    def counted(*arguments: Any) -> Reference:
        if next(drawn) == 3:
            loop.call_soon_threadsafe(third_drawn.set)
        return draw_reference(*arguments)

    monkeypatch.setattr(reference, "draw_reference", counted)
    stack.triton.gates.hold(0)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("cara"), *frames()[:4])
    await dancing.accepted()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await third_drawn.wait()
    assert len(stack.triton.calls) <= 1
    stack.triton.gates.release()
    assert len(await dancing.rest()) == 4


async def test_sessions_of_a_version_share_one_wardrobe(stacks: tuple[Stack, Stack], monkeypatch: pytest.MonkeyPatch):
    """It is read once, by a thread; it stays for the next session, and the metric has its memory."""
    stack, _ = stacks
    reads: list[str] = []
    read = Actor.read_wardrobe

    def noted(actor: Actor) -> Wardrobe:
        reads.append(actor.id)
        return read(actor)

    monkeypatch.setattr(Actor, "read_wardrobe", noted)
    sessions = [Dancing(stack.stub) for _ in range(3)]
    for dancing in sessions:
        await dancing.send(configured("cara"))
    for dancing in sessions:
        await dancing.accepted()
    assert reads == ["cara"]
    assert metrics.WARDROBE_BYTES._value.get() > 0
    for dancing in sessions:
        assert await dancing.rest() == []
    await dance(stack.stub, configured("cara"), *frames()[:1])
    assert reads == ["cara"]


async def test_no_pose_breaks_the_drawing(stacks: tuple[Stack, Stack]):
    """Joints far away, in one point, in a line, half unseen or all unseen: every frame is answered with a picture."""
    stack, _ = stacks
    random, base = np.random.default_rng(7), person()
    shape = base.joints_px.shape
    odd = [
        np.full(shape, MAX_POSITION_PX), np.full(shape, -MAX_POSITION_PX), np.zeros(shape), base.joints_px * [1, 0],
        base.joints_px * [0, 1], base.joints_px * 1e4, base.joints_px + np.array([0, 1e4]),
        *(random.uniform(-MAX_POSITION_PX, MAX_POSITION_PX, shape) for _ in range(6)),
        *(random.uniform(-40, 100, shape) for _ in range(6)),
    ]  # fmt: skip
    poses = [Pose(joints_px.astype(np.float32), base.confidence) for joints_px in odd]
    poses += [Pose(base.joints_px, random.random(len(base.confidence)).round().astype(np.float32)) for _ in range(12)]
    poses += [Pose(base.joints_px, np.zeros_like(base.confidence)), base]
    sent = [pose_frame(number, pose) for number, pose in enumerate(poses)]
    _, answers = await dance(stack.stub, configured("cara"), *sent)
    assert [answer.WhichOneof("result") for answer in answers] == ["picture"] * len(poses)


async def test_a_damaged_wardrobe_is_named(stacks: tuple[Stack, Stack]):
    """FAILED_PRECONDITION with the actor, the file and the array, before the agent is asked; the next session tries."""
    stack, _ = stacks
    file = stack.actors_root / "cara" / "1" / "wardrobe.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    dancing = Dancing(stack.stub)
    await dancing.send(configured("cara"))
    _, error = await dancing.failure()
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "actor 'cara' version 1: wardrobe.npz: " in str(error.details())
    assert stack.agent.asked == []
    file.write_bytes(whole)
    _, answers = await dance(stack.stub, configured("cara"), *frames()[:2])
    assert len(answers) == 2


async def test_a_server_gets_a_new_kind_of_version_while_a_session_runs(
    stacks: tuple[Stack, Stack], wardrobe: Wardrobe
):
    """The running session keeps its version; the next one dances the version with a wardrobe, and back."""
    stack, _ = stacks
    running = Dancing(stack.stub)
    await running.send(configured("ben"), *frames()[:1])
    assert (await running.accepted()).config.actor_version == 1
    await running.answers(1)
    publish_actor(stack.actors_root, "ben", face=False, wardrobe=wardrobe)
    fresh = Dancing(stack.stub)
    await fresh.send(configured("ben"), *frames()[:1])
    assert (await fresh.accepted()).config.actor_version == 2
    await fresh.answers(1)
    publish_actor(stack.actors_root, "ben", face=False)
    newest, _ = await dance(stack.stub, configured("ben"), *frames()[:1])
    assert newest.config.actor_version == 3
    for dancing in (running, fresh):
        await dancing.send(*frames()[1:2])
        assert len(await dancing.rest()) == 1
    taken = [(call.model_version, len(call.inputs)) for call in stack.triton.calls]
    assert taken == [("1", 2), ("2", 3), ("3", 2), ("1", 2), ("2", 3)]
