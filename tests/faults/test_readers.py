"""Clients that read slowly, stop reading, or are gone: in both modes memory is bounded and their sessions end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from dance.v1 import frame_pb2, transfer_pb2, transfer_pb2_grpc

from motion.frame import FrameSize
from orchestrator.pipeline.link import MAX_DROPPED_WAITING
from serving.observability import metrics
from serving.rpc.channels import CHANNEL_OPTIONS
from tests.faults.proxy import FaultProxy
from tests.pipeline.chain import Dancing, TakenIn, configured, publish_actor, raw_frame, stack_of
from tests.pipeline.conftest import taken_in as taken_in
from tests.pipeline.fake_stages import PATIENCE_SECONDS

MODES = {"LOSSLESS": transfer_pb2.TRANSFER_MODE_LOSSLESS, "LIVE": transfer_pb2.TRANSFER_MODE_LIVE}
DROPPED = transfer_pb2.NO_PICTURE_REASON_DROPPED
FRAMES = {"LOSSLESS": 100, "LIVE": 1000}
LARGE = FrameSize(1000, 800)
"""An answer of 2.4 MB fits into no network buffer: until the client reads it, it stays with the server."""
ON_THE_WIRE = 2
PASSED_OVER = MAX_DROPPED_WAITING + 2 * 64 + 64
"""Dropped frames of a LIVE session that wait for their turn to be answered: at the door, with pose and normalize (64
each) and in the links. They have no pixels any more."""


@asynccontextmanager
async def caller(address: str) -> AsyncIterator[transfer_pb2_grpc.TransferServiceStub]:
    """A client whose transport does not read ahead by more than 64 kB."""
    options = (*CHANNEL_OPTIONS, ("grpc.http2.bdp_probe", 0))
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield transfer_pb2_grpc.TransferServiceStub(channel)


async def begun(stub: transfer_pb2_grpc.TransferServiceStub, mode: str) -> tuple[Dancing, int]:
    """A session with large answers, and how many of its frames may be in flight."""
    output = transfer_pb2.OutputFormat(encoding=frame_pb2.PICTURE_ENCODING_RAW, full_frame=True)
    dancing = Dancing(stub)
    await dancing.send(configured("ben", mode=MODES[mode], output=output))
    # The door holds two and its sender one; in LIVE also dropped frames without an answer.
    more = 3 + (PASSED_OVER if mode == "LIVE" else 0)
    return dancing, (await dancing.accepted()).limits.max_frames_in_flight + more + ON_THE_WIRE


async def flood(dancing: Dancing, mode: str) -> None:
    """Send frames until all are sent, or the call is over."""
    try:
        await dancing.send(*(raw_frame(t) for t in range(FRAMES[mode])))
        await dancing.call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass  # the reader gets the status of the call


async def until_no_session() -> None:
    """Wait until the server has released everything."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while metrics.SESSIONS._value.get() or metrics.FRAMES_IN_FLIGHT._value.get():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("mode", MODES)
async def test_slow_reader_gets_every_answer_and_costs_bounded_memory(
    tmp_path: Path, taken_in: TakenIn, mode: str
) -> None:
    """However far the source could run ahead, the number of frames held is bounded.

    LOSSLESS: all are drawn. LIVE: the newest are, the others are answered DROPPED, and counted.
    """
    publish_actor(tmp_path, "ben", face=False, size=LARGE)
    dropped_before = metrics.FRAMES.labels("dropped")._value.get()
    async with stack_of(tmp_path) as stack, caller(stack.address) as stub:
        dancing, limit = await begun(stub, mode)
        sending = asyncio.create_task(flood(dancing, mode))
        answers = []
        for read in range(FRAMES[mode]):
            if read % (FRAMES[mode] // 4) == 0:  # it pauses as long as the server has anything to do
                await at_rest(taken_in)
            assert metrics.FRAMES_IN_FLIGHT._value.get() <= limit
            answers += await dancing.answers(1)
        await sending
        assert await dancing.rest() == []
    assert [answer.sequence for answer in answers] == list(range(FRAMES[mode]))
    dropped = [answer for answer in answers if answer.no_picture.reason == DROPPED]
    assert metrics.FRAMES.labels("dropped")._value.get() - dropped_before == len(dropped)
    assert (not dropped) if mode == "LOSSLESS" else dropped
    assert answers[-1].WhichOneof("result") == "picture"


async def at_rest(taken_in: TakenIn) -> None:
    """Wait until no more frames are taken."""
    last = -1
    while taken_in.count != last:
        last = taken_in.count
        for _ in range(200):
            await asyncio.sleep(0)


@pytest.mark.parametrize("mode", MODES)
async def test_reader_that_stops_loses_its_place(tmp_path: Path, taken_in: TakenIn, mode: str) -> None:
    """A client that does not read an answer in time is ended; until then no more of its frames are taken."""
    publish_actor(tmp_path, "ben", face=False, size=LARGE)
    silent = metrics.SESSION_ENDS.labels("client_silent")
    before = silent._value.get()
    async with stack_of(tmp_path, answer_seconds=0.5) as stack, caller(stack.address) as stub:
        dancing, limit = await begun(stub, mode)
        sending = asyncio.create_task(flood(dancing, mode))
        await until_no_session()
        assert silent._value.get() == before + 1
        assert taken_in.count <= limit
        dancing.call.cancel()
        await asyncio.wait({sending})


@pytest.mark.parametrize("how", ["reset", "hold"])
@pytest.mark.parametrize("mode", MODES)
async def test_reader_that_vanishes_loses_its_place(tmp_path: Path, taken_in: TakenIn, mode: str, how: str) -> None:
    """Its host crashes, or the network drops everything: the session ends at once, or when an answer times out."""
    publish_actor(tmp_path, "ben", face=False, size=LARGE)
    async with (
        stack_of(tmp_path, answer_seconds=0.5 if how == "hold" else PATIENCE_SECONDS) as stack,
        FaultProxy(stack.address) as proxy,
        caller(proxy.address) as stub,
    ):
        dancing, limit = await begun(stub, mode)
        sending = asyncio.create_task(flood(dancing, mode))
        await dancing.answers(1)
        getattr(proxy, how)()
        await until_no_session()
        assert taken_in.count <= 1 + limit
        dancing.call.cancel()
        await asyncio.wait({sending})
