"""The client's types as messages of `dance.v1.TransferService`, and back."""

from __future__ import annotations

from typing import Any, Final

from dance.v1 import actor_pb2, frame_pb2, pose_pb2, transfer_pb2

from client.connection.types import (
    Accepted,
    ActorListing,
    ActorPreview,
    Answer,
    ListedWardrobe,
    PosedFrame,
    Rung,
    SentFrame,
    TransferOptions,
)
from motion.frame import FrameSize, NoPictureReason
from motion.pose_choice import PoseBackend
from serving.actors.preview import PREVIEW_MEDIA_TYPE, is_preview
from serving.actors.shown_records import ListedConsent
from serving.errors import BadInput
from serving.rpc import converters

_LEAST_IN_FLIGHT: Final = 2


def backend_to_proto(backend: PoseBackend | None) -> pose_pb2.PoseBackend:
    """Return the enum value; None leaves the choice to the server."""
    return pose_pb2.POSE_BACKEND_UNSPECIFIED if backend is None else converters.BACKEND_TO_PROTO[backend]


def config_to_proto(options: TransferOptions) -> transfer_pb2.TransferConfig:
    """Build the config that a session begins with."""
    transparent = options.background.transparent
    detail = pose_pb2.POSE_DETAIL_UNSPECIFIED if options.detail is None else converters.DETAIL_TO_PROTO[options.detail]
    return transfer_pb2.TransferConfig(
        actor=options.actor,
        actor_version=options.actor_version,
        mode=transfer_pb2.TRANSFER_MODE_LIVE if options.live else transfer_pb2.TRANSFER_MODE_LOSSLESS,
        output=transfer_pb2.OutputFormat(
            encoding=frame_pb2.PICTURE_ENCODING_PNG if transparent else frame_pb2.PICTURE_ENCODING_JPEG,
            jpeg_quality=0 if transparent else options.jpeg_quality,
            full_frame=options.full_frame,
        ),
        source_body=None if options.source_body is None else converters.body_stats_to_proto(options.source_body),
        look_ahead_frames=options.look_ahead_frames,
        return_options=transfer_pb2.ReturnOptions(
            stage_times=True,
            label_map=options.label_maps,
            reference=options.references,
            source_pose=options.source_poses,
        ),
        pose_detail=detail,
        picture_size=None if options.picture_size is None else converters.frame_size_to_proto(options.picture_size),
        adaptive=options.adaptive,
        pose_backend=backend_to_proto(options.pose.backend),
        dancer=converters.dancer_choice_to_proto(options.pose.dancer),
        frame_rate_hz=options.frame_rate_hz,
        checkpoint_every_frames=options.checkpoint_every_frames,
        checkpoint=options.checkpoint,
        background=converters.background_to_proto(options.background),
        label=options.label,
    )


def accepted_from_proto(message: transfer_pb2.TransferAccepted, options: TransferOptions) -> Accepted:
    """Convert a session's first response. Raises BadInput for sizes and details outside the contract."""
    size = message.full_frame_size if options.full_frame else message.stage_size
    config = message.config
    return Accepted(
        actor_version=config.actor_version,
        checkpoint_every_frames=config.checkpoint_every_frames,
        look_ahead_frames=config.look_ahead_frames,
        max_frames_in_flight=max(message.limits.max_frames_in_flight, config.look_ahead_frames + _LEAST_IN_FLIGHT),
        max_frame_side_px=message.limits.max_frame_side_px,
        picture_size=converters.frame_size_from_proto(size, field="accepted.stage_size"),
        server_version=message.server_version,
        generator_precision=message.generator_precision,
        references=config.return_options.reference,
        rungs=tuple(_rung(rung) for rung in message.rungs),
        label=config.label,
        watermark_key_id=message.watermark_key_id if message.HasField("watermark_key_id") else None,
        consent_sha256=message.consent_sha256,
    )


def _rung(message: transfer_pb2.Rung) -> Rung:
    if message.pose_detail not in converters.DETAIL_FROM_PROTO:
        raise BadInput("accepted.rungs", f"has the unknown pose detail {message.pose_detail}")
    size = converters.frame_size_from_proto(message.picture_size, field="accepted.rungs.picture_size")
    return Rung(converters.DETAIL_FROM_PROTO[message.pose_detail], message.face_and_hands_every_n, size)


def listing_from_proto(actor: actor_pb2.ActorSummary) -> ActorListing:
    """Convert one version of an actor."""
    return ActorListing(
        actor.actor,
        actor.actor_version,
        _size(actor.stage_size),
        _size(actor.full_frame_size),
        actor.preset,
        actor.label_map_version,
        actor.unavailable,
        actor.served_percent,
        actor.size_bytes,
        _wardrobe(actor),
        actor.bare_warp,
        tuple(size for listed in actor.smaller_sizes if (size := _size(listed)) is not None),
        actor.consent,
        converters.seconds_from_proto(actor.trained_at, field="trained_at") if actor.HasField("trained_at") else None,
        {score.name: score.value for score in actor.scores},
        actor.has_preview,
        _preview(actor),
        _consent(actor),
    )


def _preview(actor: actor_pb2.ActorSummary) -> ActorPreview | None:
    """Return the preview; None for another kind of file than this client knows, which a page must not pass on."""
    shown = actor.preview
    known = shown.media_type == PREVIEW_MEDIA_TYPE and is_preview(shown.data)
    return ActorPreview(shown.media_type, shown.data) if known else None


def _consent(actor: actor_pb2.ActorSummary) -> ListedConsent | None:
    if not actor.HasField("consent_summary"):
        return None
    shown = actor.consent_summary
    return ListedConsent(
        who=shown.who,
        given_on=shown.given_on,
        uses=tuple(shown.uses),
        until=shown.until,
        recorded_by=shown.recorded_by,
        sha256=shown.sha256,
        ended_because=shown.ended_because,
    )


def _wardrobe(actor: actor_pb2.ActorSummary) -> ListedWardrobe | None:
    shown = actor.wardrobe
    return ListedWardrobe(shown.key_frames, tuple(shown.facings)) if actor.HasField("wardrobe") else None


def answer_from_proto(message: transfer_pb2.TransferAnswer) -> Answer:
    """Convert the answer to one frame. Raises BadInput for one that breaks the contract."""
    picture = no_picture = None
    detail = ""
    if message.WhichOneof("result") == "picture":
        picture = converters.picture_from_proto(message.picture)
    elif message.WhichOneof("result") == "no_picture":
        name = transfer_pb2.NoPictureReason.Name(message.no_picture.reason).removeprefix("NO_PICTURE_REASON_")
        if name not in NoPictureReason.__members__:
            raise BadInput("answer.no_picture.reason", f"frame {message.sequence} has the unknown reason {name}")
        no_picture, detail = NoPictureReason[name], message.no_picture.detail
    else:
        raise BadInput("answer", f"frame {message.sequence} has neither a picture nor a reason")
    return Answer(
        message.sequence,
        picture,
        no_picture,
        detail,
        tuple(remark_name(remark) for remark in message.remarks),
        converters.stage_times_from_proto(message.stage_times),
        converters.picture_from_proto(message.label_map, field="label_map") if message.HasField("label_map") else None,
        message.frame_seconds,
        message.checkpoint,
        converters.picture_from_proto(message.reference, field="reference") if message.HasField("reference") else None,
        message.rung,
        converters.pose_from_proto(message.source_pose, field="source_pose")
        if message.HasField("source_pose")
        else None,
    )


def remark_name(remark: int) -> str:
    """Return a remark's name as reports show it."""
    if remark not in transfer_pb2.FrameRemark.values():
        return f"remark {remark}"  # a newer server's remark: counted under its number
    return transfer_pb2.FrameRemark.Name(remark).removeprefix("FRAME_REMARK_").replace("_", " ").lower()


def frame_to_proto(frame: SentFrame) -> transfer_pb2.TransferFrame:
    """Build the message of a frame: a picture, or a pose in its place."""
    message = transfer_pb2.TransferFrame(
        sequence=frame.sequence,
        captured_at=None if frame.captured_at_s is None else converters.seconds_to_proto(frame.captured_at_s),
    )
    if isinstance(frame, PosedFrame):
        given = message.client_pose
        given.size.CopyFrom(converters.frame_size_to_proto(frame.size))
        given.face_and_hands_carried = frame.face_and_hands_carried
        given.dancer_lost = frame.dancer_lost
        given.dancer_changed = frame.dancer_changed
        if frame.pose is not None:
            converters.fill_pose(given.pose, frame.pose)
    else:
        converters.fill_picture(message.picture, frame.picture)
    return message


def _size(message: Any) -> FrameSize | None:
    return FrameSize(message.width_px, message.height_px) if message.width_px and message.height_px else None
