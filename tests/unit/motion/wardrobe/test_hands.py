"""Bending and mirroring hands."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from motion import skeleton
from motion.wardrobe.hands import bend_hand, mirrored_hand

CORNER_PX = (20, 10)
SIZE_PX = 100


def open_hand(spread_deg: float = 0.0, bend: float = 1.0) -> NDArray[np.float64]:
    """A right hand seen from its back, fingers up, spread by an angle between neighbours and shortened by a factor."""
    knuckles = np.array([(60, 92), (58, 70), (66, 68), (74, 70), (82, 74)], float)
    points = np.zeros((21, 2))
    points[0] = (70, 100)
    for finger, knuckle in enumerate(knuckles):
        lean = np.radians(spread_deg * (finger - 2)) - (0.7 if finger == 0 else 0.0)
        steps = np.arange(4)[:, None] * 8 * bend
        points[1 + 4 * finger : 5 + 4 * finger] = knuckle + steps * [np.sin(lean), -np.cos(lean)]
    return points


def drawn(points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The hand as a premultiplied piece: each finger in a colour of its own, nothing elsewhere."""
    piece = np.zeros((SIZE_PX, SIZE_PX, 4), np.uint8)
    on_piece = np.rint(points - CORNER_PX).astype(int)
    cv2.fillConvexPoly(piece, cv2.convexHull(on_piece[[0, 1, 5, 9, 13, 17]]), (90, 90, 90, 255))
    for finger, path in enumerate(skeleton.FINGER_PATHS):
        colour = (40 * finger + 60, 200 - 40 * finger, 30, 255)
        cv2.polylines(piece, [on_piece[list(path)]], False, colour, 4)
    return piece


def laid_out(bent: tuple[NDArray[np.uint8], tuple[int, int]] | None) -> NDArray[np.uint8]:
    """The bent piece in a picture of 160 by 160 pixels."""
    assert bent is not None
    piece, (x, y) = bent
    picture = np.zeros((160, 160, 4), np.uint8)
    place = np.array([[1, 0, x], [0, 1, y]], float)
    cv2.warpAffine(piece, place, (160, 160), dst=picture)
    return picture


def test_fingers_follow_their_points() -> None:
    """After bending, the colour of each finger lies at the finger's asked tip, and the gaps between them are open."""
    closed, spread = open_hand(), open_hand(spread_deg=14)
    picture = laid_out(bend_hand(drawn(closed), CORNER_PX, closed, spread))
    for finger in range(5):
        x, y = np.rint(spread[3 + 4 * finger]).astype(int)
        assert picture[y, x, 3] > 200
        assert abs(int(picture[y, x, 0]) - (40 * finger + 60)) < 25
    for finger in range(1, 4):
        x, y = np.rint((spread[4 + 4 * finger] + spread[8 + 4 * finger]) / 2).astype(int)
        assert picture[y, x, 3] < 60


def test_a_hand_of_the_asked_shape_is_copied_rigidly() -> None:
    """A turned, moved and larger hand of the same shape needs no bending."""
    hand = open_hand()
    turn = 1.3 * np.array([[0.8, 0.6], [-0.6, 0.8]])
    assert bend_hand(drawn(hand), CORNER_PX, hand, hand @ turn + (5.0, 9.0)) is None


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(np.full((21, 2), np.nan), id="not finite"),
        pytest.param(np.zeros((21, 2)), id="one point"),
        pytest.param(open_hand(bend=0.3), id="fingers too short"),
        pytest.param(open_hand(bend=6.0), id="fingers too long"),
        pytest.param(open_hand(spread_deg=20) * (-1, 1), id="the other side"),
    ],
)
def test_implausible_points_leave_the_hand_rigid(asked: NDArray[np.float64]) -> None:
    """Points that would tear or melt the hand are refused."""
    hand = open_hand()
    assert bend_hand(drawn(hand), CORNER_PX, hand, asked) is None


def test_bending_turns_along_with_the_asked_hand() -> None:
    """The asked points turned by a right angle give the same hand, turned."""
    hand, spread = open_hand(), open_hand(spread_deg=12)
    upright = laid_out(bend_hand(drawn(hand), CORNER_PX, hand, spread))
    turned_px = np.stack([160 - spread[:, 1], spread[:, 0]], axis=1)
    turned = laid_out(bend_hand(drawn(hand), CORNER_PX, hand, turned_px))
    difference = np.abs(np.rot90(turned).astype(int) - upright)
    assert difference.mean() < 1.5


def test_coverage_and_colour_stay_premultiplied() -> None:
    """No colour is larger than its coverage, and what the piece does not have stays empty."""
    hand, spread = open_hand(), open_hand(spread_deg=12)
    bent = bend_hand(drawn(hand), CORNER_PX, hand, spread)
    assert bent is not None
    assert (bent[0][..., :3].max(axis=2) <= bent[0][..., 3]).all()
    empty = bend_hand(np.zeros((SIZE_PX, SIZE_PX, 4), np.uint8), CORNER_PX, hand, spread)
    assert empty is not None
    assert not empty[0].any()


def test_a_left_hand_serves_as_a_right_one() -> None:
    """A mirrored hand bent into the mirrored shape is the mirrored bent hand."""
    hand, spread = open_hand(), open_hand(spread_deg=12)
    upright = laid_out(bend_hand(drawn(hand), CORNER_PX, hand, spread))
    piece, corner_px, points_px = mirrored_hand(drawn(hand), CORNER_PX, hand)
    other = laid_out(bend_hand(piece, corner_px, points_px, np.stack([160 - spread[:, 0], spread[:, 1]], axis=1)))
    assert np.abs(other[:, ::-1].astype(int) - upright).mean() < 1.0
