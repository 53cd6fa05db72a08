"""Stages that fail and recover: no frame is lost or doubled, and the answer reports the retry."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from dance.v1 import transfer_pb2

from serving.observability import metrics
from tests.pipeline.chain import Dancing, Stack, configured, dance, pixels, publish_actor, raw_frame, stack_of
from tests.pipeline.fake_stages import PATIENCE_SECONDS, ZERO

FRAMES = 12
RETRIED = transfer_pb2.FRAME_REMARK_STAGE_RETRIED


def levels(answers: list[transfer_pb2.TransferAnswer]) -> list[int]:
    """The painter counts: it adds one to the previous picture."""
    return [int(pixels(answer)[0, 0, 0]) for answer in answers]


def retries(stage: str) -> float:
    """The value of the retry metric."""
    return float(metrics.STAGE_RETRIES.labels(stage)._value.get())


@pytest.mark.parametrize("stage", ["pose", "normalize", "triton", "face"])
@pytest.mark.parametrize("at", [0, 1, 5, FRAMES - 1])
async def test_stage_that_stumbles_costs_no_frame(stack: Stack, stage: str, at: int) -> None:
    """Every frame is answered once, in order, each based on the previous picture; the retried frame has a remark."""
    name = "generator" if stage == "triton" else stage
    before = retries(name)
    getattr(stack, stage).stumbles.at(at)
    _, answers = await dance(stack.stub, configured(), *(raw_frame(t) for t in range(FRAMES)))
    assert [answer.sequence for answer in answers] == list(range(FRAMES))
    if stage == "face":  # faces of several frames are on their way at once, so call `at` may be a neighbour's
        at = stack.face.requests[at].face.data[0] - ZERO - 1
    assert RETRIED in answers[at].remarks
    assert retries(name) > before
    if stage != "face":  # the face is pasted where the painter counts
        assert levels(answers)[-1] - levels(answers)[0] in (0, FRAMES - 1)


async def test_each_picture_grows_from_the_one_before_it(stack: Stack) -> None:
    """When the generator fails in mid-session, the previous picture is neither skipped nor used twice."""
    stack.triton.stumbles.at(3, 7)
    _, answers = await dance(stack.stub, configured("ben"), *(raw_frame(t) for t in range(FRAMES)))
    assert levels(answers) == [ZERO + 1 + t for t in range(FRAMES)]


async def test_pose_continues_from_its_last_state(stack: Stack) -> None:
    """The new stream gets the same config with the state after the last answer, then the unanswered frames."""
    stack.pose.stumbles.at(7)
    _, answers = await dance(stack.stub, configured(), *(raw_frame(t) for t in range(FRAMES)))
    assert [answer.sequence for answer in answers] == list(range(FRAMES))
    first, second = stack.pose.configs
    assert first.state == b""
    answered = int(second.state.decode().removeprefix("after "))
    assert stack.pose.frames[-(FRAMES - answered - 1) :] == list(range(answered + 1, FRAMES))
    second.ClearField("state")
    assert second == first


async def test_pose_state_beyond_the_limit_is_a_broken_stage(stack: Stack) -> None:
    """A state travels with every answer and every checkpoint, so its size is checked."""
    stack.pose.padding = bytes(2**16)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben"), raw_frame(0))
    await dancing.accepted()
    _, error = await dancing.failure()
    assert error.details() == "stage pose failed at frame 0: its state has 65543 bytes"


@pytest.mark.parametrize("look_ahead", [0, 3])
async def test_normalize_continues_from_its_last_state(stack: Stack, look_ahead: int) -> None:
    """The new stream gets the state after the last answer, then the unanswered frames."""
    stack.normalize.stumbles.at(7)
    _, answers = await dance(
        stack.stub, configured(look_ahead_frames=look_ahead), *(raw_frame(t) for t in range(FRAMES))
    )
    assert [answer.sequence for answer in answers] == list(range(FRAMES))
    first, second = stack.normalize.configs
    assert first.state == b""
    answered = int(second.state.decode().removeprefix("after ")) if second.state else -1
    sent_again = [frame.sequence for frame in stack.normalize.frames][-(FRAMES - answered - 1) :]
    assert sent_again == list(range(answered + 1, FRAMES))


async def test_generator_is_looked_after_by_its_agent_before_the_next_try(stack: Stack) -> None:
    """After a failed call the agent checks the actor first, and reloads it if it does not draw."""
    stack.triton.stumbles.at(2)
    await dance(stack.stub, configured("ben"), *(raw_frame(t) for t in range(4)))
    assert len(stack.agent.asked) == 2


async def test_agent_that_is_away_does_not_end_a_session(stack: Stack) -> None:
    """If the retry succeeds, the state of the agent does not matter."""
    stack.triton.stumbles.at(2)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben"))
    await dancing.accepted()
    stack.agent.refusal = (grpc.StatusCode.UNAVAILABLE, "away")
    await dancing.send(*(raw_frame(t) for t in range(4)))
    assert len(await dancing.rest()) == 4


async def test_patience_is_for_one_absence_and_not_for_the_session(tmp_path: Path) -> None:
    """A stage that fails at every second frame, and answers in between, never exhausts the retries."""
    publish_actor(tmp_path, "anna")
    async with stack_of(tmp_path, away_seconds=0.001) as stack:
        stack.pose.stumbles.at(*range(1, FRAMES, 2))
        dancing = Dancing(stack.stub)
        await dancing.send(configured())
        await dancing.accepted()
        for t in range(FRAMES):
            await dancing.send(raw_frame(t))
            assert [answer.sequence for answer in await dancing.answers(1)] == [t]


async def test_silent_stage_is_asked_again(tmp_path: Path) -> None:
    """A stage that does not answer a frame: its stream is abandoned, and a new stream gets the frame."""
    publish_actor(tmp_path, "anna")
    async with stack_of(tmp_path, pose_seconds=2.0, away_seconds=PATIENCE_SECONDS) as stack:
        stack.pose.gates.hold_once(3)
        dancing = Dancing(stack.stub)
        await dancing.send(configured())
        await dancing.accepted()
        await dancing.send(*(raw_frame(t) for t in range(5)))
        answers = await dancing.rest()
    assert [answer.sequence for answer in answers] == list(range(5))
    assert RETRIED in answers[3].remarks
    assert len(stack.pose.configs) == 2


async def test_agent_that_is_away_when_a_session_opens_is_asked_again(stack: Stack) -> None:
    """A new session retries the agent, as any other stage."""
    stack.agent.stumbles.at(0)
    _, answers = await dance(stack.stub, configured("ben"), raw_frame(0))
    assert len(answers) == 1
    assert len(stack.agent.asked) == 2


async def test_failed_stage_does_not_flush_a_look_ahead(stack: Stack) -> None:
    """Frames that wait for their look-ahead are left to the resumed session: here they would get other pictures."""
    stack.pose.dies_at = 5
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben", look_ahead_frames=2), *(raw_frame(t) for t in range(6)))
    await dancing.accepted()
    answers, error = await dancing.failure()
    assert [answer.sequence for answer in answers] == [0, 1, 2]
    assert error.details().startswith("stage pose failed at frame 5")
