"""Properties of every body's skeleton in every pose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samples.cast import ACTOR, SOURCE, Performer
from samples.renderer.geometry import vector
from samples.renderer.proportions import bend, joints_m, pose_skeleton

TAKES = {"source": (SOURCE, SOURCE.dance), "actor": (ACTOR, ACTOR.dance), "truth": (ACTOR, SOURCE.dance)}
takes = pytest.mark.parametrize(("performer", "dance"), TAKES.values(), ids=TAKES)
performers = pytest.mark.parametrize("performer", [SOURCE, ACTOR], ids=["source", "actor"])


def _moments(seconds: float, count: int) -> list[float]:
    return [seconds * k / count for k in range(count)]


@given(
    st.floats(-0.6, 0.6), st.floats(-0.9, -0.05), st.floats(-0.6, 0.6), st.floats(0.3, 0.5), st.floats(0.3, 0.5)
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_leg_reaches_what_is_in_reach(x: float, y: float, z: float, thigh_m: float, shin_m: float) -> None:
    """The ankle reaches its target if the leg is long enough, and both bones always keep their lengths."""
    target = vector(x, y, z)
    away_m = float(np.linalg.norm(target))
    knee, ankle = bend(vector(0, 0, 0), target, thigh_m, shin_m, vector(0, 0.1, 1))
    assert np.linalg.norm(knee) == pytest.approx(thigh_m)
    assert np.linalg.norm(ankle - knee) == pytest.approx(shin_m)
    if abs(thigh_m - shin_m) * 1.01 < away_m < (thigh_m + shin_m) * 0.999:
        np.testing.assert_allclose(ankle, target, atol=1e-9)


@takes
def test_limbs_keep_their_lengths(performer: Performer, dance) -> None:
    """No bone stretches during the dance."""
    body = performer.body
    lengths = {(2, 3): body.upper_arm_m, (3, 4): body.forearm_m, (5, 6): body.upper_arm_m, (6, 7): body.forearm_m,
               (9, 10): body.thigh_m, (10, 11): body.shin_m, (12, 13): body.thigh_m, (13, 14): body.shin_m,
               (9, 12): 2 * body.hip_half_m}  # fmt: skip
    for seconds in _moments(dance.seconds, 60):
        joints = joints_m(body, pose_skeleton(body, dance.pose_at(seconds)))
        for (a, b), length in lengths.items():
            assert np.linalg.norm(joints[a] - joints[b]) == pytest.approx(length)


@takes
def test_feet_are_on_the_floor(performer: Performer, dance) -> None:
    """Every foot is where its pose puts it: on the floor unless it is lifted, and never below it."""
    body = performer.body
    for seconds in _moments(dance.seconds, 90):
        pose = dance.pose_at(seconds)
        skeleton = pose_skeleton(body, pose)
        for name, foot in (("left", pose.left_foot), ("right", pose.right_foot)):
            ankle = skeleton.legs[name].ankle_m
            assert ankle[1] == pytest.approx(body.ankle_height_m + foot.lift * body.leg_m, abs=1e-3)
        assert joints_m(body, skeleton)[[19, 20, 21, 22, 23, 24], 1].min() > 0


@takes
def test_no_person_leaves_the_picture(performer: Performer, dance) -> None:
    """Every joint of every frame is at least 8 % of the picture from its edge; fingers reach 4 % beyond the wrist."""
    size = 512
    view, body = performer.room.camera(size, size), performer.body
    count = int(dance.seconds * 15)
    joints = np.stack([joints_m(body, pose_skeleton(body, dance.pose_at(t))) for t in _moments(dance.seconds, count)])
    places = view.project_px(joints.reshape(-1, 3)).reshape(count, 25, 2)
    # The toes are closest to the edge, and nothing extends beyond them.
    assert places[:, :19].min() > 0.08 * size
    assert places[:, :19].max() < 0.94 * size
    assert places.max() < 0.96 * size


@performers
def test_left_is_left(performer: Performer) -> None:
    """Facing the camera, the dancer's left joints lie on the picture's right."""
    view, body = performer.room.camera(256, 256), performer.body
    x = view.project_px(joints_m(body, pose_skeleton(body, SOURCE.dance.pose_at(0))))[:, 0]
    pairs = ((2, 5), (3, 6), (4, 7), (9, 12), (10, 13), (11, 14), (15, 16), (17, 18), (22, 19), (24, 21), (23, 20))
    for right, left in pairs:
        assert x[right] < x[left]
    assert x[20] > x[19] > x[22] > x[23]  # small toes are outside


def test_the_same_pose_points_every_body_alike() -> None:
    """The actor in the source's pose has the source's arm directions, and steps scaled by the ratio of the legs."""
    for seconds in _moments(SOURCE.dance.seconds, 30):
        pose = SOURCE.dance.pose_at(seconds)
        one, other = (joints_m(p.body, pose_skeleton(p.body, pose)) for p in (SOURCE, ACTOR))
        for a, b in ((2, 3), (3, 4), (5, 6), (6, 7)):
            direction = [(j[b] - j[a]) / np.linalg.norm(j[b] - j[a]) for j in (one, other)]
            np.testing.assert_allclose(direction[0], direction[1], atol=1e-9)
        ratio = ACTOR.body.leg_m / SOURCE.body.leg_m
        assert other[8][0] == pytest.approx(ratio * one[8][0], abs=0.01)


def test_the_two_bodies_differ() -> None:
    """The bodies differ, because a transfer between equal bodies would prove nothing."""
    one, other = SOURCE.body, ACTOR.body
    assert other.leg_m < 0.92 * one.leg_m
    assert other.shoulder_half_m / other.leg_m > 1.05 * one.shoulder_half_m / one.leg_m
