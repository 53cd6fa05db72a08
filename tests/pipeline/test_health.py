"""The orchestrator's health: whether it accepts sessions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import dropwhile
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestrator.servicer import TransferService
from orchestrator.stage_calls.reachability import Reachability
from serving.rpc.channels import open_channel
from serving.rpc.health import LIVE
from serving.rpc.server import RunningServer, running
from tests.pipeline.chain import Stack
from tests.pipeline.fake_stages import PATIENCE_SECONDS

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Watched:
    """The health of one orchestrator, as it changes."""

    def __init__(self, server: RunningServer, call: Any) -> None:
        self.server = server
        self._call = call

    async def next(self) -> int:
        """Wait for the next status; the first is the current one."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return int((await self._call.read()).status)

    async def becomes(self, status: int) -> None:
        """Wait for this status."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self._call.read()).status != status:
                pass


@asynccontextmanager
async def orchestrator(stack: Stack, **settings: Any) -> AsyncIterator[Watched]:
    """An orchestrator with health and metrics, connected to the stages of `stack`."""
    chosen = replace(stack.settings, watch_seconds=0.02, drain_seconds=0, **settings)
    async with (
        running(TransferService(chosen), chosen) as server,
        open_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        request = health_pb2.HealthCheckRequest(service="dance.v1.TransferService")
        yield Watched(server, health_pb2_grpc.HealthStub(channel).Watch(request))


STAGES = ["pose", "normalize", "face", "agent", "triton"]


@contextmanager
def held_port() -> Iterator[str]:
    """An address where nothing listens, and which no other process gets; gRPC shares it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@asynccontextmanager
async def listening(address: str) -> AsyncIterator[None]:
    """A server that answers at this address."""
    server = grpc.aio.server()
    server.add_insecure_port(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


@pytest.mark.parametrize("stage", STAGES)
async def test_before_a_stage_was_reached_it_never_serves(stack: Stack, stage: str, monkeypatch):
    """Whatever the setting, SERVING comes once the last stage is reached, and nothing else changes."""
    checks = asyncio.Semaphore(0)
    missed: list[set[str]] = []
    check = Reachability.check

    async def counted(self: Reachability) -> tuple[str, ...]:
        missing = await check(self)
        missed.append(set(missing))  # an exception here fails no test: the orchestrator logs it and continues
        checks.release()
        return missing

    monkeypatch.setattr(Reachability, "check", counted)
    with held_port() as wrong:
        async with orchestrator(stack, unready_after_seconds=3600, **{f"{stage}_address": wrong}) as health:
            assert await health.next() == NOT_SERVING
            following = asyncio.create_task(health.next())
            async with asyncio.timeout(PATIENCE_SECONDS):
                for _ in range(5):
                    await checks.acquire()
            assert not following.done()
            async with listening(wrong):
                assert await following == SERVING
    settled = list(dropwhile(lambda missing: missing != {stage}, missed))  # a busy machine reaches the others later
    assert settled, missed
    assert all(missing <= {stage} for missing in settled), missed


@pytest.mark.parametrize("stage", STAGES)
async def test_a_stage_that_disappears_is_reported(stack: Stack, stage: str):
    """NOT_SERVING once a stage has been away for longer than the setting, SERVING again when it is back."""
    with held_port() as address:
        async with orchestrator(stack, unready_after_seconds=0.1, **{f"{stage}_address": address}) as health:
            async with listening(address):
                await health.becomes(SERVING)
            await health.becomes(NOT_SERVING)
            async with listening(address):
                await health.becomes(SERVING)


async def test_it_lives_while_it_waits_for_a_stage(stack: Stack):
    """Liveness is always true: nothing restarts an orchestrator that waits for its stages."""
    with held_port() as wrong:
        async with (
            orchestrator(stack, pose_address=wrong) as health,
            open_channel(f"127.0.0.1:{health.server.health_port}") as channel,
        ):
            assert await health.next() == NOT_SERVING
            stub = health_pb2_grpc.HealthStub(channel)
            live = await stub.Check(health_pb2.HealthCheckRequest(service=LIVE), timeout=PATIENCE_SECONDS)
            assert live.status == SERVING


async def test_the_log_names_the_stage_and_its_address(caplog):
    """The log reports a missing stage once, when the time is over; the health message names it at once."""
    now_s = 0.0

    async def probe() -> bool:
        return False

    stages = Reachability(
        {"pose": probe}, addresses={"pose": "dns:///poze:1"}, unready_after_seconds=10, now_s=lambda: now_s
    )
    assert await stages.trouble() == "these stages were never reached: pose"
    assert caplog.records == []
    now_s = 10
    for _ in range(2):
        await stages.check()
    (record,) = caplog.records
    assert record.message == "stage cannot be reached"
    assert record.facts == {"stage": "pose", "address": "dns:///poze:1", "seconds": 10, "ever_reached": False}


async def test_with_all_stages_it_serves(stack: Stack):
    """With every stage reachable it is SERVING, however strict the setting is afterwards."""
    async with orchestrator(stack, unready_after_seconds=5) as health:
        await health.becomes(SERVING)


async def test_a_short_absence_does_not_change_health():
    """A stage away for less than the setting is only counted; the clock restarts when it is back."""
    moments = ((0, True), (5, False), (9.9, False), (10, True), (15, False), (19.9, False), (20, False), (21, True))
    now_s, there = 0.0, True

    async def probe() -> bool:
        return there

    stages = Reachability({"pose": probe}, addresses={"pose": "pose:1"}, unready_after_seconds=10, now_s=lambda: now_s)
    said = []
    for moment_s, there_then in moments:
        now_s, there = moment_s, there_then
        said.append(await stages.check())
    assert said == [(), (), (), (), (), (), ("pose",), ()]
