"""Order, completeness, and the previous picture."""

from __future__ import annotations

import numpy as np
import pytest
from dance.v1 import transfer_pb2

from motion.frame import Picture
from tests.pipeline.chain import Dancing, Stack, configured, dance, pixels, pose_frame, raw_frame
from tests.pipeline.fake_stages import ZERO, person


async def test_every_frame_is_answered_once_in_order(stack: Stack) -> None:
    """Each frame gets exactly one answer, with its own number, in the order sent, even with gaps in the numbers."""
    numbers = [0, 1, 2, 5, 6, 40, 41]
    accepted, answers = await dance(stack.stub, configured(), *(raw_frame(number) for number in numbers))
    assert accepted.config.actor_version == 1
    assert [answer.sequence for answer in answers] == numbers
    assert all(answer.WhichOneof("result") == "picture" for answer in answers)


async def test_client_bytes_reach_pose_untouched(stack: Stack) -> None:
    """Pose receives the exact bytes that the client sent."""
    frame = raw_frame(0, level=77)
    await dance(stack.stub, configured(), frame)
    assert stack.pose.pictures[0] == frame.frame.picture.data


async def test_generator_sees_its_own_last_picture(stack: Stack) -> None:
    """With a generator that adds 1 to the previous picture, frame t of a session has the level 129 + t."""
    _, answers = await dance(stack.stub, configured("ben"), *(raw_frame(t) for t in range(8)))
    assert [int(pixels(answer)[0, 0, 0]) for answer in answers] == [ZERO + 1 + t for t in range(8)]


@pytest.mark.settings(watermark=False)
async def test_previous_picture_is_the_one_before_the_face_stage(stack: Stack) -> None:
    """The client sees the changes of the face stage; the generator never does."""
    _, answers = await dance(stack.stub, configured("anna"), *(raw_frame(t) for t in range(4)))
    assert len(stack.face.requests) == 4
    for t, (call, answer) in enumerate(zip(stack.triton.calls, answers, strict=True)):
        previous = np.frombuffer(call.raw_input_contents[1], np.uint8)
        assert set(previous.tolist()) == {ZERO + t}
        assert pixels(answer)[12, 32].tolist() == [0, 0, 0], "the face is not pasted"
        assert pixels(answer)[60, 2].tolist() == [ZERO + 1 + t] * 3


async def test_actor_version_is_asked_of_triton(stack: Stack) -> None:
    """The model's name is the actor's id; its version is the exact one, even if the newest was requested."""
    await dance(stack.stub, configured("ben"), raw_frame(0))
    assert (stack.triton.calls[0].model_name, stack.triton.calls[0].model_version) == ("ben", "1")
    assert [(asked.actor, asked.actor_version) for asked in stack.agent.asked] == [("ben", 1)]


@pytest.mark.settings(watermark=False)
async def test_two_sessions_never_mix(stack: Stack) -> None:
    """Two concurrent sessions of one actor, dancing left in red and right in blue, never mix a pixel."""

    def paint(model: str, label_map: Picture, previous: Picture) -> Picture:
        drawn = np.argwhere((label_map != 255).any(axis=2))
        colour = (250, 0, 0) if drawn[:, 1].mean() < 32 else (0, 0, 250)
        mixed = previous.reshape(-1, 3).max(axis=0)
        assert mixed.tolist() in ([ZERO] * 3, list(colour))
        return np.full_like(previous, colour)

    stack.triton.paint = paint
    stack.pose.by_picture = lambda data: person(16 if data[0] == 1 else 48)
    left, right = Dancing(stack.stub), Dancing(stack.stub)
    for dancing in (left, right):
        await dancing.send(configured("ben"))
        await dancing.accepted()
    for t in range(6):
        await left.send(raw_frame(t, level=1))
        await right.send(raw_frame(t, level=2))
    for dancing, colour in ((left, [250, 0, 0]), (right, [0, 0, 250])):
        answers = await dancing.rest()
        assert [answer.sequence for answer in answers] == list(range(6))
        assert all((pixels(answer) == colour).all() for answer in answers)


async def test_two_sessions_with_two_actors_each_get_their_own(stack: Stack) -> None:
    """Interleaved sessions of two actors are complete, in order, and painted by their own model."""
    stack.triton.paint = lambda model, label_map, previous: np.full_like(previous, 10 if model == "anna" else 20)
    sessions = {name: Dancing(stack.stub) for name in ("anna", "ben")}
    for name, dancing in sessions.items():
        await dancing.send(configured(name))
        await dancing.accepted()
    for t in range(5):
        for dancing in sessions.values():
            await dancing.send(raw_frame(t))
    for name, level in (("anna", 10), ("ben", 20)):
        answers = await sessions[name].rest()
        assert [answer.sequence for answer in answers] == list(range(5))
        assert all(pixels(answer)[60, 2, 0] == level for answer in answers)


@pytest.mark.parametrize("look_ahead", [1, 3, 5])
async def test_look_ahead_delays_answers_and_keeps_their_order(stack: Stack, look_ahead: int) -> None:
    """With a look-ahead of k, the answer to frame t comes after frame t + k, and the end brings the rest, in order."""
    dancing = Dancing(stack.stub)
    await dancing.send(configured(look_ahead_frames=look_ahead))
    assert (await dancing.accepted()).config.look_ahead_frames == look_ahead
    await dancing.send(*(raw_frame(t) for t in range(look_ahead)))
    await stack.pose.gates.begun(look_ahead - 1)
    assert stack.triton.calls == []
    await dancing.send(raw_frame(look_ahead))
    assert [answer.sequence for answer in await dancing.answers(1)] == [0]
    await dancing.send(*(raw_frame(t) for t in range(look_ahead + 1, 12)))
    assert [answer.sequence for answer in await dancing.rest()] == list(range(1, 12))


async def test_pose_instead_of_pixels_skips_the_pose_stage(stack: Stack) -> None:
    """A frame that comes with a pose is danced without the pose service, in its place among the others."""
    _, answers = await dance(
        stack.stub,
        configured("ben", return_options=transfer_pb2.ReturnOptions(stage_times=True, source_pose=True)),
        raw_frame(0),
        pose_frame(1, person(20)),
        pose_frame(2, None),
        raw_frame(3),
    )
    assert [answer.sequence for answer in answers] == [0, 1, 2, 3]
    assert sorted(stack.pose.pictures) == [0, 3]
    assert [spent.stage for spent in answers[1].stage_times] == ["normalize", "label_map", "generator", "encode"]
    assert answers[1].source_pose.x_px[0] == pytest.approx(20)
    assert answers[2].no_picture.reason == transfer_pb2.NO_PICTURE_REASON_NO_PERSON


async def test_client_that_sends_poses_takes_no_place_at_pose(stack: Stack) -> None:
    """Without pictures the pose service gets no call for the session."""
    _, answers = await dance(stack.stub, configured("ben"), *(pose_frame(t, person()) for t in range(3)))
    assert len(answers) == 3
    assert stack.pose.configs == []


async def test_pose_that_ended_its_stream_gets_a_new_one(stack: Stack) -> None:
    """If pose ends its stream while no answer is due, as it does with silent clients, the next picture opens one."""
    stack.pose.ends_behind = 0
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben"), raw_frame(0))
    await dancing.accepted()
    assert [answer.sequence for answer in await dancing.answers(1)] == [0]
    await stack.pose.ended.wait()
    await dancing.send(*(pose_frame(t, person()) for t in range(1, 4)))
    assert len(await dancing.answers(3)) == 3
    await dancing.send(raw_frame(4))
    assert [answer.sequence for answer in await dancing.rest()] == [4]
    assert len(stack.pose.configs) == 2


async def test_empty_session_ends_well(stack: Stack) -> None:
    """A client that sends only its config gets `accepted` and the end."""
    accepted, answers = await dance(stack.stub, configured())
    assert accepted.generator_precision == "bf16"
    assert (accepted.stage_size.width_px, accepted.full_frame_size.height_px) == (64, 80)
    assert answers == []
