"""The connections to all stages, shared by all sessions of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import grpc.aio
from dance.v1 import agent_pb2_grpc, face_pb2_grpc, normalize_pb2_grpc, pose_pb2_grpc
from grpc import ChannelConnectivity, StatusCode
from tritonclient.grpc import service_pb2

from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.inference import InferenceStub
from orchestrator.stage_calls.reachability import Probe
from serving.rpc.call_context import CarryingChannel
from serving.rpc.channels import open_channel

_PROBE_SECONDS: Final = 2.0
_NOT_THERE: Final = (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED)


class Connections:
    """Stubs for every stage. They connect when first used; `close` them at the end.

    Raises BadSettings for bad certificate files.
    """

    def __init__(self, settings: OrchestratorSettings) -> None:
        addresses = (
            settings.pose_address,
            settings.normalize_address,
            settings.face_address,
            settings.agent_address,
            settings.triton_address,
        )
        tls = settings.stage_tls()
        self._channels = [open_channel(address, tls) for address in addresses]
        pose, normalize, face, agent, triton = (CarryingChannel(channel) for channel in self._channels)
        self.pose = pose_pb2_grpc.PoseServiceStub(pose)  # type: ignore[no-untyped-call]
        self.normalize = normalize_pb2_grpc.NormalizeServiceStub(normalize)  # type: ignore[no-untyped-call]
        self.face = face_pb2_grpc.FaceServiceStub(face)  # type: ignore[no-untyped-call]
        self.agent = agent_pb2_grpc.GeneratorAgentServiceStub(agent)  # type: ignore[no-untyped-call]
        self.triton = InferenceStub(triton)

    def probes(self) -> Mapping[str, Probe]:
        """Return a probe for each server: can it be reached now? Only Triton's makes a call."""
        names = ("pose", "normalize", "face", "agent")
        ours = {name: _connected(channel) for name, channel in zip(names, self._channels[:4], strict=True)}
        return {**ours, "triton": self._triton_answers}

    async def connect(self, *, within_seconds: float) -> None:
        """Connect to each of our own stages, and wait until all are connected or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await asyncio.gather(*(channel.channel_ready() for channel in self._channels[:4]))

    async def _triton_answers(self) -> bool:
        try:
            await self.triton.server_live(service_pb2.ServerLiveRequest(), timeout=_PROBE_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code() not in _NOT_THERE  # any other status proves that it answers
        return True

    async def close(self) -> None:
        """Close all connections, and end the calls on them."""
        for channel in self._channels:
            await channel.close()


def _connected(channel: grpc.aio.Channel) -> Probe:
    async def probe() -> bool:
        return bool(channel.get_state(try_to_connect=True) is ChannelConnectivity.READY)

    return probe
