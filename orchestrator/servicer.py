"""`dance.v1.TransferService`: protobuf in, protobuf out. `Session` leads the frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import grpc.aio
from dance.v1 import transfer_pb2, transfer_pb2_grpc

from motion.frame import FrameSize
from orchestrator.edge.admission import Places
from orchestrator.edge.bearer_tokens import BearerTokens, token_check
from orchestrator.edge.open_streams import RequestReader, ResponseWriter
from orchestrator.edge.session_log import Journal
from orchestrator.edge.transfer_client import Intake, TransferClient, config_from_proto, pose_choice_from_proto
from orchestrator.pipeline.in_flight_frame import Passage
from orchestrator.pipeline.link import LinkEnded
from orchestrator.session.body_fit import ClipFit
from orchestrator.session.checkpoint import CheckpointSealer
from orchestrator.session.transfer_session import Session, Threads, lasting
from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.connections import Connections
from orchestrator.stage_calls.reachability import Reachability
from orchestrator.stages.pose import PoseStage
from serving.actors.store import ActorStore, ListedVersion
from serving.errors import (
    AtCapacity,
    BadInput,
    DanceError,
    Draining,
    StageError,
    StageTimeout,
)
from serving.observability import metrics
from serving.process.memory import Sweeper, give_freed_back
from serving.rpc import converters
from serving.rpc.authentication import ANONYMOUS
from serving.rpc.discretion import without_paths
from serving.rpc.self_check import follow
from serving.rpc.server import Health

RequestT = TypeVar("RequestT", transfer_pb2.TransferRequest, transfer_pb2.FitBodyRequest)

# FitBody reads no clock: any rate will do for frames without a time.
_ANY_RATE_HZ = 25.0

_DISK_THREADS = 2
_REFUSED_WITHIN_SECONDS = 0.09
_PARTING_SECONDS = 1.0
"""For a client to end its half of a stream behind `draining`."""
_IDLE_SECONDS = 1.0
"""Behind the last session, until its memory is given back: another one may follow at once."""


class TransferService(transfer_pb2_grpc.TransferServiceServicer):
    """Serves `Transfer`, `ListActors` and `FitBody`; one `Session` per Transfer stream."""

    name: str = "orchestrator"
    full_names: tuple[str, ...] = ("dance.v1.TransferService",)
    token_check: BearerTokens | None
    """See `serving.rpc.authentication.Guarded`."""

    def __init__(self, settings: OrchestratorSettings) -> None:
        self._settings = settings
        self.token_check = token_check(settings)
        self._actors = ActorStore(settings.actors_root)
        self._connections = Connections(settings)
        self._threads = Threads(
            draw=ThreadPoolExecutor(settings.label_map_threads, thread_name_prefix="draw"),
            encode=ThreadPoolExecutor(settings.encode_threads, thread_name_prefix="encode"),
            disk=ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="disk"),
        )
        self._sealer = CheckpointSealer.from_file(
            settings.checkpoint_key_file, setting="ORCHESTRATOR_CHECKPOINT_KEY_FILE"
        )
        self._sessions: set[Session] = set()
        self._draining = False
        self._places = Places(most=settings.max_sessions, most_per_client=settings.max_sessions_per_client)
        self._readers: set[asyncio.Task[None]] = set()
        self._sweeper = Sweeper()
        self._giving_back: asyncio.TimerHandle | None = None
        metrics.begin_at_zero()
        metrics.SESSION_CAPACITY.set(settings.max_sessions)

    def register(self, server: grpc.aio.Server) -> None:
        """See `serving.rpc.server.Service`."""
        transfer_pb2_grpc.add_TransferServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    async def warm_up(self) -> None:
        """Nothing here is slow the first time; the stages have warm-ups and healths of their own."""

    @property
    def ready_at_start(self) -> bool:
        """Never: `keep_health` looks first whether the stages can be reached. See `serving.rpc.server.Awaiting`."""
        return False

    async def keep_health(self, health: Health) -> None:
        """SERVING means that sessions are accepted: every stage was reached once, and none has been away for long."""
        settings = self._settings
        probes = self._connections.probes()
        stages = Reachability(
            probes,
            addresses={stage: getattr(settings, f"{stage}_address") for stage in probes},
            unready_after_seconds=settings.unready_after_seconds,
            now_s=asyncio.get_running_loop().time,
        )
        await self._connections.connect(within_seconds=settings.watch_seconds)
        await follow(health, stages.trouble, every_seconds=settings.watch_seconds)

    async def close(self) -> None:
        """Ends all connections and threads."""
        if self._readers:
            await asyncio.wait(self._readers)
        if self._giving_back is not None:
            self._giving_back.cancel()
        await self._connections.close()
        for threads in (self._threads.draw, self._threads.encode, self._threads.disk):
            await asyncio.to_thread(threads.shutdown)

    async def drain(self) -> None:
        """Admits no stream any more; each session ends at a frame boundary, and its client hears where to go on."""
        self._draining = True
        for session in self._sessions:
            session.drain()

    def ready_facts(self) -> Mapping[str, str | int]:
        """Nothing beyond the ports."""
        return {}

    async def Transfer(
        self, requests: AsyncIterator[transfer_pb2.TransferRequest], context: grpc.aio.ServicerContext
    ) -> None:
        """See transfer.proto. Raises our errors; the interceptor makes them statuses."""
        writer = ResponseWriter(context.write, self._settings.answer_seconds)
        journal = await Journal.begin("transfer", context, self._settings.traces_every_n_frames)
        async with self._admitted(requests, journal) as reader:
            try:
                await self._dance(reader, writer, journal)
            finally:
                # The status waits for a client that is slow to read, and so does its place.
                told = await writer.idle()
                if not told:
                    metrics.SESSION_ENDS.labels("never_read").inc()

    async def _dance(
        self,
        reader: RequestReader[transfer_pb2.TransferRequest],
        writer: ResponseWriter[transfer_pb2.TransferResponse],
        journal: Journal,
    ) -> None:
        config = config_from_proto((await self._first(reader)).config, self._settings)
        resumed = None
        if config.checkpoint:  # some milliseconds: a checksum over it, and a picture to decode
            opening = partial(self._sealer.open, config.checkpoint, config, journal.client)
            resumed = await asyncio.get_running_loop().run_in_executor(self._threads.disk, opening)
        intake = Intake(self._settings.picture_limits(), config.frame_rate_hz, resumed)
        client = TransferClient(reader, writer, intake, config.returns, journal)
        session = Session(
            config,
            client,
            who=journal.session if journal.client == ANONYMOUS else journal.client,
            settings=self._settings,
            connections=self._connections,
            actors=self._actors,
            threads=self._threads,
            resumed=resumed,
            seal=lambda state, config: self._sealer.seal(state, config, journal.client),
        )
        try:
            accepted = await session.open()
            journal.opened(
                actor=accepted.config.actor,
                actor_version=accepted.config.actor_version,
                mode=config.mode.value,
                detail=config.pose.detail.value,
                look_ahead_frames=config.look_ahead_frames,
                resumed_behind=None if resumed is None else resumed.sequence,
            )
            journal.danced = accepted.config.actor, accepted.config.actor_version
            await client.accept(accepted)
            self._sessions.add(session)
            if self._draining:
                session.drain()
            await session.run()
        finally:
            self._sessions.discard(session)
            await session.close()
        if journal.drained:
            await reader.read_out(_PARTING_SECONDS)

    async def ListActors(
        self, request: transfer_pb2.ListActorsRequest, context: grpc.aio.ServicerContext
    ) -> transfer_pb2.ListActorsResponse:
        """See transfer.proto. A version that cannot be served is listed with the reason."""
        summaries = await asyncio.get_running_loop().run_in_executor(self._threads.disk, self._summaries)
        return transfer_pb2.ListActorsResponse(actors=summaries)

    async def FitBody(
        self, requests: AsyncIterator[transfer_pb2.FitBodyRequest], context: grpc.aio.ServicerContext
    ) -> transfer_pb2.FitBodyResponse:
        """See transfer.proto. A frame that cannot be decoded counts as one without a person. Raises NoBody."""
        journal = await Journal.begin("fit_body", context, self._settings.traces_every_n_frames)
        async with self._admitted(requests, journal) as reader, lasting(self._settings.session_seconds):
            config = (await self._first(reader)).config
            choice = pose_choice_from_proto(config.pose_backend, config.dancer, self._settings, field="config")
            journal.opened()
            intake = Intake(self._settings.picture_limits(), _ANY_RATE_HZ)
            pose = PoseStage(self._connections.pose, choice, self._settings, live=False)

            async def next_frame(seconds: float) -> Passage:
                request = await reader.take(seconds)
                return intake.passage(request.WhichOneof("request"), request.frame)

            fit = ClipFit(
                next_frame,
                pose,
                idle_seconds=self._settings.idle_seconds,
                max_frames=self._settings.max_fit_frames,
            )
            try:
                if choice.asks_for_more:
                    await pose.open()
                fitted = await fit.run()
            finally:
                await pose.close()
            journal.answered = fitted.frames
        return transfer_pb2.FitBodyResponse(
            body=converters.body_stats_to_proto(fitted.body),
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

    @asynccontextmanager
    async def _admitted(
        self, requests: AsyncIterator[RequestT], journal: Journal
    ) -> AsyncIterator[RequestReader[RequestT]]:
        """Holds one of the places for streams, and counts how the stream ended. Raises AtCapacity."""
        reader = RequestReader(requests)
        self._readers.add(reader.task)
        reader.task.add_done_callback(self._readers.discard)
        reason = "broken"
        failure: BaseException | None = None
        try:
            if (refusal := self._refusal(journal.client)) is not None:
                await reader.read_out(_REFUSED_WITHIN_SECONDS)
                raise refusal
            with self._places.hold(journal.client), metrics.SESSIONS.track_inprogress():
                yield reader
            reason = "drained" if journal.drained else "finished"
        except BaseException as error:
            failure = error
            if isinstance(error, asyncio.CancelledError):
                reason = "drained" if journal.drained else "cancelled"
            elif isinstance(error, DanceError):
                reason = _end_reason(error)
            raise
        finally:
            reader.close()
            metrics.SESSION_ENDS.labels(reason).inc()
            if journal.danced is not None:
                actor, version = journal.danced
                metrics.ACTOR_SESSION_ENDS.labels(actor, str(version), reason).inc()
            journal.ended(reason, failure)
            self._sweeper.call_ended()
            if not self._places.taken:
                self._give_back_when_idle()

    def _give_back_when_idle(self) -> None:
        """Pages that were freed are kept for the next frame while somebody dances, and for nobody else."""
        loop = asyncio.get_running_loop()

        def give_back() -> None:
            if not self._places.taken:
                loop.run_in_executor(self._threads.disk, give_freed_back)

        if self._giving_back is not None:
            self._giving_back.cancel()
        self._giving_back = loop.call_later(_IDLE_SECONDS, give_back)

    def _refusal(self, client: str) -> DanceError | None:
        if self._draining:
            return Draining("this server is shutting down; another one may be there")
        return self._places.refusal(client)

    def _summaries(self) -> list[transfer_pb2.ActorSummary]:
        return [_summary(listed) for listed in self._actors.listed()]


def _summary(listed: ListedVersion) -> transfer_pb2.ActorSummary:
    summary = transfer_pb2.ActorSummary(
        actor=listed.actor_id,
        actor_version=listed.version,
        unavailable=without_paths(listed.unavailable),
        served_percent=listed.served_percent,
    )
    actor = listed.actor
    if actor is not None:
        stage_size = FrameSize(actor.crop.out_width_px, actor.crop.out_height_px)
        summary.stage_size.CopyFrom(converters.frame_size_to_proto(stage_size))
        summary.full_frame_size.CopyFrom(converters.frame_size_to_proto(actor.frame_size))
        summary.preset = actor.preset
        summary.label_map_version = actor.label_map_version
        summary.body.CopyFrom(converters.body_stats_to_proto(actor.body))
    return summary


def _end_reason(error: DanceError) -> str:
    if isinstance(error, StageTimeout):
        return {"client": "client_silent", "session": "too_long"}.get(error.stage, "stage_timeout")
    if isinstance(error, AtCapacity):
        return "full"
    if isinstance(error, Draining):
        return "draining"
    if isinstance(error, StageError):
        return "stage_failed"
    return "refused"
