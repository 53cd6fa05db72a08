"""The client's end of a session: its messages as our types, our answers as messages."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final

from dance.v1 import frame_pb2, pose_pb2, transfer_pb2

from motion.clock import FrameTimeError, SourceClock
from motion.frame import FrameSize, NoPictureReason, PictureEncoding
from motion.pose_choice import PoseBackend, PoseDetail
from orchestrator.config import OutputFormat, PoseConfig, ReturnOptions, SessionAccepted, SessionConfig, TransferMode
from orchestrator.edge.open_streams import RequestReader, ResponseWriter
from orchestrator.edge.session_log import Journal
from orchestrator.pipeline.in_flight_frame import NoPicture, Passage, Remark
from orchestrator.session.checkpoint import SessionState
from orchestrator.settings import OrchestratorSettings
from serving.actors.actor_id import checked_actor_id
from serving.errors import BadInput, BadPicture
from serving.observability import metrics, tracing
from serving.pictures.codec import PictureLimits, check_picture
from serving.rpc import converters
from serving.rpc.server import VERSION

_MODES: Final = {
    transfer_pb2.TRANSFER_MODE_UNSPECIFIED: TransferMode.LOSSLESS,
    transfer_pb2.TRANSFER_MODE_LOSSLESS: TransferMode.LOSSLESS,
    transfer_pb2.TRANSFER_MODE_LIVE: TransferMode.LIVE,
}
_MODE_TO_PROTO: Final = {
    TransferMode.LOSSLESS: transfer_pb2.TRANSFER_MODE_LOSSLESS,
    TransferMode.LIVE: transfer_pb2.TRANSFER_MODE_LIVE,
}
_REASON_TO_PROTO: Final[dict[NoPictureReason, Any]] = {
    reason: transfer_pb2.NoPictureReason.Value(f"NO_PICTURE_REASON_{reason.name}") for reason in NoPictureReason
}
_REMARK_TO_PROTO: Final[dict[Remark, Any]] = {
    remark: transfer_pb2.FrameRemark.Value(f"FRAME_REMARK_{remark.name}") for remark in Remark
}
_DEFAULT_JPEG_QUALITY: Final = 90


def pose_choice_from_proto(
    backend: int, dancer: pose_pb2.DancerSelection, settings: OrchestratorSettings, *, field: str
) -> PoseConfig:
    """The backend and the rule for the dancer, with the body alone to look at. Raises BadInput for nonsense."""
    if backend not in pose_pb2.PoseBackend.values():
        raise BadInput(f"{field}.pose_backend", f"{backend} is no pose backend")
    chosen = converters.BACKEND_FROM_PROTO.get(backend) or PoseBackend(settings.pose_backend)
    return PoseConfig(
        detail=PoseDetail.BODY,
        backend=chosen,
        dancer=converters.dancer_choice_from_proto(dancer, field=f"{field}.dancer"),
    )


def config_from_proto(message: transfer_pb2.TransferConfig, settings: OrchestratorSettings) -> SessionConfig:
    """Raises BadInput, naming the field, for what breaks the contract."""
    if len(message.checkpoint) > settings.max_checkpoint_bytes:
        limit = settings.max_checkpoint_bytes
        raise BadInput("config.checkpoint", f"has {len(message.checkpoint)} bytes, at most {limit} are taken")
    if message.mode not in _MODES:
        raise BadInput("config.mode", f"{message.mode} is no transfer mode")
    mode = _MODES[message.mode]
    look_ahead_frames = message.look_ahead_frames
    if mode is TransferMode.LIVE and look_ahead_frames:
        raise BadInput("config.look_ahead_frames", f"a LIVE session takes none, got {look_ahead_frames}")
    if look_ahead_frames > settings.max_look_ahead_frames:
        limit = settings.max_look_ahead_frames
        raise BadInput("config.look_ahead_frames", f"at most {limit} are served, got {look_ahead_frames}")
    rate_hz = converters.frame_rate_from_proto(message.frame_rate_hz, field="config.frame_rate_hz")
    source_body = None
    if message.HasField("source_body"):
        source_body = converters.body_stats_from_proto(message.source_body, field="config.source_body")
    returns = message.return_options
    return SessionConfig(
        actor=checked_actor_id(message.actor, field="config.actor"),
        actor_version=message.actor_version,
        mode=mode,
        output=_output_from_proto(message.output),
        source_body=source_body,
        look_ahead_frames=look_ahead_frames,
        returns=ReturnOptions(returns.source_pose, returns.normalized_pose, returns.stage_times, returns.label_map),
        pose=_pose_from_proto(message, settings),
        frame_rate_hz=rate_hz,
        checkpoint_every_frames=message.checkpoint_every_frames,
        checkpoint=message.checkpoint,
    )


def _output_from_proto(message: transfer_pb2.OutputFormat) -> OutputFormat:
    encoding = PictureEncoding.JPEG
    if message.encoding != frame_pb2.PICTURE_ENCODING_UNSPECIFIED:
        encoding = converters.encoding_from_proto(message.encoding, field="config.output.encoding")
    quality = message.jpeg_quality or _DEFAULT_JPEG_QUALITY
    if quality > 100:
        raise BadInput("config.output.jpeg_quality", f"expected 1 to 100, or 0 for the default, got {quality}")
    return OutputFormat(encoding, quality, message.full_frame)


def _pose_from_proto(message: transfer_pb2.TransferConfig, settings: OrchestratorSettings) -> PoseConfig:
    detail = PoseDetail.HOLISTIC
    if message.pose_detail != pose_pb2.POSE_DETAIL_UNSPECIFIED:
        if message.pose_detail not in converters.DETAIL_FROM_PROTO:
            raise BadInput("config.pose_detail", f"{message.pose_detail} is no pose detail")
        detail = converters.DETAIL_FROM_PROTO[message.pose_detail]
    if message.face_and_hands_every_n and detail is not PoseDetail.LIVE:
        raise BadInput("config.face_and_hands_every_n", "is for pose_detail LIVE alone")
    choice = pose_choice_from_proto(message.pose_backend, message.dancer, settings, field="config")
    return replace(choice, detail=detail, face_and_hands_every_n=message.face_and_hands_every_n)


def accepted_to_proto(accepted: SessionAccepted) -> transfer_pb2.TransferResponse:
    """The first response of a session."""
    config = accepted.config
    honoured = transfer_pb2.TransferConfig(
        actor=config.actor,
        actor_version=config.actor_version,
        mode=_MODE_TO_PROTO[config.mode],
        output=transfer_pb2.OutputFormat(
            encoding=converters.encoding_to_proto(config.output.encoding),
            jpeg_quality=config.output.jpeg_quality if config.output.encoding is PictureEncoding.JPEG else 0,
            full_frame=config.output.full_frame,
        ),
        source_body=None if config.source_body is None else converters.body_stats_to_proto(config.source_body),
        dancer=converters.dancer_choice_to_proto(config.pose.dancer),
        look_ahead_frames=config.look_ahead_frames,
        return_options=transfer_pb2.ReturnOptions(
            source_pose=config.returns.source_pose,
            normalized_pose=config.returns.normalized_pose,
            stage_times=config.returns.stage_times,
            label_map=config.returns.label_map,
        ),
        pose_backend=converters.BACKEND_TO_PROTO[config.pose.backend],
        pose_detail=converters.DETAIL_TO_PROTO[config.pose.detail],
        face_and_hands_every_n=config.pose.face_and_hands_every_n,
        frame_rate_hz=config.frame_rate_hz,
        checkpoint_every_frames=config.checkpoint_every_frames,
    )
    return transfer_pb2.TransferResponse(
        accepted=transfer_pb2.TransferAccepted(
            config=honoured,
            limits=transfer_pb2.SessionLimits(
                max_frames_in_flight=accepted.max_frames_in_flight,
                max_frame_side_px=accepted.max_frame_side_px,
                max_frame_bytes=accepted.max_frame_bytes,
            ),
            server_version=VERSION,
            stage_size=converters.frame_size_to_proto(accepted.stage_size),
            full_frame_size=converters.frame_size_to_proto(accepted.full_frame_size),
            generator_precision=accepted.generator_precision,
        )
    )


def answer_to_proto(passage: Passage, returns: ReturnOptions) -> transfer_pb2.TransferResponse:
    """The answer to one frame that has left the last stage."""
    response = transfer_pb2.TransferResponse()
    answer = response.answer
    answer.sequence = passage.sequence
    answer.remarks.extend([_REMARK_TO_PROTO[remark] for remark in passage.remarks])
    answer.frame_seconds = time.perf_counter() - passage.arrived_at_s
    if passage.no_picture is not None:
        answer.no_picture.reason = _REASON_TO_PROTO[passage.no_picture.reason]
        answer.no_picture.detail = passage.no_picture.detail
    else:
        assert passage.output is not None
        converters.fill_picture(answer.picture, passage.output)
    if returns.stage_times:
        for spent in passage.times:
            answer.stage_times.add(
                stage=spent.stage,
                compute_seconds=spent.compute_seconds,
                queue_seconds=spent.queue_seconds,
                total_seconds=spent.total_seconds,
            )
    if returns.source_pose and passage.source_pose is not None:
        converters.fill_pose(answer.source_pose, passage.source_pose)
    if returns.normalized_pose and passage.normalized_pose is not None:
        converters.fill_pose(answer.normalized_pose, passage.normalized_pose)
    if passage.label_map_output is not None:
        converters.fill_picture(answer.label_map, passage.label_map_output)
    if passage.checkpoint:
        answer.checkpoint = passage.checkpoint
    if passage.transform is not None:
        answer.transform.scale = passage.transform.scale
        answer.transform.foot_y = passage.transform.foot_y
        answer.transform.hip_x = passage.transform.hip_x
    return response


class Intake:
    """Turns a session's frames into passages, and holds them to the contract.

    A picture that is not what it is said to be makes a BAD_FRAME. A sequence that does not rise, a frame without
    content or time, a pose that is none: BadInput, which ends the session.

    resumed: the state of an earlier session that this one goes on from.
    """

    def __init__(self, limits: PictureLimits, frame_rate_hz: float, resumed: SessionState | None = None) -> None:
        self._limits = limits
        self._clock = SourceClock(frame_rate_hz, resumed.time_s if resumed else None)
        self._last_sequence = resumed.sequence if resumed else -1
        self._size = resumed.size if resumed else None

    def passage(self, kind: str | None, frame: transfer_pb2.TransferFrame) -> Passage:
        """The passage of one request. kind: which field of the request is set."""
        if kind != "frame":
            raise BadInput(kind or "request", "after the config, every request must be a frame")
        if frame.sequence <= self._last_sequence:
            raise BadInput("frame.sequence", f"must rise, got {frame.sequence} after {self._last_sequence}")
        self._last_sequence = frame.sequence
        captured_at_s = None
        if frame.HasField("captured_at"):
            captured_at_s = converters.seconds_from_proto(frame.captured_at, field="frame.captured_at")
        passage = Passage(frame.sequence, self._time_s(frame.sequence, captured_at_s), self._size, captured_at_s)
        content = frame.WhichOneof("content")
        try:
            if content == "picture":
                passage.picture = converters.picture_from_proto(frame.picture, field="frame.picture")
                check_picture(passage.picture, self._limits, field="frame.picture")
                size = FrameSize(passage.picture.width_px, passage.picture.height_px)
            elif content == "client_pose":
                given = frame.client_pose
                size = converters.frame_size_from_proto(given.size, field="frame.client_pose.size")
                if given.HasField("pose"):
                    passage.source_pose = converters.pose_from_proto(given.pose, field="frame.client_pose.pose")
            else:
                raise BadInput("frame.content", f"frame {frame.sequence} has neither a picture nor a pose")
            self._size = self._size or size
            if size != self._size:
                raise BadPicture("frame", f"is {size.width_px}x{size.height_px}, this session's frames are "
                                 f"{self._size.width_px}x{self._size.height_px}")  # fmt: skip
            passage.size = size
        except BadPicture as error:
            passage.picture = passage.source_pose = None
            passage.no_picture = NoPicture(NoPictureReason.BAD_FRAME, str(error))
        return passage

    def _time_s(self, sequence: int, captured_at_s: float | None) -> float:
        try:
            return self._clock.time_s(sequence, captured_at_s)
        except FrameTimeError as error:
            raise BadInput(f"frame.{error.field}", str(error)) from error


class TransferClient:
    """The client of one `Transfer` stream; see `orchestrator.session.transfer_session.Client`."""

    def __init__(
        self,
        reader: RequestReader[transfer_pb2.TransferRequest],
        writer: ResponseWriter[transfer_pb2.TransferResponse],
        intake: Intake,
        returns: ReturnOptions,
        journal: Journal,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._intake = intake
        self._returns = returns
        self._journal = journal

    async def accept(self, accepted: SessionAccepted) -> None:
        """Sends the first response. Raises StageTimeout."""
        await self._writer.send(accepted_to_proto(accepted), None)

    async def next_frame(self, seconds: float) -> Passage:
        """See `orchestrator.session.transfer_session.Client`."""
        request = await self._reader.take(seconds)
        passage = self._intake.passage(request.WhichOneof("request"), request.frame)
        passage.trace = tracing.begin_frame(passage.sequence)
        return passage

    def stop(self) -> None:
        """No frame is taken any more: `next_frame` raises LinkEnded."""
        self._reader.stop()

    async def drain(self, checkpoint: bytes, next_sequence: int) -> None:
        """Tells the client that the server goes away, and where to go on elsewhere. Raises StageTimeout."""
        self._journal.drained = True
        draining = transfer_pb2.Draining(checkpoint=checkpoint, next_sequence=next_sequence)
        await self._writer.send(transfer_pb2.TransferResponse(draining=draining), None)

    async def answer(self, passage: Passage) -> None:
        """See `orchestrator.session.transfer_session.Client`. Counts the frame."""
        await self._writer.send(answer_to_proto(passage, self._returns), passage.sequence)
        result = "picture" if passage.no_picture is None else passage.no_picture.reason.value
        if passage.trace is not None:
            passage.trace.end(result)
        self._journal.answered += 1
        metrics.frames_with(result).inc()
        metrics.FRAME_DURATION.observe(time.perf_counter() - passage.arrived_at_s)
        for remark in passage.remarks:
            metrics.remarks_of(remark.value).inc()
