"""Converters between our types and the messages of `dance.v1`. They check untrusted values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
from dance.v1 import frame_pb2, normalize_pb2, pose_pb2, transfer_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from motion import skeleton
from motion.body import BodyStats
from motion.clock import checked_rate_hz
from motion.frame import EncodedPicture, Frame, FrameSize, PictureEncoding, StageTime
from motion.people.dancer_choice import DancerChoice, DancerRule
from motion.pose import MAX_POSITION_PX, Pose
from motion.pose_choice import PoseBackend, PoseDetail
from serving.errors import BadInput, BadPicture
from serving.pictures.background import Background

MAX_SIDE_PX = 65_536
"""The largest side of a frame sent without a picture. No codec supports more."""

MAX_POSE_STATE_BYTES = 2**16
"""The largest `EstimateConfig.state`."""

_SMALLEST_HEIGHT, _LARGEST_HEIGHT, _FARTHEST_POSITION = 1e-3, 10.0, 10.0
"""Limits of body stats, as fractions of the frame."""

_SECONDS_RANGE = (-62_135_596_800, 253_402_300_799)
"""The range of a Timestamp: the years 1 to 9999."""
_LATEST_SECONDS = math.nextafter(_SECONDS_RANGE[1] + 1, 0)

BACKEND_TO_PROTO: Final = {
    PoseBackend.MEDIAPIPE: pose_pb2.POSE_BACKEND_MEDIAPIPE,
    PoseBackend.MEDIAPIPE_SOLUTION: pose_pb2.POSE_BACKEND_MEDIAPIPE_SOLUTION,
    PoseBackend.OPENPOSE: pose_pb2.POSE_BACKEND_OPENPOSE,
    PoseBackend.RTMPOSE: pose_pb2.POSE_BACKEND_RTMPOSE,
}
BACKEND_FROM_PROTO: Final[dict[int, PoseBackend]] = {number: backend for backend, number in BACKEND_TO_PROTO.items()}
DETAIL_TO_PROTO: Final = {
    PoseDetail.BODY: pose_pb2.POSE_DETAIL_BODY,
    PoseDetail.HOLISTIC: pose_pb2.POSE_DETAIL_HOLISTIC,
    PoseDetail.LIVE: pose_pb2.POSE_DETAIL_LIVE,
}
DETAIL_FROM_PROTO: Final[dict[int, PoseDetail]] = {number: detail for detail, number in DETAIL_TO_PROTO.items()}
ENCODING_TO_PROTO: Final = {
    PictureEncoding.JPEG: frame_pb2.PICTURE_ENCODING_JPEG,
    PictureEncoding.PNG: frame_pb2.PICTURE_ENCODING_PNG,
    PictureEncoding.RAW: frame_pb2.PICTURE_ENCODING_RAW,
    PictureEncoding.RAW_RGBA: frame_pb2.PICTURE_ENCODING_RAW_RGBA,
}
_ENCODING_FROM_PROTO: dict[int, PictureEncoding] = {number: encoding for encoding, number in ENCODING_TO_PROTO.items()}

# Protobuf encodes a list of floats as their consecutive bytes, as numpy stores them. Copying the encoded bytes takes a
# twentieth of the time of converting 411 Python floats.
_POSE_BYTES = np.frombuffer(
    pose_pb2.Pose(
        **{name: [1.0] * skeleton.JOINT_COUNT for name in ("x_px", "y_px", "confidence")}
    ).SerializeToString(),
    np.uint8,
).reshape(3, -1)
"""An encoded pose: each list follows its field's number and its length."""


def encoding_from_proto(number: int, *, field: str) -> PictureEncoding:
    """Return the encoding. Raises BadInput for UNSPECIFIED and for unknown numbers."""
    if number not in _ENCODING_FROM_PROTO:
        raise BadInput(field, f"expected JPEG, PNG, RAW or RAW_RGBA, got {number}")
    return _ENCODING_FROM_PROTO[number]


def picture_from_proto(message: frame_pb2.Picture, *, field: str = "picture") -> EncodedPicture:
    """Return the picture; `serving.pictures.codec` checks its bytes. Raises BadPicture for an unknown encoding."""
    if message.encoding not in _ENCODING_FROM_PROTO:
        raise BadPicture(f"{field}.encoding", f"expected JPEG, PNG or RAW, got {message.encoding}")
    encoding = _ENCODING_FROM_PROTO[message.encoding]
    return EncodedPicture(encoding, message.width_px, message.height_px, message.data)


def picture_to_proto(picture: EncodedPicture) -> frame_pb2.Picture:
    """Return the picture as a message of its own. For a part of another message, use fill_picture."""
    message = frame_pb2.Picture()
    fill_picture(message, picture)
    return message


def fill_picture(message: frame_pb2.Picture, picture: EncodedPicture) -> None:
    """Write the picture into an empty message that is part of another one.

    Passing a message to another one's constructor serialises and parses it again, at each level; this copies the bytes
    once.
    """
    message.encoding = ENCODING_TO_PROTO[picture.encoding]
    message.width_px = picture.width_px
    message.height_px = picture.height_px
    message.data = picture.data


def fill_frame(message: frame_pb2.Frame, frame: Frame) -> None:
    """Write the frame into an empty message that is part of another one; see fill_picture."""
    message.sequence = frame.sequence
    if frame.captured_at_s is not None:
        fill_seconds(message.captured_at, frame.captured_at_s)
    fill_picture(message.picture, frame.picture)


def seconds_from_proto(message: Timestamp, *, field: str = "captured_at") -> float:
    """Return seconds since the epoch; a file's frames count from 0. Raises BadInput outside a Timestamp's range."""
    first, last = _SECONDS_RANGE
    if not (first <= message.seconds <= last and 0 <= message.nanos <= 999_999_999):
        raise BadInput(field, f"is not a valid time: {message.seconds} s and {message.nanos} ns")
    # Rounded up, the last nanoseconds of the year 9999 would be outside the range when sent on.
    return min(message.seconds + message.nanos * 1e-9, _LATEST_SECONDS)


def seconds_to_proto(seconds: float) -> Timestamp:
    """Return a Timestamp with nanosecond resolution."""
    message = Timestamp()
    fill_seconds(message, seconds)
    return message


def fill_seconds(message: Timestamp, seconds: float) -> None:
    """Write the time into an empty message that is part of another one."""
    message.seconds, message.nanos = divmod(round(seconds * 1e9), 1_000_000_000)


def pose_from_proto(message: pose_pb2.Pose, *, field: str = "pose") -> Pose:
    """Return the pose.

    Raises BadInput unless all three lists have 137 entries, confidences are in [0, 1] and seen joints lie within 1e6
    px.
    """
    lengths = (len(message.x_px), len(message.y_px), len(message.confidence))
    if lengths != (skeleton.JOINT_COUNT,) * 3:
        raise BadInput(field, f"expected {skeleton.JOINT_COUNT} of x_px, y_px and confidence, got {lengths}")
    encoded = message.SerializeToString()
    if len(encoded) != _POSE_BYTES.size:  # fields of a newer sender may be anywhere
        message.DiscardUnknownFields()
        encoded = message.SerializeToString()
    lists = _floats(np.frombuffer(encoded, np.uint8).reshape(_POSE_BYTES.shape))
    joints_px = np.empty((skeleton.JOINT_COUNT, 2), np.float32)
    joints_px.T[...] = lists[:2]
    try:
        pose = Pose(joints_px, lists[2])
    except ValueError as error:
        raise BadInput(field, str(error)) from error
    farthest_px = np.abs(pose.joints_px).max()
    if farthest_px > MAX_POSITION_PX:
        raise BadInput(field, f"has a joint at {farthest_px:g} px, at most {MAX_POSITION_PX:g} are accepted")
    return pose


def pose_to_proto(pose: Pose) -> pose_pb2.Pose:
    """Return the pose as a message of its own. For a part of another message, use fill_pose."""
    message = pose_pb2.Pose()
    fill_pose(message, pose)
    return message


def fill_pose(message: pose_pb2.Pose, pose: Pose) -> None:
    """Write the pose into an empty message that is part of another one."""
    encoded = _POSE_BYTES.copy()
    lists = _floats(encoded)
    lists[:2] = pose.joints_px.T
    lists[2] = pose.confidence
    message.MergeFromString(encoded.tobytes())


def _floats(encoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return `[3, J]`, x, y and confidence: a view of an encoded pose without the bytes before each list."""
    return encoded[:, -4 * skeleton.JOINT_COUNT :].view("<f4")


def frame_rate_from_proto(frame_rate_hz: float, *, field: str) -> float:
    """Return frames per second, 0 if unknown. Raises BadInput for an impossible rate."""
    try:
        return checked_rate_hz(frame_rate_hz)
    except ValueError as error:
        raise BadInput(field, str(error)) from error


def frame_size_from_proto(message: normalize_pb2.FrameSize, *, field: str) -> FrameSize:
    """Return the size. Raises BadInput for an empty size, and for sides that are too long."""
    width_px, height_px = message.width_px, message.height_px
    if not (1 <= width_px <= MAX_SIDE_PX and 1 <= height_px <= MAX_SIDE_PX):
        raise BadInput(field, f"is {width_px}x{height_px}, sides from 1 to {MAX_SIDE_PX} pixels are accepted")
    return FrameSize(width_px, height_px)


def frame_size_to_proto(size: FrameSize) -> normalize_pb2.FrameSize:
    """Return the size as a message."""
    return normalize_pb2.FrameSize(width_px=size.width_px, height_px=size.height_px)


def body_stats_from_proto(message: normalize_pb2.BodyStats, *, field: str) -> BodyStats:
    """Return the stats. Raises BadInput for impossible numbers: heights and positions far outside the frame."""
    for name in ("near_height", "far_height"):
        height = getattr(message, name)
        if not _SMALLEST_HEIGHT <= height <= _LARGEST_HEIGHT:
            raise BadInput(field, f"{name}: expected {_SMALLEST_HEIGHT:g} to {_LARGEST_HEIGHT:g}, got {height:g}")
    for name in ("near_ankle_y", "far_ankle_y", "hip_x"):
        position = getattr(message, name)
        if not abs(position) <= _FARTHEST_POSITION:
            raise BadInput(field, f"{name}: expected at most {_FARTHEST_POSITION:g} either way, got {position:g}")
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
    """Return the stats as a message of its own. For a part of another message, use fill_body_stats."""
    message = normalize_pb2.BodyStats()
    fill_body_stats(message, body)
    return message


def fill_body_stats(message: normalize_pb2.BodyStats, body: BodyStats) -> None:
    """Write the stats into an empty message that is part of another one; see fill_picture."""
    message.near_ankle_y, message.far_ankle_y = body.near_ankle_y, body.far_ankle_y
    message.near_height, message.far_height = body.near_height, body.far_height
    message.hip_x, message.frames = body.hip_x, body.frames


def stage_times_from_proto(messages: Iterable[frame_pb2.StageTime]) -> tuple[StageTime, ...]:
    """Return the times that the stages spent on one frame."""
    return tuple(
        StageTime(time.stage, time.compute_seconds, time.queue_seconds, time.total_seconds) for time in messages
    )


def background_from_proto(message: transfer_pb2.Background, *, field: str) -> Background:
    """Return the background; without a choice, the actor's own place. `Background.drawn` checks a picture's bytes.

    Raises BadInput for `transparent` false, a colour outside 0 to 255 and an unknown encoding.
    """
    choice = message.WhichOneof("background")
    if choice == "transparent":
        if not message.transparent:
            raise BadInput(f"{field}.transparent", "cannot be false; leave the background out")
        return Background(transparent=True)
    if choice == "colour":
        try:
            return Background(colour=(message.colour.red, message.colour.green, message.colour.blue))
        except ValueError as error:
            raise BadInput(f"{field}.colour", str(error)) from error
    if choice == "picture":
        return Background(picture=picture_from_proto(message.picture, field=f"{field}.picture"))
    return Background()


def background_to_proto(background: Background) -> transfer_pb2.Background | None:
    """Return the background as a message; None for the actor's own place."""
    if background.transparent:
        return transfer_pb2.Background(transparent=True)
    if background.colour is not None:
        red, green, blue = background.colour
        return transfer_pb2.Background(colour=transfer_pb2.Colour(red=red, green=green, blue=blue))
    if background.picture is not None:
        return transfer_pb2.Background(picture=picture_to_proto(background.picture))
    return None


def dancer_choice_from_proto(message: pose_pb2.DancerSelection, *, field: str) -> DancerChoice:
    """Return the choice; without a rule, the largest person.

    Raises BadInput for a rule that is false, a point far away, and a person_id of 0.
    """
    rule = message.WhichOneof("rule")
    if rule in ("largest", "centre") and not getattr(message, rule):
        raise BadInput(f"{field}.{rule}", "cannot be false; leave the rule out")
    try:
        if rule == "centre":
            return DancerChoice(DancerRule.CENTRE)
        if rule == "nearest":
            return DancerChoice(DancerRule.NEAREST, message.nearest.x, message.nearest.y)
        if rule == "person_id":
            return DancerChoice(DancerRule.PERSON, person_id=message.person_id)
    except ValueError as error:
        raise BadInput(f"{field}.{rule}", str(error)) from error
    return DancerChoice()


def dancer_choice_to_proto(choice: DancerChoice) -> pose_pb2.DancerSelection:
    """Return the choice as a message."""
    if choice.rule is DancerRule.CENTRE:
        return pose_pb2.DancerSelection(centre=True)
    if choice.rule is DancerRule.NEAREST:
        return pose_pb2.DancerSelection(nearest=pose_pb2.Point(x=choice.x, y=choice.y))
    if choice.rule is DancerRule.PERSON:
        return pose_pb2.DancerSelection(person_id=choice.person_id)
    return pose_pb2.DancerSelection(largest=True)
