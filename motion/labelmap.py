"""The label map: a pose drawn as the generator's input picture. Training and serving share this code.

Source: the label maps of Chan et al. 2019 ("Everybody Dance Now"): a white canvas, filled circles on joints, limbs as
filled ellipses blended over the canvas, hands and face as thin lines. Drawing oversampled and reducing softens edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import Picture
from motion.pose import Pose

LABEL_MAP_VERSION = 1
"""Must rise with every change to a colour, width or order below: a network is trained for one version."""

_Colour = tuple[int, int, int]
_Points = NDArray[np.float64]

_OVERSAMPLING = 2
_SHIFT = 4
"""Fractional bits of the fixed-point coordinates passed to OpenCV."""

_LIMB_OPACITY = 0.75
"""Below 1, so that crossing limbs stay visible."""

_ELLIPSE_CORNERS = 28
_INFLATION_PX = 0.75
"""OpenCV's antialiased polygons extend about this far beyond their corners, circles 0.5 px. It is subtracted, so that
widths scale with the canvas."""

_FARTHEST_PX = 1 << 14
"""Joints are clipped to this many canvas pixels, because OpenCV's fixed-point numbers overflow."""

# Radii and widths are fractions of the canvas height.
_TORSO_RADIUS, _LIMB_RADIUS, _HEAD_RADIUS, _FOOT_RADIUS = 0.020, 0.014, 0.005, 0.009
_JOINT_RADIUS, _HEAD_JOINT_RADIUS, _PUPIL_RADIUS = 0.013, 0.005, 0.003
_LINE_WIDTH = 0.0042
_WIDEST_RADIUS = max(_TORSO_RADIUS, _JOINT_RADIUS)

_LIMBS: tuple[tuple[int, int, float, _Colour], ...] = (
    (1, 8, _TORSO_RADIUS, (90, 90, 90)),
    (1, 2, _LIMB_RADIUS, (150, 0, 0)),
    (1, 5, _LIMB_RADIUS, (0, 90, 0)),
    (8, 9, _LIMB_RADIUS, (0, 90, 150)),
    (8, 12, _LIMB_RADIUS, (100, 0, 150)),
    (9, 10, _LIMB_RADIUS, (0, 150, 220)),
    (10, 11, _LIMB_RADIUS, (0, 215, 235)),
    (12, 13, _LIMB_RADIUS, (140, 40, 230)),
    (13, 14, _LIMB_RADIUS, (220, 60, 235)),
    (11, 24, _FOOT_RADIUS, (0, 70, 200)),
    (11, 22, _FOOT_RADIUS, (0, 20, 255)),
    (22, 23, _FOOT_RADIUS, (130, 130, 255)),
    (14, 21, _FOOT_RADIUS, (150, 0, 90)),
    (14, 19, _FOOT_RADIUS, (255, 0, 140)),
    (19, 20, _FOOT_RADIUS, (255, 150, 215)),
    (1, 0, _LIMB_RADIUS, (200, 160, 0)),
    (0, 15, _HEAD_RADIUS, (255, 150, 110)),
    (15, 17, _HEAD_RADIUS, (240, 110, 110)),
    (0, 16, _HEAD_RADIUS, (150, 215, 110)),
    (16, 18, _HEAD_RADIUS, (100, 190, 130)),
    (2, 3, _LIMB_RADIUS, (230, 20, 20)),
    (3, 4, _LIMB_RADIUS, (255, 130, 0)),
    (5, 6, _LIMB_RADIUS, (0, 160, 40)),
    (6, 7, _LIMB_RADIUS, (130, 220, 0)),
)
"""From joint, to joint, radius, colour, in drawing order: torso, legs, feet, head, arms."""

_FACE_COLOURS: tuple[_Colour, ...] = (
    (170, 170, 170),
    (150, 60, 0),
    (0, 100, 60),
    (120, 100, 0),
    (120, 100, 0),
    (200, 0, 60),
    (0, 60, 200),
    (220, 0, 160),
    (110, 0, 80),
)
"""One for each of `skeleton.FACE_PATHS`."""

_RIGHT_FINGER_COLOURS: tuple[_Colour, ...] = ((120, 0, 0), (220, 0, 0), (220, 90, 0), (200, 0, 110), (120, 0, 160))
_LEFT_FINGER_COLOURS: tuple[_Colour, ...] = ((0, 70, 0), (0, 140, 0), (100, 150, 0), (0, 140, 110), (0, 90, 160))


def _circles() -> tuple[tuple[int, float, _Colour], ...]:
    """Return joint, radius and colour of every circle: a joint has the colour of the limb that ends there."""
    head = (skeleton.NOSE, skeleton.R_EYE, skeleton.L_EYE, skeleton.R_EAR, skeleton.L_EAR)
    colours = {skeleton.NECK: (60, 60, 60)} | {end: colour for _, end, _, colour in _LIMBS}
    return tuple((i, _HEAD_JOINT_RADIUS if i in head else _JOINT_RADIUS, colour) for i, colour in colours.items())


def _lines() -> tuple[tuple[int, int, _Colour], ...]:
    """Return from joint, to joint and colour of every thin line: the face, then the hands."""
    parts = (
        (skeleton.FACE, skeleton.FACE_PATHS, _FACE_COLOURS),
        (skeleton.LEFT_HAND, skeleton.FINGER_PATHS, _LEFT_FINGER_COLOURS),
        (skeleton.RIGHT_HAND, skeleton.FINGER_PATHS, _RIGHT_FINGER_COLOURS),
    )
    return tuple(
        (part.start + start, part.start + end, colour)
        for part, paths, colours in parts
        for path, colour in zip(paths, colours, strict=True)
        for start, end in pairwise(path)
    )


_CIRCLES = _circles()
_PUPILS = tuple((skeleton.FACE.start + pupil, _PUPIL_RADIUS, (20, 20, 20)) for pupil in (68, 69))
_LIMB_COLOURS = tuple(limb[3] for limb in _LIMBS)
_LIMB_RADII = np.array([limb[2] for limb in _LIMBS])
_LINES = _lines()
_LINE_COLOURS = tuple(line[2] for line in _LINES)
_STARTS = np.array([*(limb[0] for limb in _LIMBS), *(line[0] for line in _LINES)])
_ENDS = np.array([*(limb[1] for limb in _LIMBS), *(line[1] for line in _LINES)])
_ANGLES = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
_ELLIPSE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_RECTANGLE = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Strokes:
    """What a label map consists of, in drawing order. Radii and widths are fractions of the canvas height, colours RGB.

    circles, pupils: joint, radius, colour; the pupils are drawn last. limbs: from joint, to joint, radius, colour.
    lines: from joint, to joint, colour, all of `line_width`. limb_opacity: of the limbs; the rest is opaque.
    """

    circles: tuple[tuple[int, float, _Colour], ...] = _CIRCLES
    limbs: tuple[tuple[int, int, float, _Colour], ...] = _LIMBS
    limb_opacity: float = _LIMB_OPACITY
    lines: tuple[tuple[int, int, _Colour], ...] = _LINES
    line_width: float = _LINE_WIDTH
    pupils: tuple[tuple[int, float, _Colour], ...] = _PUPILS


STROKES: Final = Strokes()
"""For those who draw the same figure with other means, such as a browser."""


def draw_label_map(pose: Pose, width_px: int, height_px: int) -> Picture:
    """Draw the pose on white, as `[height_px, width_px, 3]` uint8 RGB, without unseen joints and lines to them.

    pose: in pixels of the canvas, from its upper left corner. All widths scale with the canvas height, so a canvas of
    twice the size shows the same map at twice the size. Joints outside the canvas are drawn as far as they reach into
    it. Raises ValueError for a canvas without pixels.
    """
    if width_px < 1 or height_px < 1:
        raise ValueError(f"a label map must be at least 1x1 pixels, got {width_px}x{height_px}")
    picture = np.full((height_px, width_px, 3), 255, np.uint8)
    unit_px = height_px * _OVERSAMPLING
    seen = pose.seen
    # OpenCV's origin is the centre of the first pixel, a pose's is its corner. The array has one row of x and one of y
    # because NumPy is far faster on two long rows than on many pairs.
    scaled = pose.joints_px.T.astype(np.float64) * _OVERSAMPLING
    joints = np.minimum(np.maximum(scaled, -_FARTHEST_PX), _FARTHEST_PX) - 0.5
    left, top, right, bottom = _drawn_part(joints[:, seen], width_px, height_px)
    if left >= right or top >= bottom:
        return picture
    canvas = np.full(((bottom - top) * _OVERSAMPLING, (right - left) * _OVERSAMPLING, 3), 255, np.uint8)
    joints -= np.array([[left], [top]]) * _OVERSAMPLING
    centres = _fixed_point(joints.T).tolist()
    shown = (seen[_STARTS] & seen[_ENDS]).tolist()
    limbs, lines = _outlines(joints, unit_px)
    is_seen = seen.tolist()
    _draw_circles(canvas, centres, is_seen, _circle_radii(unit_px, _CIRCLES))
    _draw_limbs(canvas, limbs, shown)
    for polygon, colour, is_shown in zip(lines, _LINE_COLOURS, shown[len(_LIMBS) :], strict=True):
        if is_shown:
            cv2.fillConvexPoly(canvas, polygon, colour, cv2.LINE_AA, _SHIFT)
    _draw_circles(canvas, centres, is_seen, _circle_radii(unit_px, _PUPILS))
    part = picture[top:bottom, left:right]
    cv2.resize(canvas, (right - left, bottom - top), dst=part, interpolation=cv2.INTER_AREA)
    return picture


def _drawn_part(joints: _Points, width_px: int, height_px: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom, in pixels of the picture, of the part that drawing these joints can change.

    joints: `[2, N]`, in pixels of the oversampled canvas. The rest of the picture, usually two thirds, stays white.
    """
    if joints.size == 0:
        return 0, 0, 0, 0
    reach_px = _WIDEST_RADIUS * height_px + 2
    left, top = np.floor(joints.min(axis=1) / _OVERSAMPLING - reach_px).astype(int).tolist()
    right, bottom = np.ceil(joints.max(axis=1) / _OVERSAMPLING + reach_px).astype(int).tolist()
    return max(left, 0), max(top, 0), min(right, width_px), min(bottom, height_px)


@lru_cache(maxsize=64)
def _circle_radii(
    unit_px: int, circles: tuple[tuple[int, float, _Colour], ...]
) -> tuple[tuple[int, int, _Colour], ...]:
    """Return joint, fixed-point radius and colour for a canvas of that height."""
    return tuple(
        (joint, round(max(radius * unit_px - 0.5, 0.5) * (1 << _SHIFT)), colour) for joint, radius, colour in circles
    )


def _draw_circles(
    canvas: Picture, centres: list[list[int]], seen: list[bool], circles: tuple[tuple[int, int, _Colour], ...]
) -> None:
    for joint, radius, colour in circles:
        if seen[joint]:
            cv2.circle(canvas, centres[joint], radius, colour, -1, cv2.LINE_AA, _SHIFT)


def _draw_limbs(canvas: Picture, corners: _Points, shown: list[bool]) -> None:
    """Blend the limbs that overlap the canvas. corners: `[2, N, C]`."""
    size = np.array([[canvas.shape[1]], [canvas.shape[0]]], np.float64)
    lows = np.minimum(np.maximum(np.floor(corners.min(axis=2)) - 1, 0), size)
    highs = np.minimum(np.maximum(np.ceil(corners.max(axis=2)) + 2, 0), size)
    polygons = _polygons(corners - lows[:, :, None])
    boxes = np.concatenate([lows, highs]).astype(np.int64).T.tolist()
    for polygon, colour, box, is_shown in zip(polygons, _LIMB_COLOURS, boxes, shown[: len(_LIMBS)], strict=True):
        left, top, right, bottom = box
        if is_shown and left < right and top < bottom:
            below = canvas[top:bottom, left:right]
            above = below.copy()
            cv2.fillConvexPoly(above, polygon, colour, cv2.LINE_AA, _SHIFT)
            cv2.addWeighted(above, _LIMB_OPACITY, below, 1 - _LIMB_OPACITY, 0, dst=below)


def _outlines(joints: _Points, unit_px: int) -> tuple[_Points, NDArray[np.int32]]:
    """Return the corners of all limbs, `[2, N, C]`, and the polygons of all lines, `[M, 4, 2]`, seen or not.

    joints: `[2, J]`, x and y.
    """
    starts, ends = joints[:, _STARTS], joints[:, _ENDS]
    along = (ends - starts) / 2
    half_lengths_px = np.hypot(along[0], along[1])
    long = half_lengths_px > 0
    directions = along / np.where(long, half_lengths_px, 1)
    directions[0, ~long] = 1
    middles = (starts + ends) / 2
    count = len(_LIMBS)
    line_half_width_px = _LINE_WIDTH * unit_px / 2
    limbs = _between(
        middles[:, :count],
        directions[:, :count],
        half_lengths_px[:count],
        np.maximum(_LIMB_RADII * unit_px - _INFLATION_PX, 0.25),
        _ELLIPSE,
    )
    lines = _between(
        middles[:, count:],
        directions[:, count:],
        half_lengths_px[count:] + line_half_width_px / 2,
        np.array([max(line_half_width_px - _INFLATION_PX, 0.0)]),
        _RECTANGLE,
    )
    return limbs, _polygons(lines)


def _between(
    middles: _Points,
    directions: _Points,
    half_lengths_px: NDArray[np.float64],
    half_widths_px: NDArray[np.float64],
    shape: _Points,
) -> _Points:
    """Stretch a shape in the unit square, `[C, 2]`, along `N` lines, to `[2, N, C]`.

    middles, directions: `[2, N]`, x and y. half_lengths_px: `[N]`. half_widths_px: `[N]` or `[1]`. A line is at least
    as long as it is wide.
    """
    across = np.stack([-directions[1], directions[0]])
    lengthwise = directions * np.maximum(half_lengths_px, half_widths_px)
    crosswise = across * half_widths_px
    return np.asarray(middles[:, :, None] + shape[:, 0] * lengthwise[:, :, None] + shape[:, 1] * crosswise[:, :, None])


def _polygons(corners: _Points) -> NDArray[np.int32]:
    """Convert corners, `[2, N, C]`, to OpenCV's polygons, `[N, C, 2]`."""
    return np.ascontiguousarray(_fixed_point(corners).transpose(1, 2, 0))


def _fixed_point(values: _Points) -> NDArray[np.int32]:
    return np.asarray(np.rint(values * (1 << _SHIFT)), dtype=np.int32)
