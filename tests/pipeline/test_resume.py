"""Checkpoints and draining: a client that resumes elsewhere gets the same answers as without the interruption."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from dance.v1 import transfer_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from orchestrator import servicer
from serving.observability import metrics
from tests.pipeline.chain import (
    Dancing,
    Stack,
    configured,
    dance,
    pixels,
    publish_actor,
    raw_frame,
    stack_of,
    two_stacks,
)
from tests.pipeline.fake_stages import PATIENCE_SECONDS, ZERO

FRAMES = 10
LARGE_PX = 600
"""A frame of 1 MB: forty of them fit into no buffer."""


@pytest.fixture
async def stacks(tmp_path: Path) -> AsyncIterator[tuple[Stack, Stack]]:
    """Two orchestrators with their own stages, the same actors and the same key."""
    publish_actor(tmp_path / "actors", "anna")
    publish_actor(tmp_path / "actors", "ben", face=False)
    async with two_stacks(tmp_path / "actors") as stacks:
        yield stacks


def levels(answers: list[transfer_pb2.TransferAnswer]) -> list[int]:
    """The painter counts: it adds one to the previous picture."""
    return [int(pixels(answer)[0, 0, 0]) for answer in answers]


async def drained(
    dancing: Dancing, sending: asyncio.Task[None] | None = None
) -> tuple[list[transfer_pb2.TransferAnswer], transfer_pb2.Draining]:
    """Return the answers until `draining`, which must be the last response. sending: waited for at the end."""
    answers = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (response := await dancing.call.read()) is not grpc.aio.EOF:
            if response.WhichOneof("response") == "draining":
                if sending is not None:
                    await sending
                await dancing.call.done_writing()
                assert await dancing.call.read() is grpc.aio.EOF
                return answers, response.draining
            answers.append(response.answer)
    raise AssertionError("the server did not say that it goes away")


async def test_every_nth_answer_has_a_checkpoint(stack: Stack) -> None:
    """Requested in every third answer: the third, sixth and ninth have a checkpoint, and the config is confirmed."""
    accepted, answers = await dance(
        stack.stub, configured(checkpoint_every_frames=3), *(raw_frame(t) for t in range(FRAMES))
    )
    assert accepted.config.checkpoint_every_frames == 3
    assert [answer.sequence for answer in answers if answer.checkpoint] == [2, 5, 8]


@pytest.mark.parametrize("look_ahead", [0, 3])
@pytest.mark.parametrize("at", range(FRAMES - 1))
async def test_another_server_resumes_after_any_frame(stacks: tuple[Stack, Stack], at: int, look_ahead: int) -> None:
    """The frames after the checkpoint, sent to another orchestrator, get the answers of the unbroken session."""
    first, second = stacks
    fields = {"look_ahead_frames": look_ahead, "checkpoint_every_frames": 1}
    frames = [raw_frame(t) for t in range(FRAMES)]
    _, whole = await dance(first.stub, configured("ben", **fields), *frames)
    resumed = configured("ben", checkpoint=whole[at].checkpoint, **fields)
    _, rest = await dance(second.stub, resumed, *frames[at + 1 :])
    assert [answer.sequence for answer in rest] == list(range(at + 1, FRAMES))
    assert levels(rest) == levels(whole)[at + 1 :] == [ZERO + 1 + t for t in range(at + 1, FRAMES)]
    assert second.normalize.configs[-1].state == f"after {at}".encode()


async def test_resumed_session_keeps_to_its_actors_version(stacks: tuple[Stack, Stack]) -> None:
    """If a newer version is published in between, a resumed session keeps the version it began with."""
    first, second = stacks
    _, whole = await dance(first.stub, configured(checkpoint_every_frames=1), raw_frame(0))
    publish_actor(first.actors_root, "anna")
    accepted, _ = await dance(second.stub, configured(checkpoint=whole[0].checkpoint), raw_frame(1))
    assert accepted.config.actor_version == 1


async def test_sequence_continues_after_the_checkpoint(stacks: tuple[Stack, Stack]) -> None:
    """Frames up to the checkpoint are refused: they were already answered."""
    first, second = stacks
    _, whole = await dance(first.stub, configured(checkpoint_every_frames=1), raw_frame(0), raw_frame(1))
    dancing = Dancing(second.stub)
    await dancing.send(configured(checkpoint=whole[1].checkpoint), raw_frame(1))
    _, error = await dancing.failure()
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "frame.sequence: must increase, got 1 after 1"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:50],
        lambda data: b"made up",
    ],
    ids=["seal", "content", "cut off", "invented"],
)
async def test_checkpoint_that_we_did_not_make_is_refused(stacks: tuple[Stack, Stack], spoil) -> None:
    """INVALID_ARGUMENT with the field; no session is opened at any stage."""
    first, second = stacks
    _, whole = await dance(first.stub, configured(checkpoint_every_frames=1), raw_frame(0))
    dancing = Dancing(second.stub)
    await dancing.send(configured(checkpoint=spoil(whole[0].checkpoint)))
    _, error = await dancing.failure()
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = error_details_pb2.BadRequest()
    rpc_status.from_call(error).details[0].Unpack(details)
    assert details.field_violations[0].field == "config.checkpoint"
    assert second.agent.asked == []


@pytest.mark.parametrize(
    ("actor", "fields"),
    [("ben", {}), ("anna", {"look_ahead_frames": 2}), ("anna", {"frame_rate_hz": 30.0})],
    ids=["actor", "look-ahead", "rate"],
)
async def test_checkpoint_belongs_to_its_config(stacks: tuple[Stack, Stack], actor: str, fields: dict) -> None:
    """A checkpoint of another actor, or of a session with another clock, is refused by name."""
    first, second = stacks
    _, whole = await dance(first.stub, configured("anna", checkpoint_every_frames=1), raw_frame(0))
    dancing = Dancing(second.stub)
    await dancing.send(configured(actor, checkpoint=whole[0].checkpoint, **fields))
    _, error = await dancing.failure()
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("config.checkpoint: was made with ")


async def test_checkpoint_of_another_key_is_refused(stack: Stack, stacks: tuple[Stack, Stack]) -> None:
    """Servers that do not share a key refuse each other's checkpoints."""
    _, whole = await dance(stack.stub, configured(checkpoint_every_frames=1), raw_frame(0))
    dancing = Dancing(stacks[0].stub)
    await dancing.send(configured(checkpoint=whole[0].checkpoint))
    _, error = await dancing.failure()
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_checkpoint_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """A checkpoint that is too large is refused before anything is computed over it."""
    publish_actor(tmp_path, "anna")
    async with stack_of(tmp_path, max_checkpoint_bytes=100) as stack:
        dancing = Dancing(stack.stub)
        await dancing.send(configured(checkpoint=bytes(101)))
        _, error = await dancing.failure()
    assert error.details() == "config.checkpoint: has 101 bytes, at most 100 are accepted"


@pytest.mark.parametrize("look_ahead", [0, 3])
@pytest.mark.parametrize("at", [0, 1, 4, FRAMES])
async def test_draining_server_says_where_to_go_on(stacks: tuple[Stack, Stack], at: int, look_ahead: int) -> None:
    """A draining server answers the frames in flight, and the resumed session continues without a difference."""
    first, second = stacks
    frames = [raw_frame(t) for t in range(FRAMES)]
    dancing = Dancing(first.stub)
    await dancing.send(configured("ben", look_ahead_frames=look_ahead))
    await dancing.accepted()
    await dancing.send(*frames[:at])
    answers = await dancing.answers(max(0, at - look_ahead))
    await first.service.drain()
    further, last = await drained(dancing)
    answers += further
    assert last.next_sequence == len(answers)
    resumed = configured("ben", look_ahead_frames=look_ahead, checkpoint=last.checkpoint)
    if last.next_sequence < FRAMES:
        _, rest = await dance(second.stub, resumed, *frames[last.next_sequence :])
        answers += rest
    assert levels(answers) == [ZERO + 1 + t for t in range(FRAMES)]


async def test_frames_on_their_way_are_answered_before_a_server_goes(stack: Stack) -> None:
    """A frame that a stage has when the drain begins is answered."""
    stack.triton.gates.hold(1)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben"))
    await dancing.accepted()
    await dancing.send(raw_frame(0), raw_frame(1))
    await stack.triton.gates.begun(1)
    await stack.service.drain()
    stack.triton.gates.release()
    answers, last = await drained(dancing)
    assert [answer.sequence for answer in answers] == [0, 1]
    assert last.next_sequence == 2


async def test_client_that_is_still_writing_hears_where_to_go_on(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream stays open until the client half-closes: grpcio discards everything for a client that still writes."""
    monkeypatch.setattr(servicer, "_PARTING_SECONDS", PATIENCE_SECONDS)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben"))
    await dancing.accepted()
    await dancing.send(raw_frame(0))
    await dancing.answers(1)
    await stack.service.drain()
    ended = asyncio.ensure_future(dancing.call.code())
    await asyncio.wait({ended}, timeout=0.1)
    await dancing.send(*(raw_frame(t) for t in range(1, 5)))
    assert (await drained(dancing))[1].next_sequence == 1
    assert await ended is grpc.StatusCode.OK


async def test_drained_stream_ends_though_its_client_does_not(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server waits for the half-close only for a limited time."""
    monkeypatch.setattr(servicer, "_PARTING_SECONDS", 0.2)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben"))
    await dancing.accepted()
    await stack.service.drain()
    assert (await dancing.next()).HasField("draining")
    heard_s = time.monotonic()
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await dancing.call.code() is grpc.StatusCode.OK
    assert time.monotonic() - heard_s > 0.1


async def test_frames_after_the_drain_are_not_read(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a server answers the frames in flight, further frames stay unread instead of being discarded."""
    monkeypatch.setattr(servicer, "_PARTING_SECONDS", PATIENCE_SECONDS)
    stack.triton.gates.hold(0)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben"))
    await dancing.accepted()
    await dancing.send(raw_frame(0))
    await stack.triton.gates.begun(0)
    await stack.service.drain()
    sending = asyncio.create_task(dancing.send(*(raw_frame(t, side_px=LARGE_PX) for t in range(1, 40))))
    await asyncio.wait({sending}, timeout=0.2)
    assert not sending.done()
    stack.triton.gates.release()
    answers, last = await drained(dancing, sending)
    assert ([answer.sequence for answer in answers], last.next_sequence) == ([0], 1)


async def test_client_that_goes_when_it_hears_of_the_drain_was_drained(stack: Stack) -> None:
    """A client that leaves after `draining`, without waiting for the status, is counted as drained, not cancelled."""
    drains, cancels = (metrics.SESSION_ENDS.labels(reason)._value for reason in ("drained", "cancelled"))
    before = drains.get(), cancels.get()
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben"))
    await dancing.accepted()
    await stack.service.drain()
    assert (await dancing.next()).HasField("draining")
    dancing.call.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (drains.get(), cancels.get()) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert (drains.get(), cancels.get()) == (before[0] + 1, before[1])


async def test_session_whose_client_is_done_ends_as_ever(stack: Stack) -> None:
    """If all frames were sent before the drain, they are all answered, including those of the look-ahead."""
    stack.triton.gates.hold(0)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben", look_ahead_frames=2))
    await dancing.accepted()
    await dancing.send(*(raw_frame(t) for t in range(4)))
    await dancing.call.done_writing()
    await stack.triton.gates.begun(0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await stack.normalize.ended.wait()
    await stack.service.drain()
    stack.triton.gates.release()
    assert len(await dancing.rest()) == 4


async def test_draining_server_refuses_new_sessions(stack: Stack) -> None:
    """UNAVAILABLE, because another server may be available."""
    await stack.service.drain()
    dancing = Dancing(stack.stub)
    await dancing.send(configured())
    _, error = await dancing.failure()
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "shutting down" in error.details()
