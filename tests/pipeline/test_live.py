"""LIVE sessions drop frames at the door, and only there."""

from __future__ import annotations

import asyncio

from dance.v1 import transfer_pb2

from orchestrator.pipeline.link import MAX_DROPPED_WAITING
from tests.pipeline.chain import Dancing, Stack, TakenIn, configured, pixels, pose_frame, raw_frame
from tests.pipeline.fake_stages import ZERO, person

LIVE = transfer_pb2.TRANSFER_MODE_LIVE
DROPPED = transfer_pb2.NO_PICTURE_REASON_DROPPED


async def test_live_keeps_the_newest_frame_and_answers_the_dropped_ones(stack: Stack, taken_in: TakenIn) -> None:
    """While pose is busy, the door keeps only the newest frame. Each dropped one is answered DROPPED, in order."""
    stack.pose.gates.hold(0)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben", mode=LIVE))
    await dancing.accepted()
    await dancing.send(raw_frame(0))
    await stack.pose.gates.begun(0)
    await dancing.send(*(raw_frame(t) for t in range(1, 10)))
    await dancing.call.done_writing()
    await taken_in.reaches(10)
    stack.pose.gates.release()
    answers = await dancing.rest()
    assert [answer.sequence for answer in answers] == list(range(10))
    assert [answer.sequence for answer in answers if answer.no_picture.reason == DROPPED] == list(range(1, 9))
    assert sorted(stack.pose.pictures) == [0, 9]


async def test_nothing_past_the_door_is_dropped(stack: Stack, taken_in: TakenIn) -> None:
    """Frames that pose has seen are all generated, and the chain of previous pictures has no gap."""
    stack.triton.gates.hold(0)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben", mode=LIVE))
    limit = (await dancing.accepted()).limits.max_frames_in_flight
    await dancing.send(raw_frame(0))
    await stack.triton.gates.begun(0)
    await dancing.send(*(raw_frame(t) for t in range(1, 12)))
    await dancing.call.done_writing()
    await taken_in.reaches(12)
    assert len(stack.pose.pictures) <= limit
    stack.triton.gates.release()
    answers = await dancing.rest()
    drawn = [answer for answer in answers if answer.WhichOneof("result") == "picture"]
    assert [answer.sequence for answer in answers] == list(range(12))
    assert [answer.sequence for answer in drawn] == sorted(stack.pose.pictures)
    assert [int(pixels(answer)[0, 0, 0]) for answer in drawn] == [ZERO + 1 + n for n in range(len(drawn))]
    assert drawn[-1].sequence == 11


async def test_dropped_frames_repeat_the_pose_that_the_client_sent(stack: Stack, taken_in: TakenIn) -> None:
    """Every answer of a client that sends poses has its frame's pose if requested, whether it was dropped or drawn."""
    stack.triton.gates.hold(0)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben", mode=LIVE, return_options=transfer_pb2.ReturnOptions(source_pose=True)))
    await dancing.accepted()
    await dancing.send(pose_frame(0, person(20)))
    await stack.triton.gates.begun(0)
    await dancing.send(*(pose_frame(t, person(20 + t)) for t in range(1, 12)))
    await dancing.call.done_writing()
    await taken_in.reaches(12)
    stack.triton.gates.release()
    answers = await dancing.rest()
    assert DROPPED in {answer.no_picture.reason for answer in answers}
    assert [round(answer.source_pose.x_px[0]) for answer in answers] == [20 + t for t in range(12)]


async def test_a_client_far_too_fast_has_to_wait(stack: Stack, taken_in: TakenIn) -> None:
    """Dropped frames keep their place until they are answered, and their number is bounded too; all are answered."""
    stack.pose.gates.hold(0)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben", mode=LIVE))
    await dancing.accepted()
    await dancing.send(raw_frame(0))
    await stack.pose.gates.begun(0)  # before a newer frame arrives, for which it would be dropped
    sending = asyncio.create_task(dancing.send(*(raw_frame(t) for t in range(1, 600))))
    # One in pose, the dropped ones, the newest, and one that waits for room in the door.
    await taken_in.reaches(1 + MAX_DROPPED_WAITING + 1 + 1)
    assert not sending.done()
    stack.pose.gates.release()
    answers = await dancing.answers(600)
    await sending
    assert [answer.sequence for answer in answers] == list(range(600))
