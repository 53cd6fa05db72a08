"""Stages work at the same time, within bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dance.v1 import frame_pb2, transfer_pb2

from motion.frame import Picture
from tests.pipeline.chain import Dancing, Stack, TakenIn, configured, raw_frame


async def begin(stack: Stack, actor: str = "ben", **fields: Any) -> Dancing:
    dancing = Dancing(stack.stub)
    await dancing.send(configured(actor, **fields))
    await dancing.accepted()
    return dancing


async def test_pose_of_the_next_frame_runs_while_this_one_is_generated(stack: Stack) -> None:
    """While the generator has frame t, pose already works on frame t + 1."""
    dancing = await begin(stack)
    stack.triton.gates.hold(0)
    await dancing.send(raw_frame(0))
    await stack.triton.gates.begun(0)
    await dancing.send(raw_frame(1))
    await stack.pose.gates.begun(1)
    await stack.normalize.gates.begun(1)
    assert len(stack.triton.calls) == 1
    stack.triton.gates.release()
    assert [answer.sequence for answer in await dancing.rest()] == [0, 1]


async def test_face_of_this_frame_runs_while_the_next_one_is_generated(stack: Stack) -> None:
    """The generator does not wait for the face stage: two faces are in flight at once, and answers stay in order."""
    dancing = await begin(stack, "anna")
    stack.face.gates.hold(0)
    await dancing.send(raw_frame(0), raw_frame(1))
    await stack.face.gates.begun(0)
    await stack.triton.gates.begun(1)
    await stack.face.gates.begun(1)
    stack.face.gates.release()
    assert [answer.sequence for answer in await dancing.rest()] == [0, 1]


async def test_generator_is_serial_within_a_session(stack: Stack) -> None:
    """The generator needs its own last picture, so it never has two frames of one session."""
    most = 0

    def paint(model: str, label_map: Picture, previous: Picture) -> Picture:
        nonlocal most
        most = max(most, stack.triton.running)
        return previous

    stack.triton.paint = paint
    dancing = await begin(stack)
    await dancing.send(*(raw_frame(t) for t in range(6)))
    assert len(await dancing.rest()) == 6
    assert most == 1


async def test_two_sessions_are_generated_at_the_same_time(stack: Stack) -> None:
    """Triton gets frames of two sessions at once, so that it can batch them."""
    stack.triton.gates.hold(0, 1)
    sessions = [await begin(stack), await begin(stack)]
    for dancing in sessions:
        await dancing.send(raw_frame(0))
    await stack.triton.gates.begun(1)
    assert stack.triton.running == 2
    stack.triton.gates.release()
    for dancing in sessions:
        assert len(await dancing.rest()) == 1


@pytest.mark.parametrize("held", ["triton", "face", "normalize", "pose"])
async def test_frames_in_flight_are_bounded(stack: Stack, taken_in: TakenIn, held: str) -> None:
    """Whichever stage stops, no more frames than promised leave the door, and the sender has to wait."""
    stage = getattr(stack, held)
    stage.gates.hold()
    dancing = Dancing(stack.stub)
    await dancing.send(configured("anna"))
    limit = (await dancing.accepted()).limits.max_frames_in_flight
    sending = asyncio.create_task(dancing.send(*(raw_frame(t, side_px=200) for t in range(100))))
    await stage.gates.begun(0)
    # Two wait in the door and one for room there; pose takes two, and a stopped later stage takes all others.
    most = 3 + (2 if held == "pose" else limit)
    await taken_in.reaches(most)
    await stack.stub.ListActors(transfer_pb2.ListActorsRequest())  # answers arrive, so it had time to take more
    assert taken_in.count == most
    assert len(stack.pose.pictures) <= limit
    assert not sending.done(), "a hundred frames of 120 kB were taken in"
    stage.gates.release()
    await sending
    assert [answer.sequence for answer in await dancing.rest()] == list(range(100))


@pytest.mark.slow
async def test_slow_client_slows_the_source(stack: Stack) -> None:
    """If a client does not read, the server does not work ahead: memory stays bounded, and nothing is lost."""
    output = transfer_pb2.OutputFormat(encoding=frame_pb2.PICTURE_ENCODING_RAW, full_frame=True)
    dancing = await begin(stack, output=output)
    sending = asyncio.create_task(dancing.send(*(raw_frame(t) for t in range(400))))
    last = -1
    while (so_far := len(stack.triton.calls)) != last:
        last = so_far
        for _ in range(300):
            await asyncio.sleep(0)
    assert not sending.done()
    # Frames that have left the pipeline are in the transport, which counts bytes: an answer has 23 kB here.
    assert so_far < 100
    answers = await dancing.answers(400)
    await sending
    assert [answer.sequence for answer in answers] == list(range(400))
    assert await dancing.rest() == []
