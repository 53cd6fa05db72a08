"""Bending and mirroring hands."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from motion import skeleton
from motion.wardrobe.hands import bend_hand

CORNER_PX = (20, 10)
SIZE_PX = 100
PICTURE_PX = 160


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


def laid_out(bent: tuple[NDArray[np.uint8], tuple[int, int]] | None, side_px: int = PICTURE_PX) -> NDArray[np.uint8]:
    """The bent piece in the asked picture."""
    assert bent is not None
    piece, (x, y) = bent
    picture = np.zeros((side_px, side_px, 4), np.uint8)
    picture[y : y + len(piece), x : x + piece.shape[1]] = piece
    return picture


def bent(
    asked: NDArray[np.float64], moved: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    """The hand with straight fingers, bent as asked."""
    hand = open_hand()
    return bend_hand(drawn(hand), CORNER_PX, hand, hand if moved is None else moved, asked, (PICTURE_PX,) * 2)


def test_fingers_turn_as_asked() -> None:
    """After bending, the colour of each finger lies along the asked finger, and the gaps between them are open."""
    spread = open_hand(spread_deg=28)
    picture = laid_out(bent(spread))
    for finger in (1, 4):
        x, y = np.rint(spread[2 + 4 * finger]).astype(int)
        assert picture[y, x, 3] > 128
        assert picture[y, x, 0] / picture[y, x, 3] * 255 == pytest.approx(40 * finger + 60, abs=25)
    for finger in (1, 3):
        x, y = np.rint((spread[4 + 4 * finger] + spread[8 + 4 * finger]) / 2).astype(int)
        assert picture[y, x, 3] < 60


def test_fingers_shorten_as_asked() -> None:
    """A hand asked to close has shorter fingers; its palm stays."""
    straight, closed = drawn(open_hand()), laid_out(bent(open_hand(bend=0.5)))
    tips = np.flatnonzero(closed[..., 3].max(axis=1) > 128).min() - CORNER_PX[1]
    assert tips > np.flatnonzero(straight[..., 3].max(axis=1) > 128).min() + 4
    assert closed[80, 70, 3] > 200


def test_a_hand_of_about_the_asked_shape_is_copied_rigidly() -> None:
    """A turned and larger hand needs no bending, and points that are a little off change nothing."""
    hand = open_hand()
    turn = 1.3 * np.array([[0.8, 0.6], [-0.6, 0.8]])
    moved = hand @ turn + (5.0, 9.0)
    assert bent(moved, moved) is None
    assert bent(moved + np.random.default_rng(0).normal(0, 1.0, moved.shape), moved) is None


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(np.full((21, 2), np.nan), id="not finite"),
        pytest.param(np.zeros((21, 2)), id="one point"),
        pytest.param(open_hand(spread_deg=20) * 3, id="a palm too large"),
        pytest.param(open_hand(spread_deg=20) * (-1, 1), id="the other side"),
    ],
)
def test_implausible_points_leave_the_hand_rigid(asked: NDArray[np.float64]) -> None:
    """Points that would tear or melt the hand are refused."""
    assert bent(asked) is None


def test_absurd_fingers_move_within_limits() -> None:
    """Fingers asked to be ten times as long stay within a finger's reach."""
    result = bent(open_hand(bend=10))
    assert result is not None
    assert max(result[0].shape[:2]) < 1.8 * np.ptp(open_hand(), axis=0).max()


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("shift_px", [(-70, 0), (60, 30), (0, -95), (400, 0)])
def test_a_hand_across_the_pictures_edge_is_the_same_inside(scale: float, shift_px: tuple[int, int]) -> None:
    """The part of a hand inside the picture does not depend on how much of it lies outside."""
    filmed, far_px = open_hand(), 400
    moved, asked = filmed * scale + shift_px, open_hand(spread_deg=28) * scale + shift_px
    piece = drawn(filmed)
    part = laid_out(bend_hand(piece, CORNER_PX, filmed, moved, asked, (PICTURE_PX,) * 2))
    whole = bend_hand(piece, CORNER_PX, filmed, moved + far_px, asked + far_px, (4 * far_px,) * 2)
    inside = laid_out(whole, 4 * far_px)[far_px : far_px + PICTURE_PX, far_px : far_px + PICTURE_PX]
    assert np.abs(part.astype(int) - inside).max() <= 2


def test_an_enormous_hand_takes_no_more_room_than_the_picture() -> None:
    """Before the camera, a hand may be a thousand times as large as the picture: only the part inside is computed."""
    filmed = open_hand()
    result = bend_hand(
        drawn(filmed), CORNER_PX, filmed, filmed * 1e3, open_hand(spread_deg=28) * 1e3, (PICTURE_PX,) * 2
    )
    assert result is not None
    assert max(result[0].shape[:2]) <= PICTURE_PX


def test_bending_turns_along_with_the_asked_hand() -> None:
    """The asked points turned by a right angle give the same hand, turned."""
    hand, spread = open_hand(), open_hand(spread_deg=28)

    def turned(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([160 - points[:, 1], points[:, 0]], axis=1)

    upright, sideways = laid_out(bent(spread)), laid_out(bent(turned(spread), turned(hand)))
    assert np.abs(np.rot90(sideways).astype(int) - upright).mean() < 1.5


def test_coverage_and_colour_stay_premultiplied() -> None:
    """No colour is larger than its coverage, and what the piece does not have stays empty."""
    hand, spread = open_hand(), open_hand(spread_deg=28)
    result = bent(spread)
    assert result is not None
    assert (result[0][..., :3].max(axis=2) <= result[0][..., 3]).all()
    empty = bend_hand(np.zeros((SIZE_PX, SIZE_PX, 4), np.uint8), CORNER_PX, hand, hand, spread, (PICTURE_PX,) * 2)
    assert empty is not None
    assert not empty[0].any()
