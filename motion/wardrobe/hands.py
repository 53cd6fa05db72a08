"""Hands: bend a filmed hand into the asked shape, finger by finger.

Each place follows the bones near it, more the nearer they are, as skin follows bones in computer graphics (linear blend
skinning, Magnenat-Thalmann et al. 1988). Points of the plane are complex numbers here, x + iy: a turn and a change of
size are then one product.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.wardrobe.limbs import Limb

Points = NDArray[np.float64]
"""`[21, 2]` float64, x then y in pixels, in the order of `skeleton.FINGER_PATHS`."""
_Complex = NDArray[np.complex64]
_Corner = tuple[int, int]

_STARTS, _ENDS = np.array(skeleton.HAND_LINES).T
_FINGERS: Final = np.array([path[2:] for path in skeleton.FINGER_PATHS])
_KNUCKLES: Final = _FINGERS[:, :1] - 1
_SMALLEST_PALM_PX: Final = 6.0
"""Smaller hands have no fingers to see."""
_IN_FINGERS: Final = _STARTS > 1
"""Which lines are those of the fingers; the other six cross the palm and the ball of the thumb."""

OTHER_HAND: Final = {Limb.RIGHT_HAND: Limb.LEFT_HAND, Limb.LEFT_HAND: Limb.RIGHT_HAND}

_TURN_ERROR_RAD, _STRETCH_ERROR = 0.2, 0.25
"""How uncertain a finger's asked direction is, and its length, as a natural logarithm: so small changes are ignored."""
_LEAST_TURN_RAD, _LEAST_STRETCH = 0.08, 0.08
"""Less than this is not worth drawing."""
_MOST_TURN_RAD, _MOST_STRETCH = 0.8, 0.5
"""How far a finger turns or changes its length at most: beyond, its skin would melt."""
_PALM_STRETCH: Final = 0.7
"""An asked palm that differs by more than this from the filmed one, as a natural logarithm, is an error."""
_SOFTNESS: Final = 0.04
"""Bones at this distance pull half as much as at none, in palm lengths: a quarter of a finger's width."""
_ROOM: Final = 0.2
"""How far skin reaches around a bone, in palm lengths: a little more than half of a finger's width."""
_FOREIGN, _SURELY_FOREIGN = 0.08, 0.16
"""Skin is taken from the finger beside if it was filmed this much closer to that one, in palm lengths."""
_GRID: Final = 16
"""The map is computed for this many points a side and interpolated between them."""


def bend_hand(
    piece: NDArray[np.uint8],
    corner_px: _Corner,
    filmed_px: Points,
    moved_px: Points,
    asked_px: Points,
    size_px: tuple[int, int],
) -> tuple[NDArray[np.uint8], _Corner] | None:
    """Turn and stretch the fingers of a filmed hand as asked; None if a rigid copy is better.

    piece: `[h, w, 4]` uint8 premultiplied RGBA; corner_px: x and y of its upper left pixel in the filmed picture.
    filmed_px: the hand's points there. moved_px: where a rigid copy has them in the asked picture; asked_px: where they
    are asked for. size_px: width and height of the asked picture. Returns the part of the bent piece inside that
    picture, `[h', w', 4]` uint8 of the same kind and perhaps empty, and its corner there.

    The palm stays rigid, and a finger straight as it was filmed: the points are uncertain, and joints bent by them look
    broken. A rigid copy is better if no finger differs much, and if the asked shape is implausible: points that are not
    finite, or the other side of the hand.
    """
    filmed, moved, asked = _complex(filmed_px), _complex(moved_px), _complex(asked_px)
    goal = _goal(moved, asked)
    if goal is None:
        return None
    palm_px = float(abs(moved[9] - moved[0]))
    scale = palm_px / float(abs(filmed[9] - filmed[0]))
    room_px = _ROOM * palm_px
    left, top = int(np.floor(goal.real.min() - room_px)), int(np.floor(goal.imag.min() - room_px))
    right, bottom = int(np.ceil(goal.real.max() + room_px)), int(np.ceil(goal.imag.max() + room_px))
    x_px, y_px = np.linspace(left + 0.5, right - 0.5, _GRID), np.linspace(top + 0.5, bottom - 0.5, _GRID)
    places = (x_px + 1j * y_px[:, None]).reshape(-1, 1).astype(np.complex64)
    sources, kept = _sources(places, filmed, goal, scale, palm_px)
    # OpenCV counts from the centre of the first pixel, points from its corner.
    from_x, from_y = sources.real - corner_px[0] - 0.5, sources.imag - corner_px[1] - 0.5
    grid = np.stack([from_x, from_y, kept], axis=-1).astype(np.float32).reshape(_GRID, _GRID, 3)
    grid[..., 2] = cv2.blur(grid[..., 2], (3, 3))  # a single point is an error, not a gap between fingers
    columns, rows = np.arange(max(left, 0), min(right, size_px[0])), np.arange(max(top, 0), min(bottom, size_px[1]))
    corner = (max(left, 0), max(top, 0))
    if not (columns.size and rows.size):
        return np.zeros((0, 0, 4), np.uint8), corner
    # Pixels of the grid's rectangle in the picture only: a hand near the camera may be many times as large.
    to_grid = (_GRID - 1) / max(right - left - 1, 1), (_GRID - 1) / max(bottom - top - 1, 1)
    x, y, share = cv2.split(_interpolated(grid, (columns - left) * to_grid[0], (rows - top) * to_grid[1]))
    bent = cv2.remap(piece, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.rint(bent * share[..., None]).astype(np.uint8), corner


def _complex(points_px: Points) -> _Complex:
    return np.asarray(points_px[:, 0] + 1j * points_px[:, 1], np.complex64)


def _goal(moved: _Complex, asked: _Complex) -> _Complex | None:
    """The moved hand with its fingers turned and stretched as asked; None if nothing changes or it is implausible."""
    moved_palm, asked_palm = abs(moved[9] - moved[0]), abs(asked[9] - asked[0])
    if not (np.isfinite(asked).all() and moved_palm >= _SMALLEST_PALM_PX and asked_palm > 0):
        return None
    if abs(np.log(asked_palm / moved_palm)) > _PALM_STRETCH or _side(moved) * _side(asked) <= 0:
        return None
    knuckles = moved[_KNUCKLES]
    fingers, asked_fingers = moved[_FINGERS] - knuckles, asked[_FINGERS] - asked[_KNUCKLES]
    squares = (fingers * fingers.conj()).sum(axis=1).real
    turns = (asked_fingers * fingers.conj()).sum(axis=1) / np.maximum(squares, 1e-6)
    angles = _certain(np.angle(turns), _TURN_ERROR_RAD, _MOST_TURN_RAD)
    stretches = _certain(np.log(np.maximum(np.abs(turns), 1e-3)), _STRETCH_ERROR, _MOST_STRETCH)
    if np.abs(angles).max() < _LEAST_TURN_RAD and np.abs(stretches).max() < _LEAST_STRETCH:
        return None
    goal = moved.copy()
    goal[_FINGERS] = knuckles + fingers * np.exp(stretches + 1j * angles)[:, None]
    return goal


def _certain(values: NDArray[Any], error: float, most: float) -> NDArray[Any]:
    """Shrink values near the error towards 0, as a Wiener filter does, and limit the others."""
    squares = values * values
    return np.asarray(np.clip(values * squares / (squares + error**2), -most, most))


def _side(points: _Complex) -> float:
    """Twice the palm's area, signed by the side of the hand that is seen."""
    return float((np.conj(points[5] - points[0]) * (points[17] - points[0])).imag)


def _sources(
    places: _Complex, filmed: _Complex, asked: _Complex, scale: float, palm_px: float
) -> tuple[_Complex, NDArray[np.float32]]:
    """For `[P, 1]` places of the asked picture: `[P]` places of the filmed one, and `[P]` how much of each to keep.

    A place that a moved finger would take from the finger beside it is not kept, so that spread fingers have gaps.
    """
    candidates, distances = _by_bones(places, filmed, asked, scale)
    pulls = 1 / (distances**2 + (_SOFTNESS * palm_px) ** 2) ** 2
    sources = (pulls * candidates).sum(axis=1) / pulls.sum(axis=1)
    nearest = distances.argmin(axis=1)
    distance = distances[np.arange(len(distances)), nearest]
    _, filmed_distances = _by_bones(sources[:, None], filmed, filmed, 1.0)
    excess = (distance - scale * filmed_distances.min(axis=1)) / palm_px
    kept = np.clip((_SURELY_FOREIGN - excess) / (_SURELY_FOREIGN - _FOREIGN), 0, 1)
    return sources, np.where(_IN_FINGERS[nearest], kept, 1.0)


def _by_bones(
    places: _Complex, filmed: _Complex, asked: _Complex, scale: float
) -> tuple[_Complex, NDArray[np.float32]]:
    """Where each of the 20 bones takes each place from, `[P, 20]`, and the place's distance from it, `[P, 20]`."""
    bone, from_bone = asked[_ENDS] - asked[_STARTS], filmed[_ENDS] - filmed[_STARTS]
    length, from_length = np.maximum(np.abs(bone), 1e-3), np.maximum(np.abs(from_bone), 1e-3)
    local = (places - asked[_STARTS]) * (np.conj(bone) / length)  # along the bone + i across it
    nearest = np.clip(local.real, 0, length)
    beside = local - nearest
    # Along the bone the skin stretches; beyond its ends and across it, it keeps its size.
    from_local = nearest * (from_length / length) + beside / scale
    return filmed[_STARTS] + from_local * (from_bone / from_length), np.abs(beside)


def _interpolated(grid: NDArray[np.float32], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values between the grid's points, `[len(y), len(x), C]`: x and y count its columns and rows from 0."""
    columns, rows = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return np.asarray(cv2.remap(grid, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
