"""For any legal stream the normaliser's answers and state are finite and within bounds."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion import skeleton
from motion.body import BodyStats
from motion.clock import MOST_NUMBERED_FRAMES
from motion.frame import FrameSize
from motion.pose import MAX_POSITION_PX, Pose
from services.normalize.normalizer import Normalized, Normalizer, NormalizerConfig, PoseFrame
from serving.errors import BadInput
from serving.rpc.converters import MAX_SIDE_PX

positions = st.floats(-10, 10)
heights = st.floats(1e-3, 10)
sides = st.one_of(st.sampled_from([1, MAX_SIDE_PX]), st.integers(1, MAX_SIDE_PX))
sizes = st.builds(FrameSize, sides, sides)
rates = st.one_of(st.just(0.0), st.sampled_from([0.001, 1000.0]), st.floats(0.001, 1000))
places = st.one_of(st.sampled_from([-1e6, 1e6, 1e-45, 0.0]), st.floats(-1e6, 1e6, width=32))
sureness = st.one_of(st.just(0.0), st.floats(0, 1, width=32))
times = st.floats(-62_135_596_800, 253_402_300_799)
BODY_JOINTS = (skeleton.NOSE, skeleton.MID_HIP, skeleton.R_ANKLE, skeleton.L_ANKLE, skeleton.L_WRIST, 100, 30)


@st.composite
def bodies(draw: st.DrawFn) -> BodyStats:
    """Any legal stats."""
    far, near = sorted((draw(positions), draw(positions)))
    return BodyStats(near, far, draw(heights), draw(heights), draw(positions), draw(st.integers(0, 2**32 - 1)))


@st.composite
def poses(draw: st.DrawFn) -> Pose | None:
    """Any legal pose of a few joints, or no person."""
    if draw(st.integers(0, 9)) == 0:
        return None
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    for joint in BODY_JOINTS:
        joints_px[joint] = draw(places), draw(places)
        confidence[joint] = draw(sureness)
    return Pose(joints_px, confidence)


@st.composite
def streams(draw: st.DrawFn) -> tuple[NormalizerConfig, list[PoseFrame]]:
    """A legal config, and frames of one size with any rising numbers and any times."""
    rate_hz = draw(rates)
    config = NormalizerConfig(
        target_body=draw(bodies()),
        target_size=draw(sizes),
        source_body=draw(st.none() | bodies()),
        look_ahead_frames=draw(st.integers(0, 3)),
        frame_rate_hz=rate_hz,
    )
    last = MOST_NUMBERED_FRAMES - 1 if rate_hz else 2**64 - 1
    numbers = sorted(draw(st.sets(st.one_of(st.integers(0, 8), st.integers(last - 8, last)), min_size=1, max_size=8)))
    size = draw(sizes)
    return config, [PoseFrame(n, size, draw(poses()), draw(times)) for n in numbers]


def danced(config: NormalizerConfig, frames: list[PoseFrame]) -> list[Normalized]:
    """Return all answers."""
    normalizer = Normalizer(config)
    return [answer for frame in frames for answer in normalizer.push(frame)] + normalizer.finish()


@settings(max_examples=60, deadline=None)
@given(streams())
def test_answers_are_finite_and_within_bounds(stream: tuple[NormalizerConfig, list[PoseFrame]]) -> None:
    """This holds for all legal configs, stats, sizes, numbers, times and poses; each answer's state can be resumed."""
    config, frames = stream
    answers = danced(config, frames)
    assert [answer.sequence for answer in answers] == [frame.sequence for frame in frames]
    for answer in answers:
        assert np.isfinite([answer.certainty, answer.retargeting.depth_ratio if answer.retargeting else 0]).all()
        if answer.transform is not None:
            assert answer.transform.scale > 0
            assert np.isfinite([answer.transform.scale, answer.transform.foot_y, answer.transform.hip_x]).all()
        if answer.pose is not None:
            assert np.abs(answer.pose.joints_px).max() <= MAX_POSITION_PX
        Normalizer(
            NormalizerConfig(
                target_body=config.target_body,
                target_size=config.target_size,
                source_body=config.source_body,
                look_ahead_frames=config.look_ahead_frames,
                frame_rate_hz=config.frame_rate_hz,
                state=answer.state_after,
            )
        )


def standing(shift_px: float = 0) -> Pose:
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    for joint, y_px in ((skeleton.NOSE, 90), (skeleton.MID_HIP, 180), (skeleton.L_ANKLE, 270), (skeleton.R_ANKLE, 270)):
        joints_px[joint], confidence[joint] = (200 + shift_px, y_px), 0.75
    return Pose(joints_px, confidence)


BODY = BodyStats(near_ankle_y=0.9, far_ankle_y=0.6, near_height=0.6, far_height=0.3, hip_x=0.5, frames=50)
SIZE = FrameSize(400, 300)


def config(**changes: Any) -> NormalizerConfig:
    values = {"target_body": BODY, "target_size": SIZE, "frame_rate_hz": 25.0, "look_ahead_frames": 2}
    return NormalizerConfig(**{**values, **changes})


def test_a_joint_that_leads_beyond_the_bound_stops_there() -> None:
    """Twice as tall as its source, a wrist at 600,000 px would be at 1.2 million: it is placed at the bound."""
    joints_px, confidence = standing().joints_px.copy(), standing().confidence.copy()
    joints_px[skeleton.L_WRIST], confidence[skeleton.L_WRIST] = (600_000, 150), 0.5
    tall = BodyStats(near_ankle_y=0.9, far_ankle_y=0.9, near_height=1.2, far_height=1.2, hip_x=0.5, frames=50)
    (answer,) = danced(
        config(source_body=BODY, target_body=tall, look_ahead_frames=0),
        [PoseFrame(0, SIZE, Pose(joints_px, confidence))],
    )
    assert answer.pose is not None
    assert answer.pose.joints_px[skeleton.L_WRIST].tolist() == pytest.approx([1e6, 30], abs=0.01)
    assert answer.pose.joints_px[skeleton.L_ANKLE].tolist() == pytest.approx([200, 270], abs=0.01)


def _set(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def spoil(facts: dict[str, Any]) -> None:
        for name in path[:-1]:
            facts = facts[name]
        facts[path[-1]] = to

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        _set("time_s", to=1e300),
        _set("easing", "log_scale", to=1e4),
        _set("easing", "trust", to=1e9),
        _set("easing", "foot_y", to=1e300),
        _set("placing", "used", "scale", to=1e300),
        _set("placing", "anchor", "ankle_y", to=1e300),
        _set("running", "seen", to=2**40),
        _set("running", "seen", to=10**400),
        _set("past_s", to=[0.2, 0.2, 0.2]),
        _set("past_s", to=[0.0, 0.1, 9.0]),
        _set("time_s", to=0.0),
    ],
)
def test_a_state_that_no_stream_gives_is_refused_by_name(spoil: Callable[[dict[str, Any]], None]) -> None:
    """Any client can write a state's checksum: numbers that break arithmetic are refused before any frame."""
    answers = danced(config(), [PoseFrame(n, SIZE, standing(n)) for n in range(8)])
    state = answers[4].state_after
    header = struct.Struct("<18s8sII")
    format_, fingerprint, _, length = header.unpack_from(state)
    facts = json.loads(state[header.size : header.size + length])
    spoil(facts)
    text = json.dumps(facts).encode()
    forged = text + state[header.size + length :]
    forged = header.pack(format_, fingerprint, zlib.crc32(forged), len(text)) + forged
    with pytest.raises(BadInput, match=r"config\.state"):
        Normalizer(config(state=forged))


def test_a_state_of_a_later_time_makes_no_time_run_backwards() -> None:
    """With a rate, a frame's number determines its time; a time not later than the state's is refused by name."""
    answers = danced(config(), [PoseFrame(n, SIZE, None) for n in range(8)])
    state = answers[4].state_after
    header = struct.Struct("<18s8sII")
    format_, fingerprint, _, length = header.unpack_from(state)
    facts = json.loads(state[header.size : header.size + length])
    facts["time_s"] = 1e17
    text = json.dumps(facts).encode()
    forged = text + state[header.size + length :]
    normalizer = Normalizer(config(state=header.pack(format_, fingerprint, zlib.crc32(forged), len(text)) + forged))
    with pytest.raises(BadInput, match=r"pose_frame\.sequence: frame 5 is not later"):
        normalizer.push(PoseFrame(5, SIZE, standing()))
