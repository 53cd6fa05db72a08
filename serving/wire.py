"""Converters between our types and the messages of `dance.v1`; they check what a stranger may have sent."""

from __future__ import annotations

import numpy as np
from dance.v1 import frame_pb2, normalize_pb2, pose_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from motion import skeleton
from motion.body import BodyStats
from motion.frame import EncodedPicture, Frame, FrameSize, PictureEncoding
from motion.pose import Pose
from serving.errors import BadInput, BadPicture

_ENCODING_TO_PROTO = {
    PictureEncoding.JPEG: frame_pb2.PICTURE_ENCODING_JPEG,
    PictureEncoding.PNG: frame_pb2.PICTURE_ENCODING_PNG,
    PictureEncoding.RAW: frame_pb2.PICTURE_ENCODING_RAW,
}
_ENCODING_FROM_PROTO: dict[int, PictureEncoding] = {number: encoding for encoding, number in _ENCODING_TO_PROTO.items()}


def encoding_from_proto(number: int, *, field: str) -> PictureEncoding:
    """Raises BadInput for UNSPECIFIED and for numbers that we do not know."""
    if number not in _ENCODING_FROM_PROTO:
        raise BadInput(field, f"expected JPEG, PNG or RAW, got {number}")
    return _ENCODING_FROM_PROTO[number]


def encoding_to_proto(encoding: PictureEncoding) -> frame_pb2.PictureEncoding:
    """The message's number of `encoding`."""
    return _ENCODING_TO_PROTO[encoding]


def picture_from_proto(message: frame_pb2.Picture, *, field: str = "picture") -> EncodedPicture:
    """Raises BadPicture for an unknown encoding. The bytes are checked by `serving.pictures`, not here."""
    if message.encoding not in _ENCODING_FROM_PROTO:
        raise BadPicture(f"{field}.encoding", f"expected JPEG, PNG or RAW, got {message.encoding}")
    encoding = _ENCODING_FROM_PROTO[message.encoding]
    return EncodedPicture(encoding, message.width_px, message.height_px, message.data)


def picture_to_proto(picture: EncodedPicture) -> frame_pb2.Picture:
    """The picture as a message; the bytes are not copied into another encoding."""
    return frame_pb2.Picture(
        encoding=_ENCODING_TO_PROTO[picture.encoding],
        width_px=picture.width_px,
        height_px=picture.height_px,
        data=picture.data,
    )


def frame_from_proto(message: frame_pb2.Frame) -> Frame:
    """Raises BadInput without a picture, BadPicture for an unknown encoding."""
    if not message.HasField("picture"):
        raise BadInput("frame.picture", f"frame {message.sequence} has no picture")
    captured_at = seconds_from_proto(message.captured_at) if message.HasField("captured_at") else None
    return Frame(message.sequence, picture_from_proto(message.picture, field="frame.picture"), captured_at)


def frame_to_proto(frame: Frame) -> frame_pb2.Frame:
    """The frame as a message."""
    return frame_pb2.Frame(
        sequence=frame.sequence,
        captured_at=None if frame.captured_at_s is None else seconds_to_proto(frame.captured_at_s),
        picture=picture_to_proto(frame.picture),
    )


def seconds_from_proto(message: Timestamp) -> float:
    """Seconds since the epoch; a file's frames count from 0."""
    return float(message.seconds) + message.nanos * 1e-9


def seconds_to_proto(seconds: float) -> Timestamp:
    """Nanosecond resolution."""
    whole, rest = divmod(round(seconds * 1e9), 1_000_000_000)
    return Timestamp(seconds=whole, nanos=rest)


def pose_from_proto(message: pose_pb2.Pose, *, field: str = "pose") -> Pose:
    """Raises BadInput unless all three lists have 137 entries, confidences in [0, 1] and seen joints finite."""
    lengths = (len(message.x_px), len(message.y_px), len(message.confidence))
    if lengths != (skeleton.JOINT_COUNT,) * 3:
        raise BadInput(field, f"expected {skeleton.JOINT_COUNT} of x_px, y_px and confidence, got {lengths}")
    joints_px = np.empty((skeleton.JOINT_COUNT, 2), np.float32)
    joints_px[:, 0] = message.x_px
    joints_px[:, 1] = message.y_px
    try:
        return Pose(joints_px, np.array(message.confidence, np.float32))
    except ValueError as error:
        raise BadInput(field, str(error)) from error


def pose_to_proto(pose: Pose) -> pose_pb2.Pose:
    """The pose as a message."""
    return pose_pb2.Pose(
        x_px=pose.joints_px[:, 0].tolist(), y_px=pose.joints_px[:, 1].tolist(), confidence=pose.confidence.tolist()
    )


def frame_size_from_proto(message: normalize_pb2.FrameSize, *, field: str) -> FrameSize:
    """Raises BadInput for an empty size."""
    try:
        return FrameSize(message.width_px, message.height_px)
    except ValueError as error:
        raise BadInput(field, str(error)) from error


def frame_size_to_proto(size: FrameSize) -> normalize_pb2.FrameSize:
    """The size as a message."""
    return normalize_pb2.FrameSize(width_px=size.width_px, height_px=size.height_px)


def body_stats_from_proto(message: normalize_pb2.BodyStats, *, field: str) -> BodyStats:
    """Raises BadInput for numbers that no body can have."""
    try:
        return BodyStats(
            near_ankle_y=message.near_ankle_y,
            far_ankle_y=message.far_ankle_y,
            near_height=message.near_height,
            far_height=message.far_height,
            hip_x=message.hip_x,
            frames=message.frames,
        )
    except ValueError as error:
        raise BadInput(field, str(error)) from error


def body_stats_to_proto(body: BodyStats) -> normalize_pb2.BodyStats:
    """The stats as a message."""
    return normalize_pb2.BodyStats(
        near_ankle_y=body.near_ankle_y,
        far_ankle_y=body.far_ankle_y,
        near_height=body.near_height,
        far_height=body.far_height,
        hip_x=body.hip_x,
        frames=body.frames,
    )
