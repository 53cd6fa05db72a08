"""The moves of limbs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion.pose import Pose
from motion.wardrobe.limbs import Limb
from motion.wardrobe.moving import along_bone, move_limb, similarity
from motion.wardrobe.placing import measure_limbs, place
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
