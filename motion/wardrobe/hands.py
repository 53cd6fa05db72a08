"""Hands: bend a filmed hand into the asked shape, finger by finger, and mirror one for the other side.

Each place follows the bones near it, more the nearer they are, as skin follows bones in computer graphics (linear blend
skinning, Magnenat-Thalmann et al. 1988). Points of the plane are complex numbers here, x + iy: a turn and a change of
size are then one product.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton

Points = NDArray[np.float64]
"""`[21, 2]` float64, x then y in pixels, in the order of `skeleton.FINGER_PATHS`."""
_Complex = NDArray[np.complex64]
_Corner = tuple[int, int]

_STARTS, _ENDS = np.array(skeleton.HAND_LINES).T
_IN_FINGERS: Final = np.flatnonzero(_STARTS > 1)
"""The lines of the fingers; the other six cross the palm and the ball of the thumb."""

_SAME_SHAPE: Final = 0.10
"""A rigid copy is as good as a bent one if all its points lie this close to the asked ones, in palm lengths."""
_LEAST_STRETCH, _MOST_STRETCH = 0.5, 2.0
"""How much shorter or longer a finger or the palm may become: beyond, the texture would melt."""
_SOFTNESS: Final = 0.04
"""Bones at this distance pull half as much as at none, in palm lengths: a quarter of a finger's width."""
_ROOM: Final = 0.2
"""How far skin reaches around a bone, in palm lengths: a little more than half of a finger's width."""
_FOREIGN, _SURELY_FOREIGN = 0.05, 0.10
"""Skin is taken from the finger beside if it was filmed this much closer to that one, in palm lengths."""
_GRID: Final = 16
"""The map is computed for this many points a side and interpolated between them."""


def bend_hand(
    piece: NDArray[np.uint8], corner_px: _Corner, filmed_px: Points, asked_px: Points
) -> tuple[NDArray[np.uint8], _Corner] | None:
    """Bend a filmed hand into the asked shape; None if a rigid copy is better.

    piece: `[h, w, 4]` uint8 premultiplied RGBA; corner_px: x and y of its upper left pixel in the filmed picture.
    filmed_px, asked_px: the hand's points in pixels of the filmed and of the asked picture. Returns the bent piece,
    `[h', w', 4]` uint8 of the same kind, and its corner in the asked picture.

    A rigid copy is better if it has the asked shape already, and if the asked shape is implausible: points that are not
    finite, a finger or palm much longer or shorter than filmed, or the other side of the hand.
    """
    filmed, asked = _complex(filmed_px), _complex(asked_px)
    scale, off_px = _rigid(filmed, asked)
    palm_px = scale * float(abs(filmed[9] - filmed[0]))
    if not palm_px >= 2 or off_px < _SAME_SHAPE * palm_px or not _plausible(filmed * scale, asked):
        return None
    room_px = _ROOM * palm_px
    left, top = (int(np.floor(low - room_px)) for low in asked_px.min(axis=0))
    right, bottom = (int(np.ceil(high + room_px)) for high in asked_px.max(axis=0))
    x_px, y_px = np.linspace(left + 0.5, right - 0.5, _GRID), np.linspace(top + 0.5, bottom - 0.5, _GRID)
    places = (x_px + 1j * y_px[:, None]).reshape(-1, 1).astype(np.complex64)
    sources, kept = _sources(places, filmed, asked, scale, palm_px)
    # OpenCV counts from the centre of the first pixel, points from its corner.
    from_x, from_y = sources.real - corner_px[0] - 0.5, sources.imag - corner_px[1] - 0.5
    grid = np.stack([from_x, from_y, kept], axis=-1).astype(np.float32).reshape(_GRID, _GRID, 3)
    x, y, share = cv2.split(_interpolated(grid, right - left, bottom - top))
    bent = cv2.remap(piece, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.rint(bent * share[..., None]).astype(np.uint8), (left, top)


def mirrored_hand(
    piece: NDArray[np.uint8], corner_px: _Corner, points_px: Points
) -> tuple[NDArray[np.uint8], _Corner, Points]:
    """Mirror a hand at the picture's left edge, so that a left hand becomes a right one, at negative x.

    Takes and returns piece, corner and points as `bend_hand` takes them.
    """
    mirrored = np.ascontiguousarray(piece[:, ::-1])
    return mirrored, (-corner_px[0] - piece.shape[1], corner_px[1]), points_px * (-1.0, 1.0)


def _complex(points_px: Points) -> _Complex:
    return np.asarray(points_px[:, 0] + 1j * points_px[:, 1], np.complex64)


def _rigid(filmed: _Complex, asked: _Complex) -> tuple[float, float]:
    """The scale of the best similarity from filmed to asked, and how far it leaves the farthest point, in pixels.

    Both are NaN or 0 if there is none.
    """
    from_middle, middle = filmed - filmed.mean(), asked - asked.mean()
    square = float(np.vdot(from_middle, from_middle).real)
    if not square > 0:
        return 0.0, 0.0
    turn = np.vdot(from_middle, middle) / square
    return float(abs(turn)), float(np.abs(turn * from_middle - middle).max())


def _plausible(filmed: _Complex, asked: _Complex) -> bool:
    """Whether every finger and the palm keep about their lengths, and the palm its side. Both at the asked size."""
    before, after = _lengths(filmed), _lengths(asked)
    keeps_lengths = (after >= _LEAST_STRETCH * before) & (after <= _MOST_STRETCH * before) & (before > 0)
    return bool(keeps_lengths.all()) and _side(filmed) * _side(asked) > 0


def _lengths(points: _Complex) -> NDArray[np.float32]:
    """Lengths of the four rays of the palm, then of the five fingers."""
    bones = np.abs(points[_ENDS] - points[_STARTS]).reshape(5, 4)
    return np.concatenate([bones[1:, 0], bones[:, 1:].sum(axis=1)])


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
    return sources, np.where(np.isin(nearest, _IN_FINGERS), kept, 1.0)


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


def _interpolated(grid: NDArray[np.float32], width_px: int, height_px: int) -> NDArray[np.float32]:
    """Values at the centres of `height_px * width_px` pixels; the grid's outer points are the outer pixels' centres."""
    x = np.linspace(0, _GRID - 1, width_px, dtype=np.float32)
    y = np.linspace(0, _GRID - 1, height_px, dtype=np.float32)
    columns, rows = np.meshgrid(x, y)
    return np.asarray(cv2.remap(grid, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
