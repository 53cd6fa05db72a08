"""The orchestrator's health says whether it accepts sessions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestrator.reachability import Reachability
from orchestrator.servicer import TransferService
from serving.channels import open_channel
from serving.server import RunningServer, running
from tests.pipeline.chain import Stack
from tests.pipeline.fake_stages import PATIENCE_SECONDS

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Watched:
    """What one orchestrator's health says, as it changes."""

    def __init__(self, server: RunningServer, call: Any) -> None:
        self.server = server
        self._call = call

    async def becomes(self, status: int) -> None:
        """Waits for this status."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self._call.read()).status != status:
                pass


@asynccontextmanager
async def orchestrator(stack: Stack, **settings: Any) -> AsyncIterator[Watched]:
    """One with health and metrics, before the stages of `stack`."""
    chosen = replace(stack.settings, watch_seconds=0.02, drain_seconds=0, **settings)
    async with (
        running(TransferService(chosen), chosen) as server,
        open_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        request = health_pb2.HealthCheckRequest(service="dance.v1.TransferService")
        yield Watched(server, health_pb2_grpc.HealthStub(channel).Watch(request))


@pytest.mark.parametrize("stage", ["pose", "normalize", "face", "agent", "triton"])
async def test_a_stage_that_stays_away_is_told(stack: Stack, stage: str):
    """NOT_SERVING once any stage has been away for longer than the setting, SERVING again when it is back."""
    with socket.socket() as held:  # so that nobody else gets the port meanwhile; gRPC shares it
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{held.getsockname()[1]}"
        settings = {"unready_after_seconds": 0.1, f"{stage}_address": nobody}
        async with orchestrator(stack, **settings) as health:
            await health.becomes(NOT_SERVING)
            back = grpc.aio.server()
            back.add_insecure_port(nobody)
            await back.start()
            try:
                await health.becomes(SERVING)
            finally:
                await back.stop(0)


async def test_with_all_stages_it_serves(stack: Stack):
    """With every stage there it says SERVING, however strict the setting is once they were reached."""
    async with orchestrator(stack, unready_after_seconds=5) as health:
        await health.becomes(SERVING)


async def test_a_short_absence_is_no_reason():
    """A stage that is away for less than the setting is only counted; the clock starts anew when it is back."""
    moments = ((0, True), (5, False), (9.9, False), (10, True), (15, False), (19.9, False), (20, False), (21, True))
    now_s, there = 0.0, True

    async def probe() -> bool:
        return there

    stages = Reachability({"pose": probe}, unready_after_seconds=10, now_s=lambda: now_s)
    said = []
    for moment_s, there_then in moments:
        now_s, there = moment_s, there_then
        said.append(await stages.look())
    assert said == [(), (), (), (), (), (), ("pose",), ()]
