"""The connections to all stages, shared by the sessions of one process."""

from __future__ import annotations

from dance.v1 import agent_pb2_grpc, face_pb2_grpc, normalize_pb2_grpc, pose_pb2_grpc
from tritonclient.grpc.aio import InferenceServerClient

from orchestrator.settings import OrchestratorSettings
from serving.channels import CHANNEL_OPTIONS, open_channel
from serving.tls import channel_credentials


class Connections:
    """Stubs for every stage. Nothing is connected until it is used; `close` at the end.

    Raises BadSettings for the files of certificates.
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
        pose, normalize, face, agent = self._channels
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

    async def close(self) -> None:
        """Closes all of them, with what still runs on them."""
        await self.triton.close()
        for channel in self._channels:
            await channel.close()
