"""`dance.v1.NormalizeService`: protobuf in, protobuf out. `Normalizer` does the work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import grpc.aio
from dance.v1 import normalize_pb2, normalize_pb2_grpc
from prometheus_client import Counter, Histogram

from motion.body import BodyStats
from motion.frame import FrameSize
from motion.pose import Pose
from services.normalize.normalizer import Normalized, Normalizer, NormalizerConfig, PoseFrame
from services.normalize.settings import NormalizeSettings
from serving.errors import BadInput
from serving.observability import metrics
from serving.rpc import converters
from serving.rpc.server import Service
from serving.rpc.server_stream import ServerStream, StreamPlaces

ANSWERS: Final = Counter("dance_normalize_poses", "Answered pose frames by result: pose or nobody", ["result"])
_POSES, _NOBODY = ANSWERS.labels("pose"), ANSWERS.labels("nobody")
COMPUTE: Final = Histogram(
    "dance_normalize_compute_seconds",
    "Normalising a pose, its state included, without waiting",
    buckets=metrics.FRAME_BUCKETS_SECONDS,
)

_READ_AHEAD: Final = 2


class NormalizeService(Service, normalize_pb2_grpc.NormalizeServiceServicer):
    """Serves `Normalize`: one `Normalizer` per stream, on the event loop, because a frame takes less than 1 ms."""

    name: str = "normalize"
    full_names: tuple[str, ...] = ("dance.v1.NormalizeService",)

    def __init__(self, settings: NormalizeSettings) -> None:
        self._settings = settings
        self._places = StreamPlaces(self.name, max_streams=settings.max_streams, idle_seconds=settings.idle_seconds)

    def register(self, server: grpc.aio.Server) -> None:
        """See `serving.rpc.server.Service`."""
        normalize_pb2_grpc.add_NormalizeServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    async def warm_up(self) -> None:
        """Push one frame through a normaliser."""
        size = FrameSize(640, 480)
        body = BodyStats(near_ankle_y=0.9, far_ankle_y=0.8, near_height=0.6, far_height=0.5, hip_x=0.5, frames=1)
        config = NormalizerConfig(target_body=body, target_size=size, frame_rate_hz=25, rules=self._settings.rules())
        Normalizer(config).push(PoseFrame(0, size, Pose.nothing_seen()))

    async def Normalize(
        self, requests: AsyncIterator[normalize_pb2.NormalizeRequest], context: grpc.aio.ServicerContext
    ) -> None:
        """See normalize.proto. Raises BadInput, AtCapacity, and StageTimeout if the client falls silent."""
        async with self._places.taken(aiter(requests), context.write, _as_it_is, read_ahead=_READ_AHEAD) as stream:
            await self._answer(stream)

    async def _answer(
        self, stream: ServerStream[normalize_pb2.NormalizeRequest, normalize_pb2.NormalizeResponse]
    ) -> None:
        request = await stream.take()
        if request is None or request.WhichOneof("request") != "config":
            raise BadInput("config", "must be the first request")
        normalizer = Normalizer(self._config(request.config))
        request.config.ClearField("state")
        await stream.send(normalize_pb2.NormalizeResponse(accepted=request.config), None)
        while (request := await stream.take()) is not None:
            if request.WhichOneof("request") != "pose_frame":
                raise BadInput("request", "after the config, every request must be a pose_frame")
            for answer in normalizer.push(_pose_frame(request.pose_frame)):
                await stream.send(_response(answer), answer.sequence)
        for answer in normalizer.finish():
            await stream.send(_response(answer), answer.sequence)

    def _config(self, config: normalize_pb2.NormalizeConfig) -> NormalizerConfig:
        for name in ("target_body", "target_frame"):
            if not config.HasField(name):
                raise BadInput(f"config.{name}", "is missing")
        if config.look_ahead_frames > self._settings.max_look_ahead_frames:
            most = self._settings.max_look_ahead_frames
            raise BadInput("config.look_ahead_frames", f"may be at most {most}, got {config.look_ahead_frames}")
        source_body = None
        if config.HasField("source_body"):
            source_body = converters.body_stats_from_proto(config.source_body, field="config.source_body")
        return NormalizerConfig(
            target_body=converters.body_stats_from_proto(config.target_body, field="config.target_body"),
            target_size=converters.frame_size_from_proto(config.target_frame, field="config.target_frame"),
            source_body=source_body,
            look_ahead_frames=config.look_ahead_frames,
            frame_rate_hz=config.frame_rate_hz,
            state=config.state,
            rules=self._settings.rules(),
        )


def _pose_frame(message: normalize_pb2.PoseFrame) -> PoseFrame:
    where = f"pose_frame[{message.sequence}]"
    return PoseFrame(
        sequence=message.sequence,
        size=converters.frame_size_from_proto(message.size, field=f"{where}.size"),
        pose=converters.pose_from_proto(message.pose, field=f"{where}.pose") if message.HasField("pose") else None,
        captured_at_s=converters.seconds_from_proto(message.captured_at, field=f"{where}.captured_at")
        if message.HasField("captured_at")
        else None,
    )


def _response(answer: Normalized) -> normalize_pb2.NormalizeResponse:
    COMPUTE.observe(answer.compute_seconds)
    (_NOBODY if answer.pose is None else _POSES).inc()
    # Filled in place: a protobuf constructor copies every message that it is given.
    response = normalize_pb2.NormalizeResponse()
    message = response.normalized
    message.sequence = answer.sequence
    if answer.pose is not None:
        converters.fill_pose(message.pose, answer.pose)
    if answer.transform is not None:
        message.transform.scale = answer.transform.scale
        message.transform.foot_y = answer.transform.foot_y
        message.transform.hip_x = answer.transform.hip_x
    message.calibration = normalize_pb2.CALIBRATION_RUNNING if answer.calibrating else normalize_pb2.CALIBRATION_GIVEN
    message.certainty = answer.certainty
    if answer.retargeting is not None:
        message.depth_ratio = answer.retargeting.depth_ratio
        message.extrapolated = answer.retargeting.extrapolated
        message.limited = answer.retargeting.limited
        message.on_the_spot = answer.retargeting.on_the_spot
        message.airborne = answer.retargeting.airborne
    message.transform_kept = answer.transform_kept
    message.held_joints = answer.held_joints
    message.state_after = answer.state_after
    message.compute_seconds = answer.compute_seconds
    if answer.source_body is not None:
        converters.fill_body_stats(message.source_body, answer.source_body)
    return response


async def _as_it_is(request: normalize_pb2.NormalizeRequest) -> normalize_pb2.NormalizeRequest:
    return request
