"""The moves of limbs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose
from motion.wardrobe.limbs import BONES, HEELS, Limb
from motion.wardrobe.moving import along_bone, move_limb, similarity
from motion.wardrobe.placing import PlacedBody, measure_limbs, place
from tests.unit.motion.wardrobe.puppets import moved

Points = NDArray[np.float64]
points = st.tuples(*[st.floats(-300, 300)] * 4).map(lambda values: np.array(values).reshape(2, 2))


def moved_points(move: Points, at: Points) -> Points:
    return np.asarray(at @ move[:, :2].T + move[:, 2])


@given(points, points, st.floats(0.5, 2))
def test_a_bone_lands_on_the_asked_bone(key: Points, asked: Points, scale: float) -> None:
    """Both ends go where they are asked; across the bone, lengths grow by the body's scale."""
    move = along_bone(key, asked, scale)
    assert np.isfinite(move).all()
    assert np.allclose(moved_points(move, key)[0], asked[0], atol=1e-6)
    if min(np.hypot(*(key[1] - key[0])), np.hypot(*(asked[1] - asked[0]))) > 2.5:
        assert np.allclose(moved_points(move, key)[1], asked[1], atol=1e-6)
        across = np.array([key[0][1] - key[1][1], key[1][0] - key[0][0]])
        assert np.isclose(np.hypot(*(move[:, :2] @ across)), scale * np.hypot(*across))


@given(st.floats(-3, 3), st.floats(0.6, 1.6), st.tuples(st.floats(-100, 100), st.floats(-100, 100)))
def test_a_similarity_finds_turn_scale_and_shift(turn: float, scale: float, shift: tuple[float, float]) -> None:
    """Points that were turned, scaled and shifted are matched exactly."""
    key = np.array([(0, 0), (10, 1), (3, 8), (-4, 6)], np.float64)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    asked = key @ linear.T + shift
    assert np.allclose(moved_points(similarity(key, asked, None, (0.5, 2)), key), asked, atol=1e-6)


def test_a_similarity_keeps_its_scale_within_limits() -> None:
    """A head is not blown up because a pose is wrong."""
    key = np.array([(0, 0), (10, 0), (0, 10)], np.float64)
    move = similarity(key, key * 9, None, (0.8, 1.2))
    assert np.isclose(np.hypot(*move[:, 0]), 1.2)


def test_moves_to_the_same_pose_change_nothing(standing: Pose) -> None:
    """A key frame asked for its own pose keeps every limb in its place."""
    body = place(standing, measure_limbs([standing]))
    for limb in Limb:
        move = move_limb(limb, body, body)
        assert move is not None
        assert np.allclose(move, np.eye(2, 3), atol=1e-4)


def test_all_limbs_follow_a_turned_and_larger_person(standing: Pose) -> None:
    """Moving, turning and scaling the whole person is one similarity for every limb."""
    lengths_px = measure_limbs([standing])
    asked = moved(standing, shift=(20, -10), turn=0.4, scale=1.3)
    whole = similarity(standing.joints_px, asked.joints_px, None, (0.1, 10))
    for limb in Limb:
        move = move_limb(limb, place(standing, lengths_px), place(asked, lengths_px))
        assert move is not None
        assert np.allclose(move[:, :2], whole[:, :2], atol=0.02)


def test_a_limb_that_a_body_lacks_has_no_move(standing: Pose) -> None:
    """Limbs that cannot be placed in either pose are not moved."""
    body = place(standing, measure_limbs([standing]))
    nothing = place(Pose.nothing_seen(), measure_limbs([standing]))
    assert move_limb(Limb.TORSO, body, nothing) is None
    assert move_limb(Limb.TORSO, nothing, body) is None


def seen_from_behind(pose: Pose) -> PlacedBody:
    """Place the outline of a person who shows the other side: left and right are exchanged, without a face."""
    order = list(skeleton.MIRRORED)
    confidence = pose.confidence[order].copy()
    confidence[skeleton.FACE] = 0
    return place(Pose(pose.joints_px[order], confidence), measure_limbs([pose]))


def test_a_head_asked_for_from_behind_stays_upright(standing: Pose) -> None:
    """Eyes and ears the other way round do not turn it upside down."""
    key = place(standing, measure_limbs([standing]))
    asked = seen_from_behind(standing)
    move = move_limb(Limb.HEAD, key, asked)
    assert move is not None
    start, crown = moved_points(move, key.ends_px[Limb.HEAD])
    assert np.allclose((start, crown), asked.ends_px[Limb.HEAD], atol=1e-3)


def test_a_torso_asked_for_from_behind_keeps_its_width(standing: Pose) -> None:
    """It is neither mirrored nor squeezed between shoulders that pull to the wrong sides."""
    key = place(standing, measure_limbs([standing]))
    move = move_limb(Limb.TORSO, key, seen_from_behind(standing))
    assert move is not None
    corners_px = standing.joints_px[[skeleton.R_SHOULDER, skeleton.L_SHOULDER, skeleton.R_HIP, skeleton.L_HIP]]
    assert np.allclose(moved_points(move, corners_px.astype(np.float64)), corners_px, atol=2)


def test_hips_asked_for_from_behind_stay_outside(standing: Pose) -> None:
    """The right thigh is asked for where the left one is, and its outer side must become the left one's."""
    key = place(standing, measure_limbs([standing]))
    asked, middle_x = seen_from_behind(standing), standing.joints_px[skeleton.MID_HIP, 0]
    for limb, other in ((Limb.RIGHT_THIGH, Limb.LEFT_THIGH), (Limb.RIGHT_UPPER_ARM, Limb.LEFT_UPPER_ARM)):
        move = move_limb(limb, key, asked)
        assert move is not None
        outside = np.array([5.0 if key.ends_px[limb, 0, 0] > middle_x else -5.0, 0])
        moved_px, asked_px = moved_points(move, key.ends_px[limb, 0] + outside), asked.ends_px[limb, 0]
        assert abs(moved_px[0] - middle_x) > abs(asked_px[0] - middle_x)
        assert np.allclose(asked.ends_px[limb], key.ends_px[other])


def test_a_foot_that_points_to_the_other_side_is_mirrored(standing: Pose) -> None:
    """Its sole stays below."""
    joints_px = standing.joints_px.copy()
    ankle, toes, heel = BONES[Limb.RIGHT_FOOT].start, BONES[Limb.RIGHT_FOOT].end, HEELS[Limb.RIGHT_FOOT]
    joints_px[toes] = joints_px[ankle] + (20, 9)
    joints_px[heel] = joints_px[ankle] + (-6, 9)
    other_px = joints_px.copy()
    other_px[[toes, heel]] = joints_px[ankle] + np.array([(-20, 9), (6, 9)])
    lengths_px = measure_limbs([standing])
    key, asked = (place(Pose(at, standing.confidence), lengths_px) for at in (joints_px, other_px))
    move = move_limb(Limb.RIGHT_FOOT, key, asked)
    assert move is not None
    assert np.allclose(
        moved_points(move, joints_px[[ankle, toes, heel]].astype(np.float64)), other_px[[ankle, toes, heel]], atol=0.5
    )
