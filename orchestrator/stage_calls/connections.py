"""The connections to all stages, shared by all sessions of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import grpc.aio
from dance.v1 import agent_pb2_grpc, face_pb2_grpc, normalize_pb2_grpc, pose_pb2_grpc
from grpc import ChannelConnectivity, StatusCode
from tritonclient.grpc import InferenceServerClientPlugin
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.failures import status_code
from orchestrator.stage_calls.reachability import Probe
from serving.rpc.call_context import CarryingChannel, outgoing_metadata
from serving.rpc.channels import CHANNEL_OPTIONS, open_channel
from serving.transport.tls import channel_credentials

_PROBE_SECONDS: Final = 2.0
_NOT_THERE: Final = (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED)


class _Carrying(InferenceServerClientPlugin):  # type: ignore[misc]
    """Adds outgoing metadata to calls of Triton's client, as `CarryingChannel` does for stubs."""

    def __call__(self, request: Any) -> None:
        carried = outgoing_metadata(whole_session=False)
        if carried:
            request.headers = {**(request.headers or {}), **dict(carried)}


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
        )
        tls = settings.stage_tls()
        self._channels = [open_channel(address, tls) for address in addresses]
        pose, normalize, face, agent = (CarryingChannel(channel) for channel in self._channels)
        self.pose = pose_pb2_grpc.PoseServiceStub(pose)  # type: ignore[no-untyped-call]
        self.normalize = normalize_pb2_grpc.NormalizeServiceStub(normalize)  # type: ignore[no-untyped-call]
        self.face = face_pb2_grpc.FaceServiceStub(face)  # type: ignore[no-untyped-call]
        self.agent = agent_pb2_grpc.GeneratorAgentServiceStub(agent)  # type: ignore[no-untyped-call]
        self.triton = InferenceServerClient(
            settings.triton_address,
            ssl=tls is not None,
            creds=None if tls is None else channel_credentials(tls),
            channel_args=list(CHANNEL_OPTIONS),
        )
        self.triton.register_plugin(_Carrying())

    def probes(self) -> Mapping[str, Probe]:
        """Return a probe for each server: can it be reached now? Only Triton's makes a call."""
        names = ("pose", "normalize", "face", "agent")
        ours = {name: _connected(channel) for name, channel in zip(names, self._channels, strict=True)}
        return {**ours, "triton": self._triton_answers}

    async def connect(self, *, within_seconds: float) -> None:
        """Connect to each of our own stages, and wait until all are connected or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await asyncio.gather(*(channel.channel_ready() for channel in self._channels))

    async def _triton_answers(self) -> bool:
        try:
            await self.triton.is_server_live(client_timeout=_PROBE_SECONDS)
        except InferenceServerException as error:
            return status_code(error) not in _NOT_THERE  # any other status proves that it answers
        return True

    async def close(self) -> None:
        """Close all connections, and end the calls on them."""
        await self.triton.close()
        for channel in self._channels:
            await channel.close()


def _connected(channel: grpc.aio.Channel) -> Probe:
    async def probe() -> bool:
        return bool(channel.get_state(try_to_connect=True) is ChannelConnectivity.READY)

    return probe
