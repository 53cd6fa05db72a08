"""`dance.v1.NormalizeService`: protobuf in, protobuf out. All thinking happens in `Normalizer`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Final

import grpc.aio
from dance.v1 import normalize_pb2, normalize_pb2_grpc
from prometheus_client import Counter

from motion.body import BodyStats
from motion.frame import FrameSize
from motion.pose import Pose
from services.normalize.calibration import Calibration
from services.normalize.normalizer import Normalized, Normalizer, NormalizerConfig, PoseFrame
from services.normalize.settings import NormalizeSettings
from serving import telemetry, wire
from serving.errors import AtCapacity, BadInput, StageTimeout

ANSWERS: Final = Counter("dance_normalize_poses", "Answered pose frames by result: pose or nobody", ["result"])

_CONFIG_SECONDS: Final = 1.0

_CALIBRATIONS: Final = {
    Calibration.GIVEN: normalize_pb2.CALIBRATION_GIVEN,
    Calibration.RUNNING: normalize_pb2.CALIBRATION_RUNNING,
}


class NormalizeService(normalize_pb2_grpc.NormalizeServiceServicer):
    """Serves `Normalize`: one `Normalizer` per stream, on the event loop, since a frame takes it less than 1 ms."""

    name: str = "normalize"
    full_names: tuple[str, ...] = ("dance.v1.NormalizeService",)

    def __init__(self, settings: NormalizeSettings) -> None:
        self._settings = settings
        self._streams = 0

    def register(self, server: grpc.aio.Server) -> None:
        """See `serving.server.Service`."""
        normalize_pb2_grpc.add_NormalizeServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    async def warm_up(self) -> None:
        """A first frame goes through a first normaliser."""
        size = FrameSize(640, 480)
        body = BodyStats(near_ankle_y=0.9, far_ankle_y=0.8, near_height=0.6, far_height=0.5, hip_x=0.5, frames=1)
        config = NormalizerConfig(target_body=body, target_size=size, frame_rate_hz=25, rules=self._settings.rules())
        Normalizer(config).push(PoseFrame(0, size, Pose.nothing_seen()))

    async def close(self) -> None:
        """Nothing was started."""

    def ready_facts(self) -> Mapping[str, str | int]:
        """Nothing beyond the ports."""
        return {}

    async def Normalize(
        self, requests: AsyncIterator[normalize_pb2.NormalizeRequest], context: grpc.aio.ServicerContext
    ) -> None:
        """See normalize.proto. Raises BadInput, AtCapacity, and StageTimeout for a peer that falls silent."""
        if self._streams >= self._settings.max_streams:
            # grpc tells a client whose config is still on its way INTERNAL in place of the refusal.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CONFIG_SECONDS):
                    await anext(aiter(requests), None)
            raise AtCapacity(f"normalize: all {self._settings.max_streams} streams are in use")
        self._streams += 1
        telemetry.STREAMS.labels("normalize").inc()
        try:
            await self._answered(aiter(requests), context)
        finally:
            self._streams -= 1
            telemetry.STREAMS.labels("normalize").dec()

    async def _answered(
        self, requests: AsyncIterator[normalize_pb2.NormalizeRequest], context: grpc.aio.ServicerContext
    ) -> None:
        request = await self._next(requests, None)
        if request is None or request.WhichOneof("request") != "config":
            raise BadInput("config", "must be the first request")
        normalizer = Normalizer(self._config(request.config))
        request.config.ClearField("state")
        await self._write(context, normalize_pb2.NormalizeResponse(accepted=request.config), None)
        sequence: int | None = None
        while (request := await self._next(requests, sequence)) is not None:
            if request.WhichOneof("request") != "pose_frame":
                raise BadInput("request", "after the config, every request must be a pose_frame")
            sequence = request.pose_frame.sequence
            for answer in normalizer.push(_pose_frame(request.pose_frame)):
                await self._write(context, _response(answer), sequence)
        for answer in normalizer.finish():
            await self._write(context, _response(answer), sequence)

    async def _next(
        self, requests: AsyncIterator[normalize_pb2.NormalizeRequest], sequence: int | None
    ) -> normalize_pb2.NormalizeRequest | None:
        try:
            # A cancelled read leaks memory in grpcio; this one is cancelled once at most, at the end of its stream.
            async with asyncio.timeout(self._settings.idle_seconds):
                return await anext(requests, None)
        except TimeoutError as error:
            reason = f"the sender was silent for {self._settings.idle_seconds:g} s"
            raise StageTimeout("normalize", sequence, reason) from error

    async def _write(
        self, context: grpc.aio.ServicerContext, response: normalize_pb2.NormalizeResponse, sequence: int | None
    ) -> None:
        try:
            async with asyncio.timeout(self._settings.idle_seconds):
                await context.write(response)
        except TimeoutError as error:
            reason = f"the receiver took no answer for {self._settings.idle_seconds:g} s"
            raise StageTimeout("normalize", sequence, reason) from error

    def _config(self, config: normalize_pb2.NormalizeConfig) -> NormalizerConfig:
        for name in ("target_body", "target_frame"):
            if not config.HasField(name):
                raise BadInput(f"config.{name}", "is missing")
        if config.look_ahead_frames > self._settings.max_look_ahead_frames:
            most = self._settings.max_look_ahead_frames
            raise BadInput("config.look_ahead_frames", f"may be at most {most}, got {config.look_ahead_frames}")
        has_body = config.HasField("source_body")
        return NormalizerConfig(
            target_body=wire.body_stats_from_proto(config.target_body, field="config.target_body"),
            target_size=wire.frame_size_from_proto(config.target_frame, field="config.target_frame"),
            source_body=wire.body_stats_from_proto(config.source_body, field="config.source_body")
            if has_body
            else None,
            look_ahead_frames=config.look_ahead_frames,
            frame_rate_hz=config.frame_rate_hz,
            state=config.state,
            rules=self._settings.rules(),
        )


def _pose_frame(message: normalize_pb2.PoseFrame) -> PoseFrame:
    where = f"pose_frame[{message.sequence}]"
    return PoseFrame(
        sequence=message.sequence,
        size=wire.frame_size_from_proto(message.size, field=f"{where}.size"),
        pose=wire.pose_from_proto(message.pose, field=f"{where}.pose") if message.HasField("pose") else None,
        captured_at_s=wire.seconds_from_proto(message.captured_at) if message.HasField("captured_at") else None,
    )


def _response(answer: Normalized) -> normalize_pb2.NormalizeResponse:
    telemetry.STAGE_COMPUTE.labels("normalize").observe(answer.compute_seconds)
    ANSWERS.labels("nobody" if answer.pose is None else "pose").inc()
    transform = answer.transform
    return normalize_pb2.NormalizeResponse(
        normalized=normalize_pb2.NormalizedPose(
            sequence=answer.sequence,
            pose=None if answer.pose is None else wire.pose_to_proto(answer.pose),
            transform=None
            if transform is None
            else normalize_pb2.BodyTransform(scale=transform.scale, foot_y=transform.foot_y, hip_x=transform.hip_x),
            calibration=_CALIBRATIONS[answer.calibration],
            certainty=answer.certainty,
            depth_ratio=answer.depth_ratio,
            extrapolated=answer.extrapolated,
            limited=answer.limited,
            on_the_spot=answer.on_the_spot,
            transform_kept=answer.transform_kept,
            held_joints=answer.held_joints,
            state_after=answer.state_after,
            compute_seconds=answer.compute_seconds,
            source_body=None if answer.source_body is None else wire.body_stats_to_proto(answer.source_body),
        )
    )
