"""The normaliser moves poses into the actor's place, without jumps, gaps or silent failures."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion import skeleton
from motion.body import fit_body, measure_body
from motion.frame import FrameSize
from motion.pose import Pose
from services.normalize.normalizer import Normalizer, PoseFrame
from services.normalize.rules import NormalizeRules
from serving.errors import BadInput
from tests.unit.services.normalize.dancing import (
    FEET,
    SIZE,
    SOURCE,
    TARGET,
    TARGET_SIZE,
    config,
    danced,
    dancer,
    placed,
    walk,
)


@pytest.mark.parametrize("depth", [0.0, 0.25, 1.0])
def test_a_body_stands_where_the_actor_would(depth):
    """Near maps to near, far to far, and in between linearly; the size follows; hips keep their distance."""
    (answer,) = danced([dancer(depth, hip_x=0.6)])
    assert answer.pose is not None
    assert answer.transform is not None
    foot_y = 0.75 + depth * 0.2
    scale = 0.4 / 0.3 + depth * (0.5 / 0.6 - 0.4 / 0.3)
    assert placed(answer).depth_ratio == pytest.approx(depth, abs=1e-5)
    assert answer.transform.scale == pytest.approx(scale, rel=1e-4)
    assert answer.pose.joints_px[skeleton.L_ANKLE, 1] == pytest.approx(foot_y * 480, abs=0.1)
    hip_x_px = 0.3 * 640 + (0.6 - 0.5) * 400 / 300 * scale * 480
    assert answer.pose.joints_px[skeleton.MID_HIP, 0] == pytest.approx(hip_x_px, abs=0.1)
    assert (answer.calibrating, answer.certainty, answer.source_body) == (False, 1.0, SOURCE)
    assert not any((placed(answer).extrapolated, placed(answer).limited, answer.transform_kept, answer.held_joints))


@pytest.mark.parametrize("look_ahead", [0, 2])
def test_a_body_laid_onto_itself_stays_itself(look_ahead):
    """With the same stats and the same frame, nothing moves."""
    poses = [dancer(0.5)] * 6
    answers = danced(poses, target_body=SOURCE, target_size=SIZE, look_ahead_frames=look_ahead, frame_rate_hz=60.0)
    for answer, pose in zip(answers, poses, strict=True):
        assert answer.pose is not None
        np.testing.assert_allclose(answer.pose.joints_px, pose.joints_px, atol=1e-3)
        np.testing.assert_allclose(answer.pose.confidence, pose.confidence, rtol=1e-6)


def test_an_extrapolation_is_said_and_so_is_its_limit():
    """Nearer than the stats allow is extrapolated; much nearer is limited as well."""
    inside, beyond, far_beyond = danced([dancer(d) for d in (0.5, 1.2, 3.0)], frame_rate_hz=0.5)
    assert (placed(inside).extrapolated, placed(inside).limited) == (False, False)
    assert (placed(beyond).extrapolated, placed(beyond).limited) == (True, False)
    assert (placed(far_beyond).extrapolated, placed(far_beyond).limited) == (True, True)


def test_no_person_is_answered_without_a_pose():
    """Before the first person, a frame without a person is answered with neither pose nor held joints."""
    (answer,) = danced([None])
    assert answer.pose is None
    assert answer.held_joints == 0


@pytest.mark.parametrize("look_ahead", [0, 3])
def test_vanished_joints_are_held_for_a_moment(look_ahead):
    """At 25 fps a joint that vanishes is held for three frames (0.15 s) at its last place, counted, then unseen."""
    poses = [dancer()] * 4 + [dancer(without=[skeleton.R_WRIST])] * 6
    answers = danced(poses, look_ahead_frames=look_ahead)
    assert [answer.held_joints for answer in answers] == [0] * 4 + [1] * 3 + [0] * 3
    places = [answer.pose.joint(skeleton.R_WRIST) for answer in answers if answer.pose is not None]
    for held in places[4:7]:
        assert held is not None
        assert places[3] is not None
        np.testing.assert_allclose(held, places[3], atol=1e-3)
    assert places[7] is None


def test_a_person_who_vanishes_is_held_for_a_moment():
    """The whole pose is held like single joints; then the answers have no pose."""
    answers = danced([dancer()] * 2 + [None] * 5)
    assert [answer.pose is not None for answer in answers] == [True] * 5 + [False] * 2
    assert answers[2].held_joints == 40
    assert all(answer.transform_kept for answer in answers[2:])


def test_frames_without_feet_keep_the_last_transform():
    """Without ankles the figure keeps its transform, and the answer says so."""
    before, without = danced([dancer(0.4), dancer(0.9, without=FEET)], rules=NormalizeRules(hold_seconds=0.001))
    assert not before.transform_kept
    assert without.transform_kept
    assert without.transform == before.transform
    assert without.retargeting == before.retargeting


def test_given_stats_place_even_a_body_without_feet():
    """Before any feet were seen, given stats determine the near position of the body."""
    (answer,) = danced([dancer(1.0, without=FEET)])
    assert answer.transform_kept
    assert answer.pose is not None
    assert answer.pose.joints_px[skeleton.MID_HIP, 0] == pytest.approx(0.3 * 640, abs=0.1)


def test_a_running_calibration_waits_for_feet():
    """While the body is unknown it has no place; the answer has neither pose nor transform."""
    hidden, seen = danced([dancer(without=FEET), dancer()], source_body=None)
    assert (hidden.pose, hidden.transform, hidden.source_body, hidden.certainty) == (None, None, None, 0.0)
    assert seen.pose is not None


def test_a_running_calibration_begins_on_the_spot():
    """The first frame stands at the actor's near position with the actor's near height, at the median hips."""
    (answer,) = danced([dancer(0.3, hip_x=0.8)], source_body=None)
    assert answer.calibrating
    assert placed(answer).on_the_spot
    assert answer.certainty < 0.1
    assert answer.pose is not None
    assert answer.transform is not None
    assert answer.transform.foot_y == pytest.approx(TARGET.near_ankle_y, abs=1e-4)
    assert answer.transform.hip_x == pytest.approx(TARGET.hip_x, abs=1e-4)
    measure = measure_body(answer.pose, TARGET_SIZE)
    assert measure is not None
    assert measure.height == pytest.approx(TARGET.near_height, rel=1e-3)


def test_a_running_calibration_becomes_sure_and_agrees_with_two_passes():
    """After twenty seconds of walking back and forth, the running stats match a fit over the clip."""
    poses = walk(500)
    answers = danced(poses, source_body=None)
    fitted = fit_body([measure for pose in poses if (measure := measure_body(pose, SIZE)) is not None])
    assert answers[-1].certainty > 0.8
    assert answers[-1].source_body is not None
    for name in ("near_ankle_y", "far_ankle_y", "near_height", "far_height", "hip_x"):
        assert getattr(answers[-1].source_body, name) == pytest.approx(getattr(fitted, name), abs=0.02)
    assert answers[0].certainty < answers[100].certainty + 1e-9


def test_the_figure_does_not_jump_while_the_calibration_learns():
    """Between frames the foot moves no further than the walk itself moves it, even while depth is discovered."""
    answers = danced(walk(300), source_body=None)
    assert placed(answers[10]).on_the_spot
    assert not placed(answers[200]).on_the_spot
    foot_y = np.array([answer.transform.foot_y for answer in answers if answer.transform is not None])
    scale = np.array([answer.transform.scale for answer in answers if answer.transform is not None])
    assert np.abs(np.diff(foot_y)).max() < 0.03
    assert np.abs(np.diff(scale) / scale[1:]).max() < 0.08


def test_easing_ends_where_the_calibration_wants_it():
    """Some seconds after the last change, the transform is the formula's own."""
    poses = [dancer(0.0)] * 30 + [dancer(1.0)] * 30 + [dancer(0.0)] * 400
    last = danced(poses, source_body=None)[-1]
    assert last.transform is not None
    assert last.transform.foot_y == pytest.approx(TARGET.far_ankle_y, abs=0.01)


@pytest.mark.parametrize("look_ahead", [0, 1, 4])
def test_every_frame_is_answered_once_after_its_look_ahead(look_ahead):
    """The answer to frame t comes with frame t + look_ahead, or at the end."""
    normalizer = Normalizer(config(look_ahead_frames=look_ahead))
    counts = [len(normalizer.push(PoseFrame(i * 2, SIZE, dancer()))) for i in range(6)]
    assert counts == [0] * look_ahead + [1] * (6 - look_ahead)
    assert [a.sequence for a in normalizer.finish()] == [2 * i for i in range(6 - look_ahead, 6)]
    assert normalizer.finish() == []


def test_look_ahead_removes_a_wild_frame():
    """At 60 fps the centred median removes a joint's single jump, and adds no delay."""
    poses = [dancer(0.5, hip_x=0.3 + 0.002 * i) for i in range(12)]
    wild = poses[6].joints_px.copy()
    wild[skeleton.R_WRIST] += (90, -80)
    jumped = [*poses[:6], Pose(wild, poses[6].confidence), *poses[7:]]
    calm = danced(poses, look_ahead_frames=3, frame_rate_hz=60.0)
    answers = danced(jumped, look_ahead_frames=3, frame_rate_hz=60.0)
    for answer, expected in zip(answers, calm, strict=True):
        assert answer.pose is not None
        assert expected.pose is not None
        np.testing.assert_allclose(answer.pose.joints_px, expected.pose.joints_px, atol=4)


@pytest.mark.parametrize(("rate_hz", "look_ahead"), [(25.0, 1), (30.0, 2), (60.0, 3)])
@pytest.mark.parametrize("there", ["x...x...x", "x.x.x.x.x", "..x..", "..xx..", "x...xx.x."])
def test_a_person_between_gaps_is_danced(rate_hz, look_ahead, there):
    """A person in a single frame between frames without one is kept, at their own position."""
    poses = [dancer(0.5, hip_x=0.3 + 0.04 * t) if sign == "x" else None for t, sign in enumerate(there)]
    answers = danced(poses, look_ahead_frames=look_ahead, frame_rate_hz=rate_hz)
    for pose, answer in zip(poses, answers, strict=True):
        if pose is None:
            continue
        (alone,) = danced([pose])
        assert answer.pose is not None
        assert alone.pose is not None
        assert answer.held_joints == 0
        np.testing.assert_allclose(answer.pose.joints_px[:40], alone.pose.joints_px[:40], atol=0.01)


@pytest.mark.parametrize("rate_hz", [5.0, 0.0])
def test_five_frames_a_second_are_smoothed_without_a_median(rate_hz):
    """At 5 fps, configured or measured, the median would erase the motion: the result is as without look-ahead.

    The last frame has neighbours on one side only, so its times do not show the frame rate.
    """
    poses = [dancer(0.5, hip_x=0.3 + 0.1 * (i % 2), seed=i) for i in range(6)]
    normalizer = Normalizer(config(look_ahead_frames=3, frame_rate_hz=rate_hz))
    answers = [a for i, pose in enumerate(poses) for a in normalizer.push(PoseFrame(i, SIZE, pose, i / 5))]
    answers += normalizer.finish()
    live = danced(poses, frame_rate_hz=5.0)
    for answer, expected in list(zip(answers, live, strict=True))[:-1]:
        assert answer.pose is not None
        assert expected.pose is not None
        np.testing.assert_allclose(answer.pose.joints_px, expected.pose.joints_px, atol=0.01)


@pytest.mark.parametrize("rate_hz", [24.0, 25.0])
def test_film_is_smoothed_by_a_median_of_three(rate_hz):
    """At 24 and 25 fps a joint's single jump is removed."""
    poses = [dancer(0.5)] * 7
    wild = poses[3].joints_px.copy()
    wild[skeleton.R_WRIST] += (90, -80)
    jumped = [*poses[:3], Pose(wild, poses[3].confidence), *poses[4:]]
    for answer in danced(jumped, look_ahead_frames=2, frame_rate_hz=rate_hz, target_body=SOURCE, target_size=SIZE):
        assert answer.pose is not None
        np.testing.assert_allclose(answer.pose.joints_px, poses[0].joints_px, atol=1e-3)


def test_a_jump_is_said():
    """Ankles above any possible standing height are airborne, in that frame only."""
    standing = dancer(1.0)
    lifted = Pose(standing.joints_px - np.array([0, 30], np.float32), standing.confidence)
    answers = danced([standing, lifted, standing], frame_rate_hz=1.0)
    assert [placed(answer).airborne for answer in answers] == [False, True, False]


def test_time_stamps_serve_where_the_rate_is_unknown():
    """captured_at gives the same answers as the equivalent frame rate; without both the frame is refused."""
    poses = [dancer(0.5, seed=i) for i in range(8)]
    for look_ahead in (0, 3):
        by_rate = danced(poses, look_ahead_frames=look_ahead, frame_rate_hz=50.0)
        normalizer = Normalizer(config(frame_rate_hz=0.0, look_ahead_frames=look_ahead))
        by_stamp = [a for i, p in enumerate(poses) for a in normalizer.push(PoseFrame(i, SIZE, p, 1e9 + i / 50))]
        by_stamp += normalizer.finish()
        for one, other in zip(by_rate, by_stamp, strict=True):
            assert one.pose is not None
            assert other.pose is not None
            np.testing.assert_allclose(one.pose.joints_px, other.pose.joints_px, atol=1e-2)
    with pytest.raises(BadInput, match="captured_at"):
        Normalizer(config(frame_rate_hz=0.0)).push(PoseFrame(0, SIZE, None))


def test_half_a_second_without_a_person_restarts_the_filter():
    """A dancer who returns after half a second is shown at the new position, not on the way from the old one."""
    away = danced([dancer(0.5, 0.2)] * 5 + [None] * 14 + [dancer(0.5, 0.7)])[-1]
    fresh = danced([dancer(0.5, 0.7)])[0]
    assert away.pose is not None
    assert fresh.pose is not None
    np.testing.assert_allclose(away.pose.joints_px, fresh.pose.joints_px, atol=1e-3)


def test_another_frame_size_restarts_the_filter():
    """A change of the frame's size within a stream mixes no pixels of both."""
    normalizer = Normalizer(config())
    normalizer.push(PoseFrame(0, SIZE, dancer(0.5)))
    large = FrameSize(800, 600)
    (answer,) = normalizer.push(PoseFrame(1, large, dancer(0.5, size=large)))
    assert answer.pose is not None
    (fresh,) = danced([dancer(0.5)])
    assert fresh.pose is not None
    np.testing.assert_allclose(answer.pose.joints_px, fresh.pose.joints_px, atol=1e-2)


def test_frames_must_rise():
    """A sequence that does not rise is refused."""
    normalizer = Normalizer(config())
    normalizer.push(PoseFrame(4, SIZE, None))
    with pytest.raises(BadInput, match=r"pose_frame\.sequence"):
        normalizer.push(PoseFrame(4, SIZE, None))


@settings(max_examples=60, deadline=None)
@given(
    missing=st.lists(st.sets(st.integers(0, skeleton.JOINT_COUNT - 1)), min_size=1, max_size=4),
    is_given=st.booleans(),
    look_ahead=st.sampled_from([0, 2]),
)
def test_no_missing_joint_ever_gives_a_nan(missing, is_given, look_ahead):
    """Whichever joints are missing, every answer is finite."""
    poses: list[Pose | None] = [dancer(0.3 * i, without=joints) for i, joints in enumerate(missing)]
    for answer in danced(poses, source_body=SOURCE if is_given else None, look_ahead_frames=look_ahead):
        assert np.isfinite([answer.certainty, answer.retargeting.depth_ratio if answer.retargeting else 0]).all()
        if answer.transform is not None:
            assert np.isfinite(dataclasses.astuple(answer.transform)).all()
        if answer.pose is not None:
            assert np.isfinite(answer.pose.joints_px).all()


@pytest.mark.parametrize(
    "nonsense", [{"look_ahead_frames": -1}, {"frame_rate_hz": -1.0}, {"frame_rate_hz": float("nan")}]
)
def test_nonsense_configs_are_refused_by_field(nonsense):
    """The message names the field."""
    with pytest.raises(BadInput, match=f"config.{next(iter(nonsense))}"):
        config(**nonsense)


def test_a_frame_takes_well_below_a_millisecond():
    """CPU time per frame with running calibration, including the state; ten times the measured cost is allowed."""
    poses = walk(100)
    started = time.process_time()
    danced(poses, source_body=None)
    assert (time.process_time() - started) / len(poses) < 0.005
