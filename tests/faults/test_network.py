"""Networks that are slow, reset, or silent, in front of each stage and of the orchestrator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from dance.v1 import transfer_pb2, transfer_pb2_grpc

from serving.observability import metrics
from serving.rpc.channels import open_channel
from tests.faults.dancer import dance as dance_on
from tests.faults.dancer import moving_poses
from tests.faults.proxy import FaultProxy
from tests.pipeline.chain import Dancing, Stack, configured, dance, publish_actor, raw_frame, stack_of
from tests.pipeline.fake_stages import PATIENCE_SECONDS

FRAMES = 10
STAGES = ("pose", "normalize", "triton", "face")


@asynccontextmanager
async def behind(proxy: FaultProxy, stage: str, root: Path, **settings: Any) -> AsyncIterator[Stack]:
    """A chain with `proxy` in front of one stage."""
    publish_actor(root, "anna")
    async with stack_of(root, **{f"{stage}_address": proxy.address}, **settings) as stack:
        proxy.target = stack.stage_addresses[stage]
        yield stack


async def until(holds: Callable[[], bool]) -> None:
    """Poll a metric until it has this value."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("stage", STAGES)
async def test_reset_of_a_stages_connection_costs_no_frame(tmp_path: Path, stage: str) -> None:
    """After a reset in mid-session the call is made again on a new connection."""
    async with FaultProxy() as proxy, behind(proxy, stage, tmp_path, away_seconds=PATIENCE_SECONDS) as stack:
        dancing = Dancing(stack.stub)
        await dancing.send(configured())
        await dancing.accepted()
        await dancing.send(*(raw_frame(t) for t in range(3)))
        answers = await dancing.answers(3)
        proxy.reset()
        await dancing.send(*(raw_frame(t) for t in range(3, FRAMES)))
        answers += await dancing.rest()
    assert [answer.sequence for answer in answers] == list(range(FRAMES))
    assert proxy.accepted >= 2


@pytest.mark.parametrize("stage", STAGES)
async def test_slow_network_is_only_slow(tmp_path: Path, stage: str) -> None:
    """Ten milliseconds each way."""
    async with FaultProxy() as proxy, behind(proxy, stage, tmp_path) as stack:
        proxy.latency_seconds = 0.01
        _, answers = await dance(stack.stub, configured(), *(raw_frame(t) for t in range(FRAMES)))
    assert [answer.sequence for answer in answers] == list(range(FRAMES))
    assert not [a for a in answers if transfer_pb2.FRAME_REMARK_STAGE_RETRIED in a.remarks]


async def test_silent_network_ends_the_session_with_the_stages_name(tmp_path: Path) -> None:
    """A stage that never answers ends the session after its time-out and the retries, with an error."""

    async def silent(stage: str) -> None:
        name = "generator" if stage == "triton" else stage
        # Frame 0 has to be in time, on a busy machine too.
        limits = {f"{name}_seconds": 2.0, "open_seconds": 2.0, "away_seconds": 0.3, "actor_seconds": 2.0}
        async with FaultProxy() as proxy, behind(proxy, stage, tmp_path / stage, **limits) as stack:
            dancing = Dancing(stack.stub)
            await dancing.send(configured())
            await dancing.accepted()
            await dancing.send(raw_frame(0))
            await dancing.answers(1)
            proxy.hold()
            await dancing.send(raw_frame(1))
            _, error = await dancing.failure()
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert error.details().startswith(f"stage {name} failed at frame 1: ")

    async with asyncio.TaskGroup() as group:  # in parallel, because each one waits for its time-out
        for stage in STAGES:
            group.create_task(silent(stage))


@pytest.mark.parametrize("stage", STAGES)
async def test_network_that_comes_back_is_a_pause(tmp_path: Path, stage: str) -> None:
    """The stage is silent for longer than one call may take, then answers again."""
    name = "generator" if stage == "triton" else stage
    limits = {f"{name}_seconds": 0.2, "away_seconds": PATIENCE_SECONDS}
    async with FaultProxy() as proxy, behind(proxy, stage, tmp_path, **limits) as stack:
        before = metrics.STAGE_RETRIES.labels(name)._value.get()
        dancing = Dancing(stack.stub)
        await dancing.send(configured())
        await dancing.accepted()
        await dancing.send(raw_frame(0))
        answers = await dancing.answers(1)
        proxy.hold()
        await dancing.send(raw_frame(1))
        await until(lambda: metrics.STAGE_RETRIES.labels(name)._value.get() > before)
        proxy.release()
        await dancing.send(*(raw_frame(t) for t in range(2, FRAMES)))
        answers += await dancing.rest()
    assert [answer.sequence for answer in answers] == list(range(FRAMES))


async def test_client_whose_connection_is_reset_resumes(tmp_path: Path) -> None:
    """The client follows the contract: a new session from the last checkpoint, each frame once."""
    publish_actor(tmp_path, "ben", face=False)
    async with stack_of(tmp_path) as stack, FaultProxy(stack.address) as proxy:

        async def answered(sequence: int) -> None:
            if sequence in (2, 11, 12, 27):
                proxy.reset()

        answers, _, sessions = await dance_on(proxy.address, moving_poses(30), answered, every=4, actor="ben")
    assert len(answers) == 30
    assert sessions > 1  # a reset after the server's last answer ends nothing
    assert [answer.picture.data[0] for answer in answers] == [129 + t for t in range(30)]


async def test_client_that_vanishes_without_a_word_is_forgotten(tmp_path: Path) -> None:
    """A half-open connection has no data and no end. The idle limit frees its place, and nothing of it remains."""
    publish_actor(tmp_path, "ben", face=False)
    async with stack_of(tmp_path, idle_seconds=0.5) as stack, FaultProxy(stack.address) as proxy:
        channel = open_channel(proxy.address)
        dancing = Dancing(transfer_pb2_grpc.TransferServiceStub(channel))
        await dancing.send(configured("ben"), raw_frame(0))
        await dancing.accepted()
        await dancing.answers(1)
        assert metrics.SESSIONS._value.get() == 1
        proxy.hold()
        await until(lambda: metrics.SESSIONS._value.get() == 0)
        assert metrics.FRAMES_IN_FLIGHT._value.get() == 0
        dancing.call.cancel()
        await channel.close()
