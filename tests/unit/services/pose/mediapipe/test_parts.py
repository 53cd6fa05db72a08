"""Hands and face are looked for near the body, and followed while they stay where they were."""

from __future__ import annotations

import numpy as np

from services.pose.mediapipe.body import BodyTrack
from services.pose.mediapipe.one_euro import Smoothed
from services.pose.mediapipe.parts import FACE, LEFT_HAND, RIGHT_HAND
from services.pose.mediapipe.regions import Region


def body(visibility: float = 1.0) -> BodyTrack:
    """A body whose left hand points straight up from the wrist at (100, 200)."""
    points = np.zeros((33, 2), np.float32)
    points[[15, 17, 19]] = (100, 200), (100, 170), (100, 170)
    return BodyTrack(
        Smoothed.first(points), Smoothed.first(np.zeros((2, 2), np.float32)), np.full(33, visibility, np.float32)
    )


def hand() -> np.ndarray:
    """The landmarks of a flat hand that points straight up, `[21, 2]` float32 pixels."""
    fingers = [(0, 0), *((10 * finger - 20, -15 * joint) for finger in range(5) for joint in range(1, 5))]
    return np.array(fingers, np.float32) + np.array([100, 200], np.float32)


def test_a_hand_is_looked_for_beyond_its_wrist():
    """The region is centred at the knuckles, a little towards the finger tips, and is not turned."""
    region = LEFT_HAND.rough_region(body())
    assert region is not None
    assert region.rotation_rad == 0
    np.testing.assert_allclose((region.x_px, region.y_px, region.side_px), (100, 164, 162), rtol=1e-6)


def test_a_hand_whose_wrist_is_hidden_is_not_looked_for():
    """A wrist that the body's network does not see has no hand."""
    assert LEFT_HAND.rough_region(body(0.09)) is None
    assert RIGHT_HAND.rough_region(body(0.11)) is not None


def test_a_still_hand_is_followed_and_a_moved_one_is_placed_anew():
    """The place by the last landmarks is kept while it agrees with the exact place."""
    remembered = LEFT_HAND.remembered(hand())
    now = LEFT_HAND.region_after(remembered)
    assert LEFT_HAND.region(now, remembered) == now
    moved = Region(now.x_px + 0.3 * now.side_px, now.y_px, now.side_px, now.rotation_rad)
    assert LEFT_HAND.region(moved, remembered) == moved
    assert LEFT_HAND.region(moved, None) == moved


def test_the_outline_of_a_face_says_as_much_as_all_its_points():
    """The region of the remembered points is that of the whole mesh."""
    mesh = np.random.default_rng(1).normal(100, 20, (468, 2)).astype(np.float32)
    remembered = FACE.remembered(mesh)
    assert len(remembered) < 60
    assert FACE.region_after(remembered) == FACE.region_after(np.concatenate([mesh[[33, 263]], mesh]))


def test_a_part_that_its_network_does_not_see_is_not_there():
    """Below the presence of one half there are no landmarks."""
    region = Region(0, 0, 100, 0)
    outputs = {"Identity": np.zeros((1, 63), np.float32), "Identity_1": np.array([[0.5]], np.float32)}
    assert LEFT_HAND.landmarks(region, outputs) is None
    outputs = {"conv2d_21": np.zeros((1, 1, 1, 1404), np.float32), "conv2d_31": np.zeros((1, 1, 1, 1), np.float32)}
    assert FACE.landmarks(region, outputs) is None
    outputs["conv2d_31"] += 0.1
    assert FACE.landmarks(region, outputs) is not None
