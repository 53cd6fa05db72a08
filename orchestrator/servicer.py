"""`dance.v1.TransferService`: protobuf in, protobuf out. `Session` leads the frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import grpc.aio
from dance.v1 import transfer_pb2, transfer_pb2_grpc

from motion.frame import FrameSize
from orchestrator.config import PoseConfig, PoseDetail
from orchestrator.fitting import ClipFit
from orchestrator.link import LinkEnded
from orchestrator.passage import Passage
from orchestrator.session import Session
from orchestrator.settings import OrchestratorSettings
from orchestrator.stages.client import Intake, TransferClient, check_pose_choice, config_from_proto
from orchestrator.stages.connections import Connections
from orchestrator.stages.pose import PoseStage
from orchestrator.streams import RequestReader, ResponseWriter
from serving import telemetry, wire
from serving.actors import ActorStore
from serving.errors import ActorUnusable, AtCapacity, BadInput, DanceError, StageError, StageTimeout

RequestT = TypeVar("RequestT", transfer_pb2.TransferRequest, transfer_pb2.FitBodyRequest)

# FitBody reads no clock: any rate will do for frames without a time.
_ANY_RATE_HZ = 25.0


class TransferService(transfer_pb2_grpc.TransferServiceServicer):
    """Serves `Transfer`, `ListActors` and `FitBody`; one `Session` per Transfer stream."""

    name: str = "orchestrator"
    full_names: tuple[str, ...] = ("dance.v1.TransferService",)

    def __init__(self, settings: OrchestratorSettings) -> None:
        self._settings = settings
        self._actors = ActorStore(settings.actors_root)
        self._connections = Connections(settings)
        self._threads = ThreadPoolExecutor(settings.label_map_threads, thread_name_prefix="draw")
        self._open_streams = 0
        self._readers: set[asyncio.Task[None]] = set()
        telemetry.SESSION_CAPACITY.set(settings.max_sessions)

    def register(self, server: grpc.aio.Server) -> None:
        """See `serving.server.Service`."""
        transfer_pb2_grpc.add_TransferServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    async def warm_up(self) -> None:
        """Nothing here is slow the first time; the stages have warm-ups and healths of their own."""

    async def close(self) -> None:
        """Ends all connections and threads."""
        if self._readers:
            await asyncio.wait(self._readers)
        await self._connections.close()
        await asyncio.to_thread(self._threads.shutdown)

    def ready_facts(self) -> Mapping[str, str | int]:
        """Nothing beyond the ports."""
        return {}

    async def Transfer(
        self, requests: AsyncIterator[transfer_pb2.TransferRequest], context: grpc.aio.ServicerContext
    ) -> None:
        """See transfer.proto. Raises our errors; the interceptor makes them statuses."""
        writer = ResponseWriter(context.write, self._settings.answer_seconds)
        try:
            await self._dance(requests, writer)
        finally:
            # The session is over and its place is free; only the status waits for a client that is slow to read.
            await writer.idle()

    async def _dance(
        self,
        requests: AsyncIterator[transfer_pb2.TransferRequest],
        writer: ResponseWriter[transfer_pb2.TransferResponse],
    ) -> None:
        with self._admitted(), telemetry.SESSIONS.track_inprogress(), self._reading(requests) as reader:
            config = config_from_proto((await self._first(reader)).config, self._settings)
            intake = Intake(self._settings.picture_limits(), config.frame_rate_hz)
            client = TransferClient(reader, writer, intake, config.returns)
            session = Session(
                config,
                client,
                settings=self._settings,
                connections=self._connections,
                actors=self._actors,
                threads=self._threads,
            )
            try:
                await client.accept(await session.open())
                await session.run()
            finally:
                await session.close()

    async def ListActors(
        self, request: transfer_pb2.ListActorsRequest, context: grpc.aio.ServicerContext
    ) -> transfer_pb2.ListActorsResponse:
        """See transfer.proto. A version that cannot be served is listed with the reason."""
        summaries = await asyncio.get_running_loop().run_in_executor(self._threads, self._summaries)
        return transfer_pb2.ListActorsResponse(actors=summaries)

    async def FitBody(
        self, requests: AsyncIterator[transfer_pb2.FitBodyRequest], context: grpc.aio.ServicerContext
    ) -> transfer_pb2.FitBodyResponse:
        """See transfer.proto. A frame that cannot be decoded counts as one without a person. Raises NoBody."""
        with self._admitted(), self._reading(requests) as reader:
            config = (await self._first(reader)).config
            check_pose_choice(config.pose_backend, config.dancer, field="config")
            intake = Intake(self._settings.picture_limits(), _ANY_RATE_HZ)
            pose = PoseStage(self._connections.pose, PoseConfig(detail=PoseDetail.BODY), self._settings, live=False)

            async def next_frame(seconds: float) -> Passage:
                request = await reader.take(seconds)
                return intake.passage(request.WhichOneof("request"), request.frame)

            try:
                await pose.open()
                fitted = await ClipFit(next_frame, pose, self._settings.idle_seconds).run()
            finally:
                await pose.close()
            return transfer_pb2.FitBodyResponse(
                body=wire.body_stats_to_proto(fitted.body),
                frames=fitted.frames,
                frames_with_person=fitted.frames_with_person,
                on_the_spot=fitted.body.on_the_spot,
            )

    async def _first(self, reader: RequestReader[RequestT]) -> RequestT:
        try:
            first = await reader.take(self._settings.config_seconds)
        except LinkEnded:
            raise BadInput("config", "must be the first request; the stream ended without one") from None
        kind = first.WhichOneof("request")
        if kind != "config":
            raise BadInput("config", f"must be the first request, got {kind or 'an empty request'}")
        return first

    @contextmanager
    def _reading(self, requests: AsyncIterator[RequestT]) -> Iterator[RequestReader[RequestT]]:
        reader = RequestReader(requests)
        self._readers.add(reader.task)
        reader.task.add_done_callback(self._readers.discard)
        try:
            yield reader
        finally:
            reader.close()

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """Holds one of the places for streams, and counts how the stream ended. Raises AtCapacity."""
        if self._open_streams >= self._settings.max_sessions:
            telemetry.SESSION_ENDS.labels("refused").inc()
            raise AtCapacity(f"all {self._settings.max_sessions} sessions are taken")
        self._open_streams += 1
        reason = "broken"
        try:
            yield
            reason = "finished"
        except asyncio.CancelledError:
            reason = "cancelled"
            raise
        except DanceError as error:
            reason = _end_reason(error)
            raise
        finally:
            self._open_streams -= 1
            telemetry.SESSION_ENDS.labels(reason).inc()

    def _summaries(self) -> list[transfer_pb2.ActorSummary]:
        return [
            self._summary(actor_id, version)
            for actor_id in self._actors.ids()
            for version in reversed(self._actors.versions(actor_id))
        ]

    def _summary(self, actor_id: str, version: int) -> transfer_pb2.ActorSummary:
        summary = transfer_pb2.ActorSummary(actor=actor_id, actor_version=version)
        try:
            actor = self._actors.load(actor_id, version)
        except ActorUnusable as error:
            summary.unavailable = str(error)
            return summary
        summary.stage_size.CopyFrom(
            wire.frame_size_to_proto(FrameSize(actor.stage.out_width_px, actor.stage.out_height_px))
        )
        summary.full_frame_size.CopyFrom(wire.frame_size_to_proto(actor.frame_size))
        summary.preset = actor.preset
        summary.label_map_version = actor.label_map_version
        summary.body.CopyFrom(wire.body_stats_to_proto(actor.body))
        return summary


def _end_reason(error: DanceError) -> str:
    if isinstance(error, StageTimeout):
        return "client_silent" if error.stage == "client" else "stage_timeout"
    if isinstance(error, StageError):
        return "stage_failed"
    return "refused"
