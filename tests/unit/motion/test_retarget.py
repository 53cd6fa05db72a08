"""Pose normalisation follows its two formulas, and the added rules for dancing on the spot, jumps and limits."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from motion import skeleton
from motion.body import BodyMeasure, BodyStats, measure_body
from motion.frame import FrameSize
from motion.pose import Pose
from motion.retarget import EXTRAPOLATION_LIMIT, Retargeting, Transform, apply_transform, retarget

SQUARE = FrameSize(256, 256)
SOURCE = BodyStats(near_ankle_y=0.9, far_ankle_y=0.7, near_height=0.6, far_height=0.4, hip_x=0.5, frames=100)
TARGET = BodyStats(near_ankle_y=0.95, far_ankle_y=0.85, near_height=0.75, far_height=0.6, hip_x=0.4, frames=100)
SPOT = BodyStats(near_ankle_y=0.8, far_ankle_y=0.79, near_height=0.5, far_height=0.5, hip_x=0.5, frames=100)


def at(ankle_y: float, height: float = 0.3, hip_x: float = 0.5) -> BodyMeasure:
    """Return a crouching body (0.3 tall) whose lower ankle is at ankle_y."""
    return BodyMeasure(ankle_y, ankle_y, height, hip_x)


def move(measure: BodyMeasure, source: BodyStats = SOURCE, target: BodyStats = TARGET) -> Retargeting:
    """Retarget between two square frames."""
    return retarget(measure, source, target, SQUARE, SQUARE)


heights = st.floats(0.05, 1.5)
positions = st.floats(0, 1)


@st.composite
def bodies(draw: st.DrawFn) -> BodyStats:
    """Draw any valid stats, many of them on the spot."""
    far = draw(positions)
    near = far + draw(st.one_of(st.just(0.0), st.floats(0, 0.02), st.floats(0, 1)))
    return BodyStats(near, far, draw(heights), draw(heights), draw(positions), 10)


measures = st.builds(at, st.floats(-1, 2), st.floats(0.01, 2), st.floats(-1, 2))


@pytest.mark.parametrize(
    ("ankle_y", "ratio", "landing_y", "scale"),
    [
        # t_far / s_far = 0.6 / 0.4 = 1.5; t_close / s_close = 0.75 / 0.6 = 1.25
        (0.70, 0.00, 0.85, 1.5),
        (0.90, 1.00, 0.95, 1.25),
        (0.80, 0.50, 0.90, 1.375),
        (0.75, 0.25, 0.875, 1.4375),
        (0.94, 1.20, 0.97, 1.2),
        (0.66, -0.20, 0.83, 1.55),
    ],
)
def test_the_two_formulas_by_hand(ankle_y: float, ratio: float, landing_y: float, scale: float):
    """The foot lands at b + f_source and the scale is interpolated between far and near, as computed by hand."""
    answer = move(at(ankle_y))
    assert answer.depth_ratio == pytest.approx(ratio)
    assert answer.transform.foot_y == pytest.approx(landing_y)
    assert answer.transform.scale == pytest.approx(scale)
    assert answer.extrapolated == (not 0 <= ratio <= 1)
    assert (answer.limited, answer.on_the_spot, answer.airborne) == (False, False, False)


def test_the_foot_moves_by_b():
    """b = t_min + (a - s_min) / (s_max - s_min) * (t_max - t_min) - f_source = 0.85 + 0.5 * 0.1 - 0.8 = 0.1."""
    measure = at(0.8)
    assert move(measure).transform.foot_y - measure.foot_y == pytest.approx(0.1)


def test_sideways_is_scaled_from_the_median_hips():
    """0.1 to the right of the source's hips in a 2:1 frame is 0.2 heights, times 1.25 is 0.25 of a square frame."""
    answer = retarget(at(0.9, hip_x=0.6), SOURCE, TARGET, FrameSize(512, 256), SQUARE)
    assert answer.transform.hip_x == pytest.approx(0.4 + 0.25)


@pytest.mark.parametrize(("ankle_y", "held"), [(1.2, 1 + EXTRAPOLATION_LIMIT), (0.1, -EXTRAPOLATION_LIMIT)])
def test_the_ratio_is_clipped_and_reported(ankle_y: float, held: float):
    """At 2.5 and -3 times the known range, ratio and scale are those of the limit, and the result reports it."""
    answer = move(at(ankle_y))
    assert (answer.depth_ratio, answer.extrapolated, answer.limited) == (held, True, True)
    assert answer.transform.scale == pytest.approx(1.5 - 0.25 * held)


def test_a_negative_scale_is_clipped_and_reported():
    """With far scale 4 and near scale 1, ratio 1.5 extrapolates to -0.5; half of the smaller scale is used instead."""
    target = BodyStats(0.95, 0.85, 0.6, 1.6, 0.5, 10)
    answer = move(at(1.0), target=target)
    assert answer.transform.scale == 0.5
    assert answer.limited


def test_on_the_spot_the_ratio_is_1_and_reported():
    """If s_max is close to s_min, the scale is t_close / s_close = 0.75 / 0.5 and the foot at the near ankles."""
    answer = move(at(0.8), source=SPOT)
    assert answer.on_the_spot
    assert (answer.extrapolated, answer.limited) == (False, False)
    assert (answer.depth_ratio, answer.transform.scale) == (1, 1.5)
    assert answer.transform.foot_y == pytest.approx(0.95)


def test_on_the_spot_without_any_range_is_finite():
    """s_max equal to s_min does not divide by zero."""
    still = BodyStats(0.8, 0.8, 0.5, 0.5, 0.5, 1)
    answer = move(at(0.8), source=still)
    assert answer.on_the_spot
    assert all(math.isfinite(value) for value in astuple(answer.transform))


def test_on_the_spot_begins_at_3_percent_of_the_height():
    """For a body 0.5 tall, a range of 0.014 is on the spot and one of 0.016 is not."""
    assert BodyStats(0.814, 0.8, 0.5, 0.5, 0.5, 1).on_the_spot
    assert not BodyStats(0.816, 0.8, 0.5, 0.5, 0.5, 1).on_the_spot


def test_a_jump_on_the_spot_stays_a_jump():
    """Ankles 0.1 above the ground land 0.1 times the scale above the target's ground."""
    answer = move(at(0.7, height=0.5), source=SPOT)
    assert answer.transform.foot_y == pytest.approx(0.95 - 0.1 * 1.5)
    assert answer.transform.scale == 1.5


def test_a_jump_is_not_read_as_walking_away():
    """A near body, 0.6 tall and 0.1 above the ground, gets its ratio from its height rather than its ankles."""
    answer = move(at(0.8, height=0.6))
    ratio = (0.6 / 1.06 - 0.4) / 0.2
    ground_y, landing_y, scale = 0.7 + 0.2 * ratio, 0.85 + 0.1 * ratio, 1.5 - 0.25 * ratio
    assert answer.airborne
    assert answer.depth_ratio == pytest.approx(ratio)
    assert answer.transform.scale == pytest.approx(scale)
    assert answer.transform.foot_y == pytest.approx(landing_y - (ground_y - 0.8) * scale)


def test_a_squat_is_neither_a_jump_nor_a_small_body():
    """A body half as tall at the same ankles gets exactly the same transform."""
    assert move(at(0.8, height=0.25)) == move(at(0.8, height=0.5))


def test_taking_off_does_not_make_the_body_leap():
    """As a body rises from the ground in small steps, foot and scale also change in small steps."""
    lifts = np.linspace(0, 0.15, 151)
    answers = [move(at(0.85 - lift, height=0.55)) for lift in lifts]
    assert {answer.airborne for answer in answers} == {False, True}
    steps = np.diff([[a.transform.foot_y, a.transform.scale] for a in answers], axis=0)
    assert np.abs(steps).max() < 0.01


@given(body=bodies(), measure=measures)
def test_a_body_onto_itself_is_the_identity(body: BodyStats, measure: BodyMeasure):
    """Retargeting a body to itself moves nothing: near, far, in the air, beyond the limits or on the spot."""
    transform = move(measure, body, body).transform
    assert transform.scale == pytest.approx(1)
    assert transform.foot_y == pytest.approx(measure.foot_y, abs=1e-9)
    assert transform.hip_x == pytest.approx(measure.hip_x, abs=1e-9)


@given(body=bodies(), missing=hnp.arrays(bool, skeleton.JOINT_COUNT))
def test_a_pose_onto_its_own_body_is_the_same_pose(standing: Pose, body: BodyStats, missing: NDArray[np.bool_]):
    """A pose retargeted to its own body keeps every joint within a hundredth of a pixel."""
    pose = Pose(standing.joints_px, np.where(missing, 0, standing.confidence))
    measure = measure_body(pose, SQUARE)
    assume(measure is not None)
    assert measure is not None
    moved = apply_transform(pose, measure, SQUARE, SQUARE, move(measure, body, body).transform)
    np.testing.assert_allclose(moved.joints_px, pose.joints_px, atol=0.01)
    np.testing.assert_array_equal(moved.confidence, pose.confidence)


@given(measure=measures, source=bodies(), target=bodies())
def test_every_answer_is_finite(measure: BodyMeasure, source: BodyStats, target: BodyStats):
    """For any bodies, numbers are finite, the scale is positive, and the ratio is within its limits."""
    answer = move(measure, source, target)
    assert all(math.isfinite(value) for value in astuple(answer.transform))
    assert answer.transform.scale > 0
    assert -EXTRAPOLATION_LIMIT <= answer.depth_ratio <= 1 + EXTRAPOLATION_LIMIT
    assert answer.on_the_spot == source.on_the_spot
    assert answer.extrapolated or 0 <= answer.depth_ratio <= 1


extreme_stats = st.builds(
    lambda ankles, near, far, hip: BodyStats(max(ankles), min(ankles), near, far, hip, 1),
    st.tuples(st.floats(-10, 10), st.floats(-10, 10)),
    st.floats(1e-3, 10),
    st.floats(1e-3, 10),
    st.floats(-10, 10),
)
frame_sizes = st.builds(FrameSize, st.integers(1, 8192), st.integers(1, 8192))
coordinates = st.lists(st.floats(-1e6, 1e6, width=32), min_size=6, max_size=12)
extreme_joints = st.builds(
    # Hypothesis takes long to draw hundreds of numbers: it draws a few, and which of them each coordinate is.
    lambda few, seed: np.random.default_rng(seed).choice(np.array(few, np.float32), (skeleton.JOINT_COUNT, 2)),
    coordinates,
    st.integers(0, 2**32 - 1),
)


@given(
    joints_px=extreme_joints,
    source=extreme_stats,
    target=extreme_stats,
    source_size=frame_sizes,
    target_size=frame_sizes,
)
def test_extreme_bodies_stay_finite(
    joints_px: NDArray[np.float32],
    source: BodyStats,
    target: BodyStats,
    source_size: FrameSize,
    target_size: FrameSize,
):
    """Any valid stats and joints within a million pixels yield a finite pose."""
    pose = Pose(joints_px, np.ones(skeleton.JOINT_COUNT, np.float32))
    measure = measure_body(pose, source_size)
    assume(measure is not None)
    assert measure is not None
    answer = retarget(measure, source, target, source_size, target_size)
    assert all(math.isfinite(value) for value in (*astuple(answer.transform), answer.depth_ratio))
    assert answer.transform.scale > 0
    moved = apply_transform(pose, measure, source_size, target_size, answer.transform)
    assert np.isfinite(moved.joints_px).all()


@given(missing=hnp.arrays(bool, skeleton.JOINT_COUNT))
def test_missing_joints_stay_missing(standing: Pose, missing: NDArray[np.bool_]):
    """A transform adds neither joints nor NaN."""
    pose = Pose(standing.joints_px, np.where(missing, 0, standing.confidence))
    moved = apply_transform(pose, at(0.8), SQUARE, FrameSize(640, 360), Transform(1.3, 0.9, 0.4))
    np.testing.assert_array_equal(moved.seen, ~missing)
    assert np.isfinite(moved.joints_px).all()
    assert not moved.joints_px[missing].any()


def test_foot_and_hips_land_where_the_transform_says(standing: Pose):
    """The lower ankle lands at foot_y of the target's height, the hips at hip_x of its width."""
    size = FrameSize(640, 360)
    measure = measure_body(standing, SQUARE)
    assert measure is not None
    moved = apply_transform(standing, measure, SQUARE, size, Transform(1.5, 0.9, 0.25))
    assert moved.joints_px[skeleton.L_ANKLE, 1] == pytest.approx(0.9 * 360)
    assert moved.joints_px[skeleton.MID_HIP, 0] == pytest.approx(0.25 * 640)


def test_frames_of_another_shape_keep_the_body_shape(standing: Pose):
    """One frame height is one unit in both directions, so shoulder width keeps its ratio to the torso."""
    moved = apply_transform(standing, at(0.8), SQUARE, FrameSize(1280, 720), Transform(1.2, 0.9, 0.4))

    def shape(pose: Pose) -> float:
        width = np.linalg.norm(pose.joints_px[skeleton.R_SHOULDER] - pose.joints_px[skeleton.L_SHOULDER])
        return float(width / np.linalg.norm(pose.joints_px[skeleton.NECK] - pose.joints_px[skeleton.MID_HIP]))

    assert shape(moved) == pytest.approx(shape(standing), rel=1e-4)
    torso_px = np.linalg.norm(moved.joints_px[skeleton.NECK] - moved.joints_px[skeleton.MID_HIP])
    assert torso_px == pytest.approx(60 / 256 * 1.2 * 720, rel=1e-4)
