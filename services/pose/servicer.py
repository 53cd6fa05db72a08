"""`dance.v1.PoseService`: protobuf in, protobuf out. All looking happens in `PoseEstimator`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import grpc.aio
from dance.v1 import frame_pb2, pose_pb2, pose_pb2_grpc
from prometheus_client import Counter

from motion.frame import Picture
from services.pose.estimator import Estimate, PoseDetail
from services.pose.settings import PoseSettings
from services.pose.worker import Factory, WorkerPool, make_estimator
from serving import telemetry, wire
from serving.errors import AtCapacity, BadInput, NotServed, StageTimeout
from serving.pictures import check_picture, decode_picture

ESTIMATES: Final = Counter("dance_pose_estimates", "Looked-at frames by result: person or nobody", ["result"])

_CONFIG_SECONDS: Final = 1.0

_DETAILS: Final = {
    pose_pb2.POSE_DETAIL_UNSPECIFIED: PoseDetail.HOLISTIC,
    pose_pb2.POSE_DETAIL_BODY: PoseDetail.BODY,
    pose_pb2.POSE_DETAIL_HOLISTIC: PoseDetail.HOLISTIC,
    pose_pb2.POSE_DETAIL_LIVE: PoseDetail.LIVE,
}
_DETAIL_TO_PROTO: Final = {
    PoseDetail.BODY: pose_pb2.POSE_DETAIL_BODY,
    PoseDetail.HOLISTIC: pose_pb2.POSE_DETAIL_HOLISTIC,
    PoseDetail.LIVE: pose_pb2.POSE_DETAIL_LIVE,
}


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A frame on its way to the estimator."""

    sequence: int
    picture: Picture
    decode_seconds: float


class PoseService(pose_pb2_grpc.PoseServiceServicer):
    """Serves `Estimate`: one estimator, in a thread of its own, per stream."""

    name: str = "pose"
    full_names: tuple[str, ...] = ("dance.v1.PoseService",)

    def __init__(self, settings: PoseSettings, factory: Factory = make_estimator) -> None:
        self._settings = settings
        self._limits = settings.limits()
        self._pool = WorkerPool(PoseDetail.HOLISTIC, settings.rules(), factory)
        self._decoders = ThreadPoolExecutor(settings.decoding_threads, thread_name_prefix="decode")
        self._streams = 0

    def register(self, server: grpc.aio.Server) -> None:
        """See `serving.server.Service`."""
        pose_pb2_grpc.add_PoseServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    async def warm_up(self) -> None:
        """A first picture goes through a first estimator."""
        await self._pool.warm_up()

    async def close(self) -> None:
        """Ends all threads."""
        await self._pool.close()
        await asyncio.to_thread(self._decoders.shutdown)

    def ready_facts(self) -> Mapping[str, str | int]:
        """Nothing beyond the ports."""
        return {}

    async def Estimate(
        self, requests: AsyncIterator[pose_pb2.EstimateRequest], context: grpc.aio.ServicerContext
    ) -> None:
        """See pose.proto. Raises BadInput, BadPicture, NotServed, AtCapacity, and StageTimeout for a silent peer."""
        if self._streams >= self._settings.max_streams:
            # grpc tells a client whose config is still on its way INTERNAL in place of the refusal.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CONFIG_SECONDS):
                    await anext(aiter(requests), None)
            raise AtCapacity(f"pose: all {self._settings.max_streams} streams are in use")
        self._streams += 1
        telemetry.STREAMS.labels("pose").inc()
        frames: asyncio.Queue[pose_pb2.EstimateConfig | _Decoded | Exception | None] = asyncio.Queue(
            self._settings.max_frames_waiting
        )
        reader = asyncio.create_task(self._read(requests, frames), name="pose requests")
        worker = None
        try:
            config = await self._next(frames, None)
            assert isinstance(config, pose_pb2.EstimateConfig)  # _read sends it first, or an error
            accepted = self._accepted(config)
            rules = self._settings.rules(accepted.face_and_hands_every_n)
            worker = await self._pool.take(_DETAILS[accepted.detail], rules)
            await self._write(context, pose_pb2.EstimateResponse(accepted=accepted), None)
            last_sequence: int | None = None
            while isinstance(frame := await self._next(frames, last_sequence), _Decoded):
                last_sequence = frame.sequence
                estimate = await worker.estimate(frame.picture)
                response = pose_pb2.EstimateResponse(estimate=_estimate_to_proto(frame, estimate))
                await self._write(context, response, last_sequence)
        finally:
            if worker is not None:
                self._pool.give_back(worker)
            self._streams -= 1
            telemetry.STREAMS.labels("pose").dec()
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    async def _next(
        self,
        frames: asyncio.Queue[pose_pb2.EstimateConfig | _Decoded | Exception | None],
        last_sequence: int | None,
    ) -> pose_pb2.EstimateConfig | _Decoded | None:
        # The time limit is on the queue: a cancelled read would leak memory in grpcio.
        try:
            async with asyncio.timeout(self._settings.idle_seconds):
                item = await frames.get()
        except TimeoutError as error:
            reason = f"the sender was silent for {self._settings.idle_seconds:g} s"
            raise StageTimeout("pose", last_sequence, reason) from error
        if isinstance(item, Exception):
            raise item
        return item

    async def _write(
        self, context: grpc.aio.ServicerContext, response: pose_pb2.EstimateResponse, sequence: int | None
    ) -> None:
        try:
            async with asyncio.timeout(self._settings.idle_seconds):
                await context.write(response)
        except TimeoutError as error:
            reason = f"the receiver took no answer for {self._settings.idle_seconds:g} s"
            raise StageTimeout("pose", sequence, reason) from error

    async def _read(
        self,
        requests: AsyncIterator[pose_pb2.EstimateRequest],
        frames: asyncio.Queue[pose_pb2.EstimateConfig | _Decoded | Exception | None],
    ) -> None:
        """Puts the config, decoded frames, then None or the error that ends the stream; decodes one frame ahead."""
        last_sequence = -1
        configured = False
        try:
            async for request in requests:
                kind = request.WhichOneof("request")
                if not configured:
                    if kind != "config":
                        raise BadInput("config", f"must be the first request, got {kind or 'an empty request'}")
                    configured = True
                    await frames.put(request.config)
                    continue
                if kind != "frame":
                    raise BadInput(kind or "request", "after the config, every request must be a frame")
                if request.frame.sequence <= last_sequence:
                    raise BadInput("frame.sequence", f"must rise, got {request.frame.sequence} after {last_sequence}")
                last_sequence = request.frame.sequence
                await frames.put(await self._decoded(request.frame))
            if not configured:
                raise BadInput("config", "must be the first request; the stream ended without one")
        except Exception as error:
            await frames.put(error)
        else:
            await frames.put(None)

    async def _decoded(self, frame: frame_pb2.Frame) -> _Decoded:
        where = f"frame[{frame.sequence}].picture"
        picture = wire.picture_from_proto(frame.picture, field=where)
        check_picture(picture, self._limits, field=where)

        def decode() -> _Decoded:
            started = time.perf_counter()
            pixels = decode_picture(picture, self._limits, field=where)
            return _Decoded(frame.sequence, pixels, time.perf_counter() - started)

        return await asyncio.get_running_loop().run_in_executor(self._decoders, decode)

    def _accepted(self, config: pose_pb2.EstimateConfig) -> pose_pb2.EstimateConfig:
        """The config as it will be honoured. Raises NotServed and BadInput, naming the field."""
        served = (pose_pb2.POSE_BACKEND_UNSPECIFIED, pose_pb2.POSE_BACKEND_MEDIAPIPE)
        if config.backend not in served:
            if config.backend not in pose_pb2.PoseBackend.values():
                raise BadInput("config.backend", f"{config.backend} is no pose backend")
            raise NotServed(f"config.backend: {pose_pb2.PoseBackend.Name(config.backend)} is not served; MEDIAPIPE is")
        if config.detail not in _DETAILS:
            raise BadInput("config.detail", f"{config.detail} is no pose detail")
        rule = config.dancer.WhichOneof("rule")
        if rule not in (None, "largest"):
            raise NotServed(f"config.dancer.{rule}: is not served; MediaPipe finds one person, the largest")
        if rule == "largest" and not config.dancer.largest:
            raise BadInput("config.dancer.largest", "cannot be false; leave the rule out")
        detail = _DETAILS[config.detail]
        every_n = config.face_and_hands_every_n or self._settings.face_and_hands_every_n
        return pose_pb2.EstimateConfig(
            backend=pose_pb2.POSE_BACKEND_MEDIAPIPE,
            detail=_DETAIL_TO_PROTO[detail],
            dancer=pose_pb2.DancerSelection(largest=True),
            face_and_hands_every_n=every_n if detail is PoseDetail.LIVE else 0,
        )


def _estimate_to_proto(frame: _Decoded, estimate: Estimate) -> pose_pb2.Estimate:
    compute_seconds = frame.decode_seconds + estimate.compute_seconds
    telemetry.STAGE_COMPUTE.labels("pose").observe(compute_seconds)
    ESTIMATES.labels("person" if estimate.people else "nobody").inc()
    height_px, width_px = frame.picture.shape[:2]
    return pose_pb2.Estimate(
        sequence=frame.sequence,
        # MediaPipe tells nobody apart: whoever it finds is person 1.
        people=[pose_pb2.Person(pose=wire.pose_to_proto(pose), person_id=1) for pose in estimate.people],
        dancer_index=estimate.dancer_index,
        width_px=width_px,
        height_px=height_px,
        compute_seconds=compute_seconds,
        face_and_hands_carried=estimate.face_and_hands_carried,
    )
