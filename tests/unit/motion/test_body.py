"""Body stats find near, far and heights despite squats, jumps and bad frames."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from motion import skeleton
from motion.body import BodyMeasure, BodyStats, RunningBody, fit_body, measure_body
from motion.frame import FrameSize
from motion.pose import Pose

SIZE = FrameSize(256, 256)
HORIZON_Y = 0.3
measures = st.builds(
    lambda ankle_y, height, hip_x: BodyMeasure(ankle_y, ankle_y, height, hip_x),
    st.floats(-0.5, 1.5),
    st.floats(0.01, 1.5),
    st.floats(-0.5, 1.5),
)


def stands(ankle_y: float, *, share: float = 1.0, hip_x: float = 0.5) -> BodyMeasure:
    """Return a body on flat ground, seen by a camera with its horizon at 0.3. share: 1 if upright, less in a squat."""
    return BodyMeasure(ankle_y, ankle_y, (ankle_y - HORIZON_Y) * share, hip_x)


def walks(frames: int) -> list[BodyMeasure]:
    """Walk away from the camera and back, from 0.9 to 0.6 of the frame."""
    return [stands(0.75 + 0.15 * math.cos(2 * math.pi * i / frames)) for i in range(frames)]


def without(pose: Pose, *joints: int) -> Pose:
    """Return the pose with these joints unseen."""
    confidence = pose.confidence.copy()
    confidence[list(joints)] = 0
    return Pose(pose.joints_px, confidence)


def test_a_measure_matches_numbers_computed_by_hand(standing: Pose):
    """Nose (128, 42), ankles (108, 214) and (152, 216) and hips (128, 126) in 256 x 256 pixels give known numbers."""
    measure = measure_body(standing, SIZE)
    assert measure is not None
    assert measure.ankle_y == measure.foot_y == 216 / 256
    assert measure.height == pytest.approx(math.hypot(2, 173) / 256)
    assert measure.hip_x == 0.5


def test_ears_replace_a_missing_nose(standing: Pose):
    """With ears at (115, 40) and (141, 40), the height is measured from (128, 40)."""
    measure = measure_body(without(standing, skeleton.NOSE), SIZE)
    assert measure is not None
    assert measure.height == pytest.approx(math.hypot(2, 175) / 256)


def test_hips_replace_a_missing_mid_hip(standing: Pose):
    """Without MidHip, the hips' midpoint is used: (116 + 140) / 2."""
    measure = measure_body(without(standing, skeleton.MID_HIP), SIZE)
    assert measure is not None
    assert measure.hip_x == 0.5


@pytest.mark.parametrize(
    "joints",
    [
        (skeleton.L_ANKLE,),
        (skeleton.R_ANKLE,),
        (skeleton.NOSE, skeleton.L_EAR),
        (skeleton.NOSE, skeleton.R_EAR),
        (skeleton.MID_HIP, skeleton.L_HIP),
    ],
)
def test_without_head_hips_or_an_ankle_there_is_no_measure(standing: Pose, joints: tuple[int, ...]):
    """A body without head, hips or either ankle has no measure; a single ankle may be the raised one."""
    assert measure_body(without(standing, *joints), SIZE) is None


@given(missing=hnp.arrays(bool, skeleton.JOINT_COUNT))
def test_a_measure_is_finite_or_none(standing: Pose, missing: NDArray[np.bool_]):
    """Whichever joints are missing, a measure has finite numbers or is None."""
    measure = measure_body(without(standing, *np.flatnonzero(missing)), SIZE)
    assert measure is None or math.isfinite(measure.ankle_y + measure.foot_y + measure.height + measure.hip_x)


def test_a_body_collapsed_onto_a_point_has_no_measure():
    """A body without height cannot be measured."""
    pose = Pose(np.full((skeleton.JOINT_COUNT, 2), 7, np.float32), np.ones(skeleton.JOINT_COUNT, np.float32))
    assert measure_body(pose, SIZE) is None


def test_a_walk_gives_its_two_ends():
    """A walk yields near, far and the heights there within 2 % of the frame."""
    stats = fit_body(walks(200))
    assert stats.near_ankle_y == pytest.approx(0.9, abs=0.005)
    assert stats.far_ankle_y == pytest.approx(0.6, abs=0.005)
    assert stats.near_height == pytest.approx(0.6, abs=0.005)
    assert stats.far_height == pytest.approx(0.3, abs=0.02)
    assert stats.frames == 200
    assert not stats.on_the_spot


def test_a_squat_is_not_a_small_body():
    """Even with nine tenths of the frames in a squat, the height is the standing height."""
    squats = [stands(0.8 + 0.002 * (i % 3), share=1.0 if i % 10 == 0 else 0.6) for i in range(100)]
    stats = fit_body(squats)
    assert stats.on_the_spot
    assert stats.near_height == stats.far_height == pytest.approx(0.5, abs=0.01)


def test_squats_at_both_ends_of_a_walk_do_not_count():
    """The heights near and far are standing heights."""
    walk = [m if i % 2 else replace(m, height=m.height * 0.6) for i, m in enumerate(walks(200))]
    stats = fit_body(walk)
    assert stats.near_height == pytest.approx(0.6, abs=0.01)
    assert stats.far_height == pytest.approx(0.3, abs=0.02)


def test_jumps_are_not_walking_away():
    """Ankles that rise by a quarter of the body while its height stays the same do not change the stats."""
    jumps = []
    for i in range(120):
        lift = max(0.0, math.sin(2 * math.pi * i / 40)) ** 2 * 0.12 if i % 40 < 14 else 0.0
        jumps.append(BodyMeasure(0.8 - lift, 0.8 - lift, 0.5, 0.5))
    stats = fit_body(jumps)
    assert stats.on_the_spot
    assert stats.near_ankle_y == pytest.approx(0.8, abs=0.001)
    assert stats.near_height == pytest.approx(0.5)


def test_a_step_forward_is_not_a_jump():
    """A body that comes nearer for good, leaning so that its height stays the same, has a near and a far position."""
    steps = [stands(0.7)] * 60 + [BodyMeasure(0.8, 0.8, 0.4, 0.5)] * 60
    stats = fit_body(steps)
    assert (stats.far_ankle_y, stats.near_ankle_y) == (0.7, 0.8)
    assert (stats.far_height, stats.near_height) == pytest.approx((0.4, 0.4))


def test_single_bad_frames_do_not_count():
    """Two frames of two hundred with random ankles and heights change the stats by less than 0.5 % of the frame."""
    bad = walks(200)
    bad[50] = BodyMeasure(1.4, 1.4, 1.4, 0.9)
    bad[120] = BodyMeasure(0.1, 0.1, 0.05, 0.1)
    good, fitted = fit_body(walks(200)), fit_body(bad)
    assert fitted.near_ankle_y == pytest.approx(good.near_ankle_y, abs=0.005)
    assert fitted.far_ankle_y == pytest.approx(good.far_ankle_y, abs=0.005)
    assert fitted.near_height == pytest.approx(good.near_height, abs=0.005)
    assert fitted.far_height == pytest.approx(good.far_height, abs=0.005)


def test_hip_x_is_the_median():
    """`hip_x` is where the body is most of the time, not the mean."""
    assert fit_body([stands(0.8, hip_x=x) for x in (0.4, 0.4, 0.4, 0.9, 0.9)]).hip_x == 0.4


def test_one_frame_is_enough_and_none_is_not():
    """A single measure is a body on the spot; no measure raises ValueError."""
    stats = fit_body([stands(0.8)])
    assert stats.on_the_spot
    assert stats.frames == 1
    with pytest.raises(ValueError, match="at least one"):
        fit_body([])


@given(st.lists(measures, min_size=1, max_size=40))
def test_any_measures_give_sound_stats(given_measures: list[BodyMeasure]):
    """For any measures the stats are valid, heights are within those seen, and the fit is deterministic."""
    stats = fit_body(given_measures)
    heights = [measure.height for measure in given_measures]
    assert min(heights) <= min(stats.near_height, stats.far_height)
    assert max(stats.near_height, stats.far_height) <= max(heights)
    assert stats == fit_body(given_measures)


@given(st.lists(measures, min_size=1, max_size=60))
def test_running_stats_are_the_fitted_stats(given_measures: list[BodyMeasure]):
    """While all measures fit into the table, running and two-pass stats are equal up to rounding."""
    running = RunningBody()
    for measure in given_measures:
        running.update(measure)
    rounded = [
        BodyMeasure(*(round(v * 16384) / 16384 for v in (m.ankle_y, m.foot_y, m.height, m.hip_x)))
        for m in given_measures
    ]
    assert running.stats() == fit_body(rounded)


def test_running_stats_converge():
    """After 2,000 frames, at most 256 of them kept, the stats match the whole clip's within 1 % of the frame."""
    clip = [
        stands(m.ankle_y + 0.003 * math.sin(7 * i), share=1 - 0.3 * (i % 7 == 0)) for i, m in enumerate(walks(2000))
    ]
    running = RunningBody()
    for measure in clip:
        running.update(measure)
    now, fitted = running.stats(), fit_body(clip)
    assert now is not None
    assert now.frames == 2000
    assert np.allclose(list(now.to_dict().values()), list(fitted.to_dict().values()), atol=0.01)


def test_certainty_rises_with_repetition_and_falls_with_change():
    """Certainty is 0 at first, 1 after 100 equal measures, and lower after a step towards the camera."""
    running = RunningBody()
    assert running.stats() is None
    assert running.certainty == 0
    seen = []
    for _ in range(100):
        running.update(stands(0.7))
        seen.append(running.certainty)
    assert seen == sorted(seen)
    assert seen[-1] == 1
    for _ in range(10):
        running.update(stands(0.95))
    assert running.certainty < 0.5


@pytest.mark.parametrize("frames", [0, 1, 7, 255, 256, 700])
def test_a_running_body_continues_from_its_state(frames: int):
    """A body restored from JSON behaves exactly like one that was never interrupted."""
    clip = walks(frames + 40)
    running = RunningBody()
    for measure in clip[:frames]:
        running.update(measure)
    state = json.dumps(running.to_state())
    assert len(state) < 3000
    restored = RunningBody.from_state(json.loads(state))
    for measure in clip[frames:]:
        assert restored.stats() == running.stats()
        assert restored.certainty == running.certainty
        running.update(measure)
        restored.update(measure)
    assert restored.to_state() == running.to_state()


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"seen": -1},
        {"seen": 10**9},
        {"seen": True},
        {"stride": 0},
        {"stride": 3},
        {"table": "???"},
        {"table": "AAAA"},
        {"table": 5},
        {"latest": {"near_ankle_y": 1}},
        {"latest": 7},
        {"earlier": {**BodyStats(0.9, 0.8, 0.5, 0.4, 0.5, 3).to_dict(), "near_height": -1}},
    ],
)
def test_an_invalid_state_is_rejected(broken: dict[str, Any]):
    """A state that `to_state` did not write raises ValueError at once: states travel through clients."""
    running = RunningBody()
    for measure in walks(5):
        running.update(measure)
    state = {**running.to_state(), **broken} if broken else {}
    with pytest.raises(ValueError, match="not the state"):
        RunningBody.from_state(state)


def test_body_stats_survive_json():
    """`from_dict` restores the stats from the JSON of `to_dict`."""
    stats = fit_body(walks(50))
    assert BodyStats.from_dict(json.loads(json.dumps(stats.to_dict()))) == stats


@pytest.mark.parametrize(
    "change",
    [
        {"near_height": 0},
        {"near_height": 9e-4},
        {"near_height": 10.1},
        {"near_ankle_y": 10.1},
        {"far_ankle_y": -10.1},
        {"hip_x": -11},
        {"far_height": -0.1},
        {"near_ankle_y": 0.1},
        {"hip_x": math.nan},
        {"frames": -1},
        {"frames": 1.5},
        {"hip_x": "middle"},
        {"hip_x": True},
        {"unknown": 1},
    ],
)
def test_impossible_stats_are_rejected(change: dict[str, Any]):
    """Zero heights, near above far, NaN and unknown names raise ValueError, instead of dividing by zero later."""
    stats = BodyStats(0.9, 0.6, 0.6, 0.3, 0.5, 10).to_dict()
    with pytest.raises(ValueError, match=r"body stats|heights|ankles|frames|place"):
        BodyStats.from_dict({**stats, **change})


@pytest.mark.parametrize("values", [(math.nan, 0.5, 0.5, 0.5), (0.5, 0.5, 0, 0.5), (0.5, 0.5, -1, 0.5)])
def test_impossible_measures_are_rejected(values: tuple[float, float, float, float]):
    """Numbers that are not finite and heights that are not positive raise ValueError."""
    with pytest.raises(ValueError, match="body's"):
        BodyMeasure(*values)
