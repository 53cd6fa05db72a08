"""Converters: values survive a round trip, and impossible numbers are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dance.v1 import normalize_pb2, pose_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from motion import skeleton
from motion.frame import EncodedPicture, Frame, PictureEncoding
from motion.pose import Pose
from serving.errors import BadInput
from serving.rpc import converters

BODY: dict[str, Any] = {
    "near_ankle_y": 0.9,
    "far_ankle_y": 0.8,
    "near_height": 0.5,
    "far_height": 0.4,
    "hip_x": 0.5,
    "frames": 10,
}


def somewhere(x_px: float) -> pose_pb2.Pose:
    joints_px = np.full((skeleton.JOINT_COUNT, 2), 5, np.float32)
    joints_px[7, 0] = x_px
    return converters.pose_to_proto(Pose(joints_px, np.full(skeleton.JOINT_COUNT, 0.5, np.float32)))


def test_frame_filled_in_place_reads_back() -> None:
    """A frame within a request equals the frame that was written, byte for byte."""
    frame = Frame(7, EncodedPicture(PictureEncoding.JPEG, 4, 2, b"bytes"), 1.25)
    request = pose_pb2.EstimateRequest()
    converters.fill_frame(request.frame, frame)
    assert request.WhichOneof("request") == "frame"
    read = request.frame
    assert (read.sequence, converters.seconds_from_proto(read.captured_at)) == (7, 1.25)
    assert converters.picture_from_proto(read.picture, field="frame.picture") == frame.picture


def test_pose_reads_back() -> None:
    """Every joint of a pose is read back exactly."""
    numbers = np.random.default_rng(0)
    joints_px = numbers.normal(0, 500, (skeleton.JOINT_COUNT, 2)).astype(np.float32)
    confidence = numbers.random(skeleton.JOINT_COUNT, np.float32)
    message = converters.pose_to_proto(Pose(joints_px, confidence))
    assert list(message.x_px) == joints_px[:, 0].tolist()
    assert list(message.y_px) == joints_px[:, 1].tolist()
    assert list(message.confidence) == confidence.tolist()
    pose = converters.pose_from_proto(message)
    assert np.array_equal(pose.joints_px, joints_px)
    assert np.array_equal(pose.confidence, confidence)


def test_pose_with_fields_of_a_newer_sender_is_read() -> None:
    """Unknown fields of a newer sender, before or after the joints, change nothing."""
    known = somewhere(7)
    fields_before, fields_behind = b"\xa0\x06\x07", b"\xaa\x06\x03abc"  # number 100, a varint; number 101, bytes
    message = pose_pb2.Pose.FromString(fields_before + known.SerializeToString() + fields_behind)
    assert len(message.SerializeToString()) > len(known.SerializeToString())
    assert np.array_equal(converters.pose_from_proto(message).joints_px, converters.pose_from_proto(known).joints_px)


@pytest.mark.parametrize("x_px", [1.1e6, -2e6, 3e38])
def test_joints_far_away_are_refused(x_px: float) -> None:
    """A seen joint beyond a million pixels is an error; up to there it is accepted."""
    with pytest.raises(BadInput, match="pose: has a joint at"):
        converters.pose_from_proto(somewhere(x_px))
    assert converters.pose_from_proto(somewhere(-1e6)).joints_px[7, 0] == -1e6


@pytest.mark.parametrize(
    "wrong",
    [
        {"near_height": 0.0}, {"far_height": 9e-4}, {"near_height": 10.5}, {"near_height": float("nan")},
        {"near_ankle_y": 11.0}, {"far_ankle_y": -10.5}, {"hip_x": float("inf")}, {"hip_x": float("nan")},
    ],
)  # fmt: skip
def test_body_stats_that_no_body_has_are_refused(wrong: dict[str, Any]) -> None:
    """Heights and positions far outside the frame are refused by name."""
    with pytest.raises(BadInput, match=next(iter(wrong))):
        converters.body_stats_from_proto(normalize_pb2.BodyStats(**{**BODY, **wrong}), field="body")
    assert converters.body_stats_from_proto(normalize_pb2.BodyStats(**BODY), field="body").hip_x == 0.5


@pytest.mark.parametrize(("seconds", "nanos"), [(2**62, 0), (-(2**40), 0), (1, -1), (1, 1_000_000_000)])
def test_times_that_no_timestamp_may_hold_are_refused(seconds: int, nanos: int) -> None:
    """Numbers outside a Timestamp's range, which protobuf accepts, are refused."""
    with pytest.raises(BadInput, match=r"frame\.captured_at: is not a valid time"):
        converters.seconds_from_proto(Timestamp(seconds=seconds, nanos=nanos), field="frame.captured_at")
    assert converters.seconds_from_proto(converters.seconds_to_proto(-1.5)) == -1.5


def test_the_last_nanosecond_of_all_years_can_be_sent_on() -> None:
    """The last nanosecond does not round to the year 10000, which the next process would refuse."""
    last = converters.seconds_from_proto(Timestamp(seconds=253_402_300_799, nanos=999_999_999))
    sent_on = converters.seconds_to_proto(last)
    assert sent_on.seconds == 253_402_300_799
    assert converters.seconds_from_proto(sent_on) == last


@pytest.mark.parametrize(("width_px", "height_px"), [(0, 4), (65_537, 4), (4, 2**32 - 1)])
def test_sizes_that_no_picture_has_are_refused(width_px: int, height_px: int) -> None:
    """The error names the size and the limits; 65536 is the largest accepted side."""
    with pytest.raises(BadInput, match=f"size: is {width_px}x{height_px}, sides from 1 to 65536"):
        converters.frame_size_from_proto(normalize_pb2.FrameSize(width_px=width_px, height_px=height_px), field="size")
    whole = normalize_pb2.FrameSize(width_px=65_536, height_px=1)
    assert converters.frame_size_from_proto(whole, field="size").width_px == 65_536
