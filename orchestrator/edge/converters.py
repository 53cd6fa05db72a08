"""Transfer's messages as our own types, and our types as messages."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any, Final

from dance.v1 import frame_pb2, pose_pb2, transfer_pb2

from motion.frame import NoPictureReason, PictureEncoding
from motion.pose_choice import PoseBackend, PoseDetail
from orchestrator.pipeline.in_flight_frame import InFlightFrame, Remark
from orchestrator.session.body_fit import FittedClip
from orchestrator.session_config import (
    OutputFormat,
    PoseConfig,
    ReturnOptions,
    Rung,
    SessionAccepted,
    SessionConfig,
    TransferMode,
)
from orchestrator.settings import OrchestratorSettings
from provenance.label import checked_label
from serving.actors.actor_id import checked_actor_id
from serving.errors import BadInput
from serving.pictures.background import Background
from serving.rpc import converters
from serving.rpc.server import VERSION

_MODES: Final = {
    transfer_pb2.TRANSFER_MODE_UNSPECIFIED: TransferMode.LOSSLESS,
    transfer_pb2.TRANSFER_MODE_LOSSLESS: TransferMode.LOSSLESS,
    transfer_pb2.TRANSFER_MODE_LIVE: TransferMode.LIVE,
}
_MODE_TO_PROTO: Final = {mode: number for number, mode in _MODES.items()}
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
    """Convert a pose backend and a dancer rule, for detail BODY. Raises BadInput for values outside the contract."""
    if backend not in pose_pb2.PoseBackend.values():
        raise BadInput(f"{field}.pose_backend", f"{backend} is not a pose backend")
    chosen = converters.BACKEND_FROM_PROTO.get(backend) or PoseBackend(settings.pose_backend)
    return PoseConfig(
        detail=PoseDetail.BODY,
        backend=chosen,
        dancer=converters.dancer_choice_from_proto(dancer, field=f"{field}.dancer"),
    )


def config_from_proto(message: transfer_pb2.TransferConfig, settings: OrchestratorSettings) -> SessionConfig:
    """Convert a session's config. Raises BadInput, naming the field, for values that break the contract."""
    if len(message.checkpoint) > settings.max_checkpoint_bytes:
        limit = settings.max_checkpoint_bytes
        raise BadInput("config.checkpoint", f"has {len(message.checkpoint)} bytes, at most {limit} are accepted")
    if message.mode not in _MODES:
        raise BadInput("config.mode", f"{message.mode} is not a transfer mode")
    mode = _MODES[message.mode]
    look_ahead_frames = message.look_ahead_frames
    if mode is TransferMode.LIVE and look_ahead_frames:
        raise BadInput("config.look_ahead_frames", f"must be 0 in a LIVE session, got {look_ahead_frames}")
    if look_ahead_frames > settings.max_look_ahead_frames:
        limit = settings.max_look_ahead_frames
        raise BadInput("config.look_ahead_frames", f"must be at most {limit}, got {look_ahead_frames}")
    rate_hz = converters.frame_rate_from_proto(message.frame_rate_hz, field="config.frame_rate_hz")
    source_body = None
    if message.HasField("source_body"):
        source_body = converters.body_stats_from_proto(message.source_body, field="config.source_body")
    background = converters.background_from_proto(message.background, field="config.background")
    picture_size = None
    if message.HasField("picture_size"):
        picture_size = converters.frame_size_from_proto(message.picture_size, field="config.picture_size")
    for field, is_set in (("picture_size", picture_size is not None), ("adaptive", message.adaptive)):
        if is_set and mode is not TransferMode.LIVE:
            raise BadInput(f"config.{field}", "is only for LIVE sessions")
    returns = message.return_options
    return SessionConfig(
        actor=checked_actor_id(message.actor, field="config.actor"),
        actor_version=message.actor_version,
        mode=mode,
        output=_output_from_proto(message.output, background),
        source_body=source_body,
        look_ahead_frames=look_ahead_frames,
        returns=ReturnOptions(
            returns.source_pose, returns.normalized_pose, returns.stage_times, returns.label_map, returns.reference
        ),
        pose=_pose_from_proto(message, settings),
        background=background,
        frame_rate_hz=rate_hz,
        checkpoint_every_frames=message.checkpoint_every_frames,
        checkpoint=message.checkpoint,
        picture_size=picture_size,
        adaptive=message.adaptive,
        pose_detail_is_fixed=message.pose_detail != pose_pb2.POSE_DETAIL_UNSPECIFIED,
        label=settings.label or _label_from_proto(message.label),
    )


def _label_from_proto(label: str) -> str:
    try:
        return checked_label(label) if label else ""
    except ValueError as error:
        raise BadInput("config.label", str(error)) from error


def _output_from_proto(message: transfer_pb2.OutputFormat, background: Background) -> OutputFormat:
    encoding = PictureEncoding.PNG if background.transparent else PictureEncoding.JPEG
    if message.encoding != frame_pb2.PICTURE_ENCODING_UNSPECIFIED:
        encoding = converters.encoding_from_proto(message.encoding, field="config.output.encoding")
    if background.transparent and encoding not in (PictureEncoding.PNG, PictureEncoding.RAW_RGBA):
        reason = f"{encoding.name} has no opacity, which a transparent background needs; request PNG or RAW_RGBA"
        raise BadInput("config.output.encoding", reason)
    if encoding is PictureEncoding.RAW_RGBA and not background.transparent:
        reason = "RAW_RGBA is only for a transparent background; request JPEG, PNG or RAW"
        raise BadInput("config.output.encoding", reason)
    quality = message.jpeg_quality or _DEFAULT_JPEG_QUALITY
    if quality > 100:
        raise BadInput("config.output.jpeg_quality", f"expected 1 to 100, or 0 for the default, got {quality}")
    return OutputFormat(encoding, quality, message.full_frame)


def _pose_from_proto(message: transfer_pb2.TransferConfig, settings: OrchestratorSettings) -> PoseConfig:
    detail = PoseDetail.HOLISTIC
    if message.pose_detail != pose_pb2.POSE_DETAIL_UNSPECIFIED:
        if message.pose_detail not in converters.DETAIL_FROM_PROTO:
            raise BadInput("config.pose_detail", f"{message.pose_detail} is not a pose detail")
        detail = converters.DETAIL_FROM_PROTO[message.pose_detail]
    is_free = message.adaptive and message.pose_detail == pose_pb2.POSE_DETAIL_UNSPECIFIED
    if message.face_and_hands_every_n and detail is not PoseDetail.LIVE and not is_free:
        raise BadInput("config.face_and_hands_every_n", "requires pose_detail LIVE")
    choice = pose_choice_from_proto(message.pose_backend, message.dancer, settings, field="config")
    return replace(choice, detail=detail, face_and_hands_every_n=message.face_and_hands_every_n)


def accepted_to_proto(accepted: SessionAccepted) -> transfer_pb2.TransferResponse:
    """Build the first response of a session."""
    config = accepted.config
    honoured = transfer_pb2.TransferConfig(
        actor=config.actor,
        actor_version=config.actor_version,
        mode=_MODE_TO_PROTO[config.mode],
        output=transfer_pb2.OutputFormat(
            encoding=converters.ENCODING_TO_PROTO[config.output.encoding],
            jpeg_quality=config.output.jpeg_quality if config.output.encoding is PictureEncoding.JPEG else 0,
            full_frame=config.output.full_frame,
        ),
        source_body=None if config.source_body is None else converters.body_stats_to_proto(config.source_body),
        dancer=converters.dancer_choice_to_proto(config.pose.dancer),
        look_ahead_frames=config.look_ahead_frames,
        return_options=transfer_pb2.ReturnOptions(**asdict(config.returns)),
        pose_backend=converters.BACKEND_TO_PROTO[config.pose.backend],
        pose_detail=converters.DETAIL_TO_PROTO[config.pose.detail],
        face_and_hands_every_n=config.pose.face_and_hands_every_n,
        frame_rate_hz=config.frame_rate_hz,
        checkpoint_every_frames=config.checkpoint_every_frames,
        background=converters.background_to_proto(config.background),
        picture_size=None if config.picture_size is None else converters.frame_size_to_proto(config.picture_size),
        adaptive=config.adaptive,
        label=config.label,
    )
    if config.background.picture is not None:
        honoured.background.picture.ClearField("data")
    return transfer_pb2.TransferResponse(
        accepted=transfer_pb2.TransferAccepted(
            config=honoured,
            limits=transfer_pb2.SessionLimits(
                max_frames_in_flight=accepted.max_frames_in_flight,
                max_frame_side_px=accepted.max_frame_side_px,
                max_frame_bytes=accepted.max_frame_bytes,
            ),
            server_version=VERSION,
            stage_size=converters.frame_size_to_proto(accepted.crop_size),
            full_frame_size=converters.frame_size_to_proto(accepted.full_frame_size),
            generator_precision=accepted.generator_precision,
            rungs=[_rung_to_proto(rung) for rung in accepted.rungs],
            watermark_key_id=accepted.watermark_key_id,
            consent_sha256=accepted.consent_sha256,
        )
    )


def _rung_to_proto(rung: Rung) -> transfer_pb2.Rung:
    return transfer_pb2.Rung(
        pose_detail=converters.DETAIL_TO_PROTO[rung.detail],
        face_and_hands_every_n=rung.face_and_hands_every_n,
        picture_size=converters.frame_size_to_proto(rung.size),
    )


def answer_to_proto(frame: InFlightFrame, returns: ReturnOptions) -> transfer_pb2.TransferResponse:
    """Build the answer to a frame that has left the last stage."""
    response = transfer_pb2.TransferResponse()
    answer = response.answer
    answer.sequence = frame.sequence
    answer.remarks.extend([_REMARK_TO_PROTO[remark] for remark in frame.remarks])
    answer.rung = 0 if frame.rung is None else frame.rung.index
    answer.frame_seconds = time.perf_counter() - frame.arrived_at_s
    if frame.no_picture is not None:
        answer.no_picture.reason = _REASON_TO_PROTO[frame.no_picture.reason]
        answer.no_picture.detail = frame.no_picture.detail
    else:
        assert frame.output is not None
        converters.fill_picture(answer.picture, frame.output)
    if returns.stage_times:
        for spent in frame.times:
            answer.stage_times.add(
                stage=spent.stage,
                compute_seconds=spent.compute_seconds,
                queue_seconds=spent.queue_seconds,
                total_seconds=spent.total_seconds,
            )
    if returns.source_pose and frame.source_pose is not None:
        converters.fill_pose(answer.source_pose, frame.source_pose)
    if returns.normalized_pose and frame.normalized_pose is not None:
        converters.fill_pose(answer.normalized_pose, frame.normalized_pose)
    if frame.label_map_output is not None:
        converters.fill_picture(answer.label_map, frame.label_map_output)
    if frame.reference_output is not None:
        converters.fill_picture(answer.reference, frame.reference_output)
    if frame.checkpoint:
        answer.checkpoint = frame.checkpoint
    if frame.transform is not None:
        answer.transform.scale = frame.transform.scale
        answer.transform.foot_y = frame.transform.foot_y
        answer.transform.hip_x = frame.transform.hip_x
    return response


def fitted_to_proto(fitted: FittedClip) -> transfer_pb2.FitBodyResponse:
    """Build the response of FitBody."""
    return transfer_pb2.FitBodyResponse(
        body=converters.body_stats_to_proto(fitted.body),
        frames=fitted.frames,
        frames_with_person=fitted.frames_with_person,
        on_the_spot=fitted.body.on_the_spot,
    )
