"""`dance.v1.PoseService`: protobuf in, protobuf out. The logic is in the backends' estimators."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import grpc.aio
from dance.v1 import frame_pb2, pose_pb2, pose_pb2_grpc
from prometheus_client import Counter, Histogram

from motion.frame import Picture
from motion.people.dancer_choice import DancerChoice, DancerRule
from motion.pose_choice import PoseBackend, PoseDetail
from services.pose.backends import EstimatorConfig, Factory, make_estimator, open_backends
from services.pose.estimator import Estimate
from services.pose.settings import PoseSettings
from services.pose.worker import WorkerPool
from serving.errors import BadInput, BadPicture, BadSettings, NotServed
from serving.observability import metrics
from serving.pictures.codec import decode_picture
from serving.rpc import converters
from serving.rpc.health import Health, follow
from serving.rpc.server import Service
from serving.rpc.server_stream import ServerStream, StreamPlaces

ESTIMATES: Final = Counter(
    "dance_pose_estimates", "Frames by result: person, nobody, dancer_lost or bad_picture", ["result"]
)
COMPUTE: Final = Histogram(
    "dance_pose_compute_seconds",
    "Decoding a picture and estimating its poses, without waiting",
    buckets=metrics.FRAME_BUCKETS_SECONDS,
)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A decoded frame; `picture` is the error if it could not be decoded."""

    sequence: int
    captured_at_s: float | None
    picture: Picture | BadPicture
    decode_seconds: float


_Prepared = pose_pb2.EstimateConfig | _Decoded | pose_pb2.EstimateRequest


class PoseService(Service, pose_pb2_grpc.PoseServiceServicer):
    """Serves `Estimate`: each stream has an estimator.

    factory: creates the estimators of the backends that need no card; None for `make_estimator`, with the settings'
    threads. Raises BadSettings for invalid model cards, and if the files of the default backend are missing.
    """

    name: str = "pose"
    full_names: tuple[str, ...] = ("dance.v1.PoseService",)

    def __init__(self, settings: PoseSettings, factory: Factory | None = None) -> None:
        self._settings = settings
        self._limits = settings.limits()
        self._backends = open_backends(
            settings.cards(),
            cache=settings.model_cache,
            threads=settings.network_threads,
            mediapipe=factory or partial(make_estimator, threads=settings.estimating_threads),
        )
        backend = PoseBackend(settings.backend)
        if lacks := self._backends.lacks(backend):
            raise BadSettings("POSE_BACKEND", f"{backend.value} is not served here: {lacks}")
        default = self._backends.config(backend, PoseDetail.HOLISTIC, settings.rules())
        self._pool = WorkerPool(
            default, self._backends.make, settings.estimating_threads, max_solutions=settings.max_solution_streams
        )
        self._decoders = ThreadPoolExecutor(settings.decoding_threads, thread_name_prefix="decode")
        self._places = StreamPlaces(self.name, max_streams=settings.max_streams, idle_seconds=settings.idle_seconds)

    def register(self, server: grpc.aio.Server) -> None:
        """See `serving.rpc.server.Service`."""
        pose_pb2_grpc.add_PoseServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    async def warm_up(self) -> None:
        """Start an estimator, and with it the networks that all streams share."""
        await self._pool.warm_up()

    async def keep_health(self, health: Health) -> None:
        """Report SERVING while estimators start and none is stuck."""

        async def trouble() -> str:
            return await self._pool.trouble(stuck_seconds=self._settings.stuck_seconds)

        await follow(health, trouble, every_seconds=self._settings.watch_seconds)

    async def close(self) -> None:
        """End all threads."""
        await self._pool.close()
        await asyncio.to_thread(self._decoders.shutdown)

    async def Estimate(
        self, requests: AsyncIterator[pose_pb2.EstimateRequest], context: grpc.aio.ServicerContext
    ) -> None:
        """See pose.proto. Raises BadInput, NotServed, AtCapacity, and StageTimeout for a silent peer."""
        ahead = self._settings.max_frames_waiting
        async with self._places.taken(aiter(requests), context.write, self._prepared, read_ahead=ahead) as stream:
            await self._answer(stream)

    async def _answer(self, stream: ServerStream[_Prepared, pose_pb2.EstimateResponse]) -> None:
        config = await stream.take()
        if not isinstance(config, pose_pb2.EstimateConfig):
            raise BadInput("config", "must be the first request")
        estimator_config, state = self._estimator_config(config), config.state
        if len(state) > converters.MAX_POSE_STATE_BYTES:
            most = converters.MAX_POSE_STATE_BYTES
            raise BadInput("config.state", f"has {len(state)} bytes, at most {most} are accepted")
        last_sequence = -1
        async with self._pool.lent(estimator_config, state) as worker:
            await stream.send(pose_pb2.EstimateResponse(accepted=_accepted(estimator_config)), None)
            while (frame := await stream.take()) is not None:
                if not isinstance(frame, _Decoded):
                    kind = "config" if isinstance(frame, pose_pb2.EstimateConfig) else "request"
                    raise BadInput(kind, "after the config, every request must be a frame")
                if frame.sequence <= last_sequence:
                    raise BadInput("frame.sequence", f"must increase, got {frame.sequence} after {last_sequence}")
                last_sequence = frame.sequence
                # A picture that cannot be decoded does not end the stream: the tracker continues at the next frame.
                picture = frame.picture
                estimate: Estimate | BadPicture
                if isinstance(picture, BadPicture):
                    estimate = picture
                else:
                    estimate = await worker.estimate(picture, frame.captured_at_s)
                    state = estimate.state_after
                await stream.send(_response(frame, estimate, state), frame.sequence)

    async def _prepared(self, request: pose_pb2.EstimateRequest) -> _Prepared:
        """Return the config, or the frame, decoded in another thread, or the request itself if it is neither."""
        kind = request.WhichOneof("request")
        if kind == "config":
            return request.config
        if kind == "frame":
            return await asyncio.get_running_loop().run_in_executor(self._decoders, self._decoded, request.frame)
        return request

    def _decoded(self, frame: frame_pb2.Frame) -> _Decoded:
        started = time.perf_counter()
        where = f"frame[{frame.sequence}]"
        picture: Picture | BadPicture
        try:
            encoded = converters.picture_from_proto(frame.picture, field=f"{where}.picture")
            picture = decode_picture(encoded, self._limits, field=f"{where}.picture")
        except BadPicture as error:
            picture = error
        captured_at_s = None
        if frame.HasField("captured_at"):
            captured_at_s = converters.seconds_from_proto(frame.captured_at, field=f"{where}.captured_at")
        return _Decoded(frame.sequence, captured_at_s, picture, time.perf_counter() - started)

    def _estimator_config(self, config: pose_pb2.EstimateConfig) -> EstimatorConfig:
        """Convert the stream's config. Raises NotServed and BadInput, which name the field."""
        if config.backend not in pose_pb2.PoseBackend.values():
            raise BadInput("config.backend", f"{config.backend} is not a pose backend")
        backend = converters.BACKEND_FROM_PROTO.get(config.backend, PoseBackend(self._settings.backend))
        if lacks := self._backends.lacks(backend):
            served = ", ".join(other.name for other in PoseBackend if self._backends.serves(other)) or "none"
            raise NotServed(f"config.backend: {backend.name} is not served here: {lacks}; served: {served}")
        detail = converters.DETAIL_FROM_PROTO.get(config.detail, PoseDetail.HOLISTIC)
        if config.detail not in pose_pb2.PoseDetail.values():
            raise BadInput("config.detail", f"{config.detail} is not a pose detail")
        every_n = 0
        if detail is PoseDetail.LIVE:
            every_n = config.face_and_hands_every_n or self._settings.face_and_hands_every_n
        choice = _dancer_choice(config, backend)
        return self._backends.config(
            backend, detail, self._settings.rules(every_n), choice, self._settings.tracking_rules()
        )


def _dancer_choice(config: pose_pb2.EstimateConfig, backend: PoseBackend) -> DancerChoice:
    choice = converters.dancer_choice_from_proto(config.dancer, field="config.dancer")
    if not backend.finds_several and choice.rule is not DancerRule.LARGEST:
        rule = config.dancer.WhichOneof("rule")
        raise NotServed(f"config.dancer.{rule}: is not supported; MediaPipe finds only one person, the largest")
    return choice


def _accepted(config: EstimatorConfig) -> pose_pb2.EstimateConfig:
    """Return the config that the stream actually gets."""
    return pose_pb2.EstimateConfig(
        backend=converters.BACKEND_TO_PROTO[config.backend],
        detail=converters.DETAIL_TO_PROTO[config.detail],
        dancer=converters.dancer_choice_to_proto(config.dancer),
        face_and_hands_every_n=config.rules.face_and_hands_every_n if config.detail is PoseDetail.LIVE else 0,
    )


def _response(frame: _Decoded, estimate: Estimate | BadPicture, state: bytes) -> pose_pb2.EstimateResponse:
    # Filled in place, because protobuf copies messages that are passed to another message's constructor.
    response = pose_pb2.EstimateResponse()
    message = response.estimate
    message.sequence = frame.sequence
    message.state_after = state
    if isinstance(estimate, BadPicture) or isinstance(frame.picture, BadPicture):
        ESTIMATES.labels("bad_picture").inc()
        message.dancer_index = -1
        message.bad_picture = str(estimate)
        message.compute_seconds = frame.decode_seconds
        return response
    found = "person" if estimate.people else "nobody"
    ESTIMATES.labels("dancer_lost" if estimate.dancer_lost else found).inc()
    # MediaPipe does not number people: it finds at most one.
    ids = estimate.person_ids or (1,) * len(estimate.people)
    for pose, person_id in zip(estimate.people, ids, strict=True):
        person = message.people.add()
        person.person_id = person_id
        converters.fill_pose(person.pose, pose)
    message.dancer_index = estimate.dancer_index
    message.dancer_lost = estimate.dancer_lost
    message.dancer_changed = estimate.dancer_changed
    message.height_px, message.width_px = frame.picture.shape[:2]
    message.compute_seconds = frame.decode_seconds + estimate.compute_seconds
    message.face_and_hands_carried = estimate.face_and_hands_carried
    COMPUTE.observe(message.compute_seconds)
    return response
