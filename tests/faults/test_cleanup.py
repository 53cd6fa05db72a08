"""Whatever a session is doing, and however it ends: no task, no stage stream and no gauge value remains."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from dance.v1 import frame_pb2, transfer_pb2, transfer_pb2_grpc

from motion.frame import FrameSize
from serving.observability import metrics
from serving.rpc.channels import open_channel
from serving.rpc.server_stream import ResponseWriter
from tests.faults.proxy import FaultProxy
from tests.pipeline.chain import Dancing, Stack, configured, dance, publish_actor, raw_frame, stack_of
from tests.pipeline.fake_stages import PATIENCE_SECONDS

STATES = ("idle", "mid-frame", "writing")
ENDS = ("ok", "cancel", "kill", "timeout", "stage error", "server stop")
LIMIT_SECONDS = 1.0
"""The time-out in the cases about time-outs."""
GRACE_SECONDS = 0.3
LARGE = FrameSize(1000, 800)
"""An answer of 2.4 MB fits into no buffer: it is in transit until the client reads it."""


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when an answer is being written to the client."""
    begun = asyncio.Event()
    send = ResponseWriter.send

    async def noted(self: Any, response: Any, sequence: int | None) -> None:
        if sequence is not None:
            begun.set()
        await send(self, response, sequence)

    monkeypatch.setattr(ResponseWriter, "send", noted)
    return begun


def limits_of(end: str, state: str) -> dict[str, float]:
    """What times out in this state, if the end is a time-out."""
    if end != "timeout":
        return {}
    name = {"idle": "idle_seconds", "mid-frame": "generator_seconds", "writing": "answer_seconds"}[state]
    return {name: LIMIT_SECONDS}


async def brought(dancing: Dancing, stack: Stack, state: str, writing: asyncio.Event) -> int:
    """Bring the session into a state; return how many of its frames have no answer yet."""
    if state == "mid-frame":
        stack.triton.gates.hold()
    output = transfer_pb2.OutputFormat(encoding=frame_pb2.PICTURE_ENCODING_RAW, full_frame=state == "writing")
    await dancing.send(configured("ben", output=output))
    await dancing.accepted()
    writing.clear()
    calls = len(stack.triton.calls)
    await dancing.send(raw_frame(0))
    if state == "idle":
        await dancing.answers(1)
        return 0
    await dancing.send(raw_frame(1))
    if state == "mid-frame":
        await stack.triton.gates.begun(calls)
    else:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await writing.wait()
    return 2


async def ended(dancing: Dancing, stack: Stack, proxy: FaultProxy, end: str, state: str, owed: int) -> None:
    """Cause the end, and check the status that the client receives, if it still can."""
    if end == "ok":
        stack.triton.gates.release()
        assert len(await dancing.rest()) == owed
    elif end == "cancel":
        dancing.call.cancel()
    elif end == "kill":
        proxy.reset()
    elif end == "timeout" and state == "writing":
        await until_no_session()
    elif end == "timeout":
        _, error = await dancing.failure()
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    elif end == "stage error":
        stack.triton.dies_at = 0
        stack.triton.gates.release()
        await dancing.send(raw_frame(2))
        _, error = await dancing.failure()
        assert error.code() is grpc.StatusCode.UNAVAILABLE
    elif end == "server stop":
        assert stack.server is not None
        await stack.service.drain()
        await stack.server.stop(GRACE_SECONDS)


async def until_no_session() -> None:
    """Wait until the server has released everything."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while metrics.SESSIONS._value.get() or metrics.FRAMES_IN_FLIGHT._value.get():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("end", ENDS)
async def test_nothing_of_a_session_stays(tmp_path: Path, writing: asyncio.Event, end: str, state: str) -> None:
    """All tasks end, all gauges are back at zero, no stage has a stream left, and the next session works as usual."""
    publish_actor(tmp_path, "ben", face=False, size=LARGE)
    async with stack_of(tmp_path, **limits_of(end, state)) as stack:
        await dance(stack.stub, configured("ben"), raw_frame(0))  # gRPC's objects per connection exist from now on
        before = asyncio.all_tasks()
        async with FaultProxy(stack.address) as proxy, open_channel(proxy.address) as channel:
            dancing = Dancing(transfer_pb2_grpc.TransferServiceStub(channel))
            owed = await brought(dancing, stack, state, writing)
            assert metrics.SESSIONS._value.get() == 1
            await ended(dancing, stack, proxy, end, state, owed)
            await until_no_session()
            stack.triton.gates.release()
        async with asyncio.timeout(PATIENCE_SECONDS):
            # A gRPC server keeps tasks of its own, which wait for the next call.
            while ours := [task for task in asyncio.all_tasks() - before if "AioServer" not in repr(task)]:
                await asyncio.wait(ours)
            while stack.pose.open_streams or stack.normalize.open_streams:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        if end != "server stop":
            stack.triton.dies_at = None
            _, answers = await dance(stack.stub, configured("ben"), raw_frame(0))
            assert len(answers) == 1
