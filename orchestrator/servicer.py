"""`dance.v1.TransferService`: protobuf in, protobuf out. `Session` does the work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import grpc.aio
from dance.v1 import transfer_pb2, transfer_pb2_grpc

from orchestrator.edge.actor_list import list_to_proto
from orchestrator.edge.admission import Places
from orchestrator.edge.bearer_tokens import token_check
from orchestrator.edge.converters import config_from_proto, fitted_to_proto, pose_choice_from_proto
from orchestrator.edge.session_log import SessionLog, begin_at_zero
from orchestrator.edge.transfer_client import Intake, TransferClient
from orchestrator.pipeline.in_flight_frame import InFlightFrame
from orchestrator.session.body_fit import ClipFit
from orchestrator.session.checkpoint import CheckpointSealer
from orchestrator.session.ending import Ending, EndReason, Phase
from orchestrator.session.transfer_session import Session, SharedResources, Threads, lasting
from orchestrator.session.wardrobes import Wardrobes
from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.connections import Connections
from orchestrator.stage_calls.reachability import Reachability
from orchestrator.stages.pose import PoseStage
from provenance.watermark.server_key import ServerKey, known_key_ids
from serving.actors.store import ActorStore
from serving.errors import BadInput, DanceError, Draining
from serving.observability import metrics
from serving.process.memory import Sweeper, give_freed_back
from serving.rpc.health import Health, follow
from serving.rpc.server import Service
from serving.rpc.server_stream import RequestReader, ResponseWriter

_log = logging.getLogger(__name__)

RequestT = TypeVar("RequestT", transfer_pb2.TransferRequest, transfer_pb2.FitBodyRequest)

# FitBody reads no clock: any rate will do for frames without a time.
_ANY_RATE_HZ: Final = 25.0

_DISK_THREADS: Final = 2
_WATERMARK_KEY_FILE: Final = "ORCHESTRATOR_WATERMARK_KEY_FILE"
_REFUSED_WITHIN_SECONDS: Final = 0.09
_PARTING_SECONDS = 1.0
"""How long a client has to half-close after `draining`."""
_IDLE_SECONDS = 1.0
"""The wait after the last session before freed memory is returned: another session may follow at once."""


class TransferService(Service, transfer_pb2_grpc.TransferServiceServicer):
    """Serves `Transfer`, `ListActors` and `FitBody`; one `Session` per Transfer stream."""

    name: str = "orchestrator"
    full_names: tuple[str, ...] = ("dance.v1.TransferService",)

    def __init__(self, settings: OrchestratorSettings) -> None:
        self._settings = settings
        self.token_check = token_check(settings)
        self._threads = Threads(
            draw=ThreadPoolExecutor(settings.label_map_threads, thread_name_prefix="draw"),
            encode=ThreadPoolExecutor(settings.encode_threads, thread_name_prefix="encode"),
            disk=ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="disk"),
            consent=ThreadPoolExecutor(1, thread_name_prefix="consent"),
        )
        self._shared = SharedResources(
            settings=settings,
            connections=Connections(settings),
            actors=ActorStore(settings.actors_root, stated_except=settings.stated_except()),
            wardrobes=Wardrobes(self._threads.disk, idle_bytes=settings.idle_wardrobe_bytes),
            threads=self._threads,
            sealer=CheckpointSealer.from_file(settings.checkpoint_key_file, setting="ORCHESTRATOR_CHECKPOINT_KEY_FILE"),
            watermark_key=_watermark_key(settings),
        )
        self._watermark_key_ids = _watermark_key_ids(settings)
        self._endings: set[Ending] = set()
        self._draining = False
        self._places = Places(most=settings.max_sessions, most_per_client=settings.max_sessions_per_client)
        self._readers: set[asyncio.Task[None]] = set()
        self._sweeper = Sweeper()
        self._giving_back: asyncio.TimerHandle | None = None
        begin_at_zero()
        metrics.SESSION_CAPACITY.set(settings.max_sessions)

    def register(self, server: grpc.aio.Server) -> None:
        """See `serving.rpc.server.Service`."""
        transfer_pb2_grpc.add_TransferServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    @property
    def ready_at_start(self) -> bool:
        """False: `keep_health` first checks that the stages can be reached."""
        return False

    async def keep_health(self, health: Health) -> None:
        """Report SERVING while sessions are accepted: every stage was reached once, and none is away for long."""
        settings = self._settings
        probes = self._shared.connections.probes()
        stages = Reachability(
            probes,
            addresses={stage: getattr(settings, f"{stage}_address") for stage in probes},
            unready_after_seconds=settings.unready_after_seconds,
            now_s=asyncio.get_running_loop().time,
        )

        async def trouble() -> str:
            await self._shared.wardrobes.drop_without_consent(self._shared.actors.check_consent)
            return await stages.trouble()

        await self._shared.connections.connect(within_seconds=settings.watch_seconds)
        await follow(health, trouble, every_seconds=settings.watch_seconds)

    async def close(self) -> None:
        """Close all connections and stop all threads."""
        if self._readers:
            await asyncio.wait(self._readers)
        if self._giving_back is not None:
            self._giving_back.cancel()
        await self._shared.connections.close()
        for threads in (self._threads.draw, self._threads.encode, self._threads.disk, self._threads.consent):
            await asyncio.to_thread(threads.shutdown)

    async def drain(self) -> None:
        """Refuse new streams; end each session at a frame boundary and tell its client where to resume."""
        self._draining = True
        for ending in self._endings:
            ending.drain()

    async def Transfer(
        self, requests: AsyncIterator[transfer_pb2.TransferRequest], context: grpc.aio.ServicerContext
    ) -> None:
        """See transfer.proto. Raises our errors; the interceptor turns them into statuses."""
        writer = ResponseWriter(context.write, self._settings.answer_seconds)
        log = await SessionLog.begin("transfer", context, self._settings.traces_every_n_frames)
        ending = Ending()
        async with self._admitted(requests, log, ending) as reader:
            try:
                await self._dance(reader, writer, log, ending)
            finally:
                # A client that reads slowly delays its status, and keeps its place until then.
                if not await writer.idle():
                    metrics.SESSION_ENDS.labels(EndReason.NEVER_READ.value).inc()

    async def _dance(
        self,
        reader: RequestReader[transfer_pb2.TransferRequest],
        writer: ResponseWriter[transfer_pb2.TransferResponse],
        log: SessionLog,
        ending: Ending,
    ) -> None:
        config = config_from_proto((await self._first(reader)).config, self._settings)
        resumed = None
        if config.checkpoint:  # takes some milliseconds: a checksum over it, and a picture to decode
            opening = partial(self._shared.sealer.open, config.checkpoint, config, log.client)
            resumed = await asyncio.get_running_loop().run_in_executor(self._threads.disk, opening)
        intake = Intake(self._settings.picture_limits(), config.frame_rate_hz, resumed)
        client = TransferClient(reader, writer, intake, config.returns, log)
        session = Session(config, client, self._shared, ending, resumed)
        try:
            accepted = await session.open()
            log.opened(
                actor=accepted.config.actor,
                actor_version=accepted.config.actor_version,
                mode=config.mode.value,
                detail=config.pose.detail.value,
                look_ahead_frames=config.look_ahead_frames,
                resumed_behind=None if resumed is None else resumed.sequence,
            )
            await client.accept(accepted)
            await session.run()
        finally:
            await session.close()
        if ending.phase is Phase.DRAINED:
            await reader.drop_rest(_PARTING_SECONDS)

    async def ListActors(
        self, request: transfer_pb2.ListActorsRequest, context: grpc.aio.ServicerContext
    ) -> transfer_pb2.ListActorsResponse:
        """See transfer.proto. A version that cannot be served is listed with the reason."""

        def read() -> transfer_pb2.ListActorsResponse:
            found = self._shared.actors.listed(request.actor, request.actor_version)
            return list_to_proto(found, self._watermark_key_ids, previews=request.previews)

        return await asyncio.get_running_loop().run_in_executor(self._threads.disk, read)

    async def FitBody(
        self, requests: AsyncIterator[transfer_pb2.FitBodyRequest], context: grpc.aio.ServicerContext
    ) -> transfer_pb2.FitBodyResponse:
        """See transfer.proto. A frame that cannot be decoded counts as one without a person. Raises NoBody."""
        settings = self._settings
        log = await SessionLog.begin("fit_body", context, settings.traces_every_n_frames)
        async with self._admitted(requests, log, Ending()) as reader, lasting(settings.session_seconds):
            config = (await self._first(reader)).config
            choice = pose_choice_from_proto(config.pose_backend, config.dancer, settings, field="config")
            log.opened()
            intake = Intake(settings.picture_limits(), _ANY_RATE_HZ)
            pose = PoseStage(self._shared.connections.pose, choice, settings, live=False)

            async def next_frame(seconds: float) -> InFlightFrame | None:
                request = await reader.take(seconds)
                return None if request is None else intake.frame(request.WhichOneof("request"), request.frame)

            fit = ClipFit(next_frame, pose, idle_seconds=settings.idle_seconds, max_frames=settings.max_fit_frames)
            try:
                if choice.asks_for_more:
                    await pose.open()
                fitted = await fit.run()
            finally:
                await pose.close()
            log.answered = fitted.frames
        return fitted_to_proto(fitted)

    async def _first(self, reader: RequestReader[RequestT]) -> RequestT:
        first = await reader.take(self._settings.config_seconds)
        if first is None:
            raise BadInput("config", "must be the first request; the stream ended without one")
        kind = first.WhichOneof("request")
        if kind != "config":
            raise BadInput("config", f"must be the first request, got {kind or 'an empty request'}")
        return first

    @asynccontextmanager
    async def _admitted(
        self, requests: AsyncIterator[RequestT], log: SessionLog, ending: Ending
    ) -> AsyncIterator[RequestReader[RequestT]]:
        """Hold one of the places for streams, and record how the stream ends. Raises AtCapacity, Draining."""
        reader = RequestReader(requests)
        self._readers.add(reader.task)
        reader.task.add_done_callback(self._readers.discard)
        failure: BaseException | None = None
        try:
            refusal: DanceError | None = self._places.refusal(log.client)
            if self._draining:
                refusal = Draining("this server is shutting down; another one may be available")
            if refusal is not None:
                await reader.drop_rest(_REFUSED_WITHIN_SECONDS)
                raise refusal
            with self._places.hold(log.client), metrics.SESSIONS.track_inprogress():
                self._endings.add(ending)
                yield reader
        except BaseException as error:
            failure = error
            raise
        finally:
            self._endings.discard(ending)
            reader.close()
            log.ended(ending.reason(failure), failure)
            self._sweeper.call_ended()
            if not self._places.taken:
                self._return_memory_when_idle()

    def _return_memory_when_idle(self) -> None:
        """Return freed memory to the system. While a session runs, freed pages are kept for its next frame."""
        loop = asyncio.get_running_loop()

        def give_back() -> None:
            if not self._places.taken:
                loop.run_in_executor(self._threads.disk, give_freed_back)

        if self._giving_back is not None:
            self._giving_back.cancel()
        self._giving_back = loop.call_later(_IDLE_SECONDS, give_back)


def _watermark_key(settings: OrchestratorSettings) -> ServerKey | None:
    """Return the key that watermarks name; None if there are none. Raises BadSettings."""
    if not settings.watermark:
        _log.warning("pictures get no watermark: ORCHESTRATOR_WATERMARK is false")
        return None
    return ServerKey.from_file(_watermark_key_file(settings), setting=_WATERMARK_KEY_FILE)


def _watermark_key_ids(settings: OrchestratorSettings) -> list[int]:
    """Return the ids of the present key and of former ones; none without a watermark or a key. Raises BadSettings."""
    path = _watermark_key_file(settings) if settings.watermark else None
    return [] if path is None else known_key_ids(path, setting=_WATERMARK_KEY_FILE)


def _watermark_key_file(settings: OrchestratorSettings) -> Path | None:
    return settings.watermark_key_file or settings.checkpoint_key_file
