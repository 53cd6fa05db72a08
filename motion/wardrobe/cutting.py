"""Cutting the limbs of one frame: the person's mask, shared out among the limbs by their distance from each bone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import Picture
from motion.wardrobe.limbs import (
    BONES,
    HANDS,
    HEELS,
    LEFT_ARM,
    LIMB_COUNT,
    NEIGHBOURS,
    RIGHT_ARM,
    UNDER_LAYERS,
    Limb,
)
from motion.wardrobe.placing import Floats, PlacedBody, hand_points_of

Weights = NDArray[np.float32]

_ADVANTAGES: Final = np.array([bone.advantage for bone in BONES.values()], np.float32)
_MASK_FROM, _MASK_TO = 0.45, 0.85
"""Mask values, of 1, at which a pixel begins to count as the person, and counts in full."""
_EDGE: Final = 0.12
"""Width of a piece's soft edge, as a part of the limb's radius."""
_REACH: Final = 1.06
"""How far from its bone a limb is cut, in radii."""
_OVERLAP_OF_NEIGHBOURS, _OVERLAP_OF_OTHERS = 0.40, 0.02
"""How far pieces extend into another limb's pixels, in radii. Neighbours overlap, so that a bent joint stays closed."""
_OVERLAP_AT_SHOULDERS: Final = 0.25
"""The same between torso and upper arm, which turn far: a longer overlap would stand off as a flap."""
_SHOULDER_FROM, _SHOULDER_TO = 0.20, 0.28
"""Between these distances from the shoulder, in torso lengths, that overlap ends; beyond, torso and arm only touch."""
_SHOULDERS: Final = ({Limb.TORSO, Limb.RIGHT_UPPER_ARM}, {Limb.TORSO, Limb.LEFT_UPPER_ARM})
_TORSO_DISTANCE: Final = 0.62
"""The least relative distance of the torso's own pixels: limbs before the chest win them from a distance."""
_CORE: Final = 0.55
"""Within this many radii of its bone, a limb is hidden where others have the pixels."""
_INNER_FROM, _INNER_TO = 0.62, 0.47
"""Between these distances from the bone, in radii, an under-layer fades: it shows the middle of the limb."""
_ALONE: Final = 0.95
_CERTAIN: Final = 0.95
"""Colours are learnt from pixels this far from a second limb, in radii, and covered this much."""
_COLOUR_WEIGHT: Final = 1.0
"""What a wrong colour counts, in radii of distance."""
_MOST_HEAD_COST: Final = 0.4
"""The same for the head, which keeps some collar: it joins head and shirt."""
_NECK_FROM, _NECK_TO = 0.14, 0.24
"""Between these distances below its line, in torso lengths, the head's piece fades."""
_JOINT_RADIUS: Final = 0.8
"""The radius of the disc around a joint that bends, in radii of the limb."""
_SHOULDER_RADIUS, _ANKLE_RADIUS, _WRIST_RADIUS, _CROTCH_RADIUS = 0.12, 0.16, 0.08, 0.17
"""The same at other joints, in torso lengths. Trousers often end above the ankle, and sleeves before the wrist."""
_CROTCH_BELOW: Final = 0.10
"""The middle of the crotch below the middle of the hips, in torso lengths."""
_FEATHER: Final = 0.016
"""The softness of a piece's edge, in torso lengths."""
_THREADS: Final = (0.025, 0.055)
"""Strips thinner than twice the first, in torso lengths, are removed; from thighs and hems, twice the second."""
_WIDE_THREADS_FROM: Final = -0.25
"""Where the hem begins, from the hips on, in torso lengths; above it, collars are thin."""
FAR: Final = 9.0
"""Stands for the distance of pixels out of a limb's reach, in radii."""
_FINGER_RADIUS: Final = 0.045
"""How far from its line a finger is cut, in torso lengths: its width, and what the pose estimator errs by."""
_HEM: Final = 0.05
"""How far the torso extends below the hips, in torso lengths."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def empty(self) -> bool:
        """Whether no pixel is inside."""
        return self.right <= self.left or self.bottom <= self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index a picture."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, outer: Box) -> tuple[slice, slice]:
        """Rows and columns of this box in an array of the outer one's pixels."""
        rows = slice(self.top - outer.top, self.bottom - outer.top)
        return rows, slice(self.left - outer.left, self.right - outer.left)


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """One limb of one frame.

    weights: `[h, w]` float32 in [0, 1], the coverage of each pixel in the box. inner: the same for the under-layer, or
    None for limbs without one. hidden: in [0, 1], how much of the limb other limbs hide.
    """

    box: Box
    weights: Weights
    inner: Weights | None
    hidden: float


def person_weights(mask: NDArray[np.uint8]) -> Weights:
    """Turn a person's mask, `[H, W]` uint8, into the coverage of its pixels, in [0, 1]; faint pixels get none."""
    covered = (mask.astype(np.float32) / 255 - _MASK_FROM) / (_MASK_TO - _MASK_FROM)
    return np.clip(covered, 0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Where the limbs of one frame are.

    boxes: the pixels within reach of each limb that can be placed and touches the picture. person: the box around them.
    covered: `[h, w]` float32, the coverage of the person box's pixels. distances: `[LIMB_COUNT, h, w]` float32, their
    distances from each limb in radii of the limb; `FAR` from limbs without a box.
    """

    body: PlacedBody
    boxes: dict[Limb, Box]
    person: Box
    covered: Weights
    distances: Weights


def find_regions(body: PlacedBody, mask: NDArray[np.uint8]) -> Regions | None:
    """Find the limbs of a frame. body: in pixels of the mask, `[H, W]` uint8. None if no limb touches the picture."""
    boxes = {limb: box for limb in Limb if body.placed[limb] and not (box := _box(limb, body, mask.shape)).empty}
    if not boxes:
        return None
    sides = np.array([(box.left, box.top, box.right, box.bottom) for box in boxes.values()])
    person = Box(*sides[:, :2].min(axis=0).tolist(), *sides[:, 2:].max(axis=0).tolist())
    covered = person_weights(mask[person.slices])
    distances = np.full((LIMB_COUNT, *covered.shape), FAR, np.float32)
    for limb in boxes:
        distances[limb] = _distance(limb, body, person)
    return Regions(body, boxes, person, covered, distances)


def sample_colours(regions: Regions, picture: Picture) -> Iterator[tuple[Limb, NDArray[np.uint8]]]:
    """Yield the colours of each limb's middle, `[P, 3]` uint8, where no other limb is near."""
    pixels = picture[regions.person.slices]
    two_nearest = np.partition(regions.distances, 1, axis=0)[1]
    certain = (two_nearest > _ALONE) & (regions.covered > _CERTAIN)
    for limb in regions.boxes:
        yield limb, pixels[certain & (regions.distances[limb] < _CORE)]


def cut_limbs(regions: Regions, colour_costs: NDArray[np.float32] | None = None) -> dict[Limb, Cut]:
    """Cut the limbs of a frame.

    colour_costs: `[LIMB_COUNT, h, w]`, how little the colours of the person box's pixels suit each limb, in [0, 1].
    """
    score = regions.distances - _ADVANTAGES[:, None, None]
    np.maximum(score[Limb.TORSO], _TORSO_DISTANCE, out=score[Limb.TORSO])
    if colour_costs is not None:
        score += np.float32(_COLOUR_WEIGHT) * colour_costs
        score[Limb.HEAD] -= np.maximum(_COLOUR_WEIGHT * colour_costs[Limb.HEAD] - _MOST_HEAD_COST, 0)
    score[regions.distances > _REACH] = FAR  # or the pixel would be in no piece
    return {limb: _cut(limb, regions, score) for limb in regions.boxes}


def _cut(limb: Limb, regions: Regions, score: Weights) -> Cut:
    """Cut one limb. score: `[LIMB_COUNT, h, w]`; the limb with the lowest score gets a pixel of the person."""
    box, (rows, columns) = regions.boxes[limb], regions.boxes[limb].within(regions.person)
    score, covered = score[:, rows, columns], regions.covered[rows, columns]
    distances = regions.distances[:, rows, columns]
    neighbours = [other for other in regions.boxes if NEIGHBOURS[limb, other]]
    strangers = [other for other in regions.boxes if other != limb and not NEIGHBOURS[limb, other]]
    own = _preferred(score[limb], score[strangers], _OVERLAP_OF_OTHERS)
    rivals = score[neighbours]
    for rival, other in zip(rivals, neighbours, strict=True):
        rival += _overlap(limb, other, regions.body, box)
    beside_neighbours = _preferred(score[limb], rivals, 0)
    for joint_px, radius in _bending_joints(limb, regions.body):
        around = _distance_from_line(box, joint_px, joint_px) / np.float32(radius * regions.body.scale_px)
        np.maximum(beside_neighbours, np.clip((1 - around) / _EDGE, 0, 1), out=beside_neighbours)
    own = np.minimum(own, beside_neighbours)
    weights = covered * np.clip((_REACH - distances[limb]) / _EDGE, 0, 1) * own
    if limb is Limb.HEAD:
        below = _beyond(box, regions.body.ends_px[Limb.HEAD, ::-1], regions.body.scale_px)
        weights *= np.clip((_NECK_TO - below) / (_NECK_TO - _NECK_FROM), 0, 1)
    elif limb not in HANDS:
        narrow, wide = (_without_threads(weights, part * regions.body.scale_px) for part in _THREADS)
        far = _beyond(box, regions.body.ends_px[limb], regions.body.scale_px) > _WIDE_THREADS_FROM
        weights = np.where(far, wide, narrow) if limb is Limb.TORSO else wide if limb in UNDER_LAYERS else narrow
    # The blur must not reach pixels outside the person.
    weights = np.minimum(cv2.GaussianBlur(weights, (0, 0), _FEATHER * regions.body.scale_px), covered)
    core = distances[limb] < _CORE
    hidden = 1 - float((own * covered)[core].mean()) if core.any() else 1.0
    if limb in RIGHT_ARM or limb in LEFT_ARM:
        hidden = max(hidden, _before_the_torso(limb, regions.body, box, distances))
    inner = None
    if limb in UNDER_LAYERS:
        middle = np.clip((_INNER_FROM - distances[limb]) / (_INNER_FROM - _INNER_TO), 0, 1)
        inner = np.minimum(cv2.GaussianBlur(weights * middle, (0, 0), 0.7), covered)
    return Cut(box, weights, inner, hidden)


def _overlap(limb: Limb, neighbour: Limb, body: PlacedBody, box: Box) -> Weights | np.float32:
    """How far a limb's piece extends into a neighbour's pixels, in radii."""
    if {limb, neighbour} not in _SHOULDERS:
        return np.float32(_OVERLAP_OF_NEIGHBOURS)
    shoulder_px = body.ends_px[neighbour if limb is Limb.TORSO else limb, 0]
    away = _distance_from_line(box, shoulder_px, shoulder_px) / np.float32(body.scale_px)
    near = np.clip((_SHOULDER_TO - away) / (_SHOULDER_TO - _SHOULDER_FROM), 0, 1)
    return np.asarray(_OVERLAP_OF_OTHERS + (_OVERLAP_AT_SHOULDERS - _OVERLAP_OF_OTHERS) * near, np.float32)


def _without_threads(weights: Weights, half_width_px: float) -> Weights:
    """Remove thin strips, such as the rest of a sleeve along an arm: moved elsewhere, they stick out."""
    side_px = 2 * round(half_width_px) + 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side_px, side_px))
    return np.asarray(cv2.morphologyEx(weights, cv2.MORPH_OPEN, brush), np.float32)


def _preferred(score: Weights, others: Weights, overlap: float) -> Weights:
    """How far a limb with this score has a pixel before others, `[N, h, w]`, in [0, 1]."""
    if not len(others):
        return np.ones(score.shape, np.float32)
    margin = (others.min(axis=0) + np.float32(overlap) - score) / np.float32(_EDGE)
    return np.asarray(np.clip(margin + np.float32(0.5), 0, 1))


def _bending_joints(limb: Limb, body: PlacedBody) -> list[tuple[Floats, float]]:
    """Where a limb is cut as a disc, so that no gap opens however far it bends: points in pixels and radii."""
    start, end = body.ends_px[limb]
    radius = _JOINT_RADIUS * BONES[limb].radius
    if limb is Limb.TORSO:
        arms = [arm[0] for arm in (RIGHT_ARM, LEFT_ARM) if body.placed[arm[0]]]
        return [(body.ends_px[arm, 0], _SHOULDER_RADIUS) for arm in arms]
    if limb in HANDS:
        return [(start, _WRIST_RADIUS)]
    if limb in HEELS:
        return [(start, _ANKLE_RADIUS)]
    if limb in (Limb.RIGHT_FOREARM, Limb.LEFT_FOREARM):
        return [(start, radius), (end, _WRIST_RADIUS)]
    if limb in (Limb.RIGHT_UPPER_ARM, Limb.LEFT_UPPER_ARM):
        return [(start, radius), (end, radius)]
    if limb in (Limb.RIGHT_THIGH, Limb.LEFT_THIGH):
        return [(start, radius), (end, radius), *_crotch(body)]
    return [(start, radius)] if limb in (Limb.RIGHT_SHIN, Limb.LEFT_SHIN) else []


def _crotch(body: PlacedBody) -> list[tuple[Floats, float]]:
    """The disc between the thighs, which both contain: it stays closed when the legs spread."""
    if not body.placed[Limb.TORSO]:
        return []
    start, end = body.ends_px[Limb.TORSO]
    down = (end - start) / max(math.hypot(*(end - start)), 1e-3)
    return [(end + _CROTCH_BELOW * body.scale_px * down, _CROTCH_RADIUS)]


def _beyond(box: Box, line_px: Floats, scale_px: float) -> Weights:
    """How far the box's pixels lie beyond the end of a line, in its direction, in torso lengths; negative before it."""
    start, end = line_px
    onward = (end - start) / max(math.hypot(*(end - start)), 1e-3) / scale_px
    x = np.arange(box.left, box.right, dtype=np.float32) + np.float32(0.5 - end[0])
    y = (np.arange(box.top, box.bottom, dtype=np.float32) + np.float32(0.5 - end[1]))[:, None]
    return np.asarray(x * np.float32(onward[0]) + y * np.float32(onward[1]))


def _before_the_torso(limb: Limb, body: PlacedBody, box: Box, distances: Weights) -> float:
    """How much of an arm lies before the torso, in [0, 0.9]: its edges there may be those of the shirt."""
    if not body.placed[Limb.TORSO]:
        return 0.0
    inside = distances[limb] < 1.1
    if limb in (Limb.RIGHT_UPPER_ARM, Limb.LEFT_UPPER_ARM):  # the shoulder always does
        shoulder = body.ends_px[limb, 0]
        inside &= _distance_from_line(box, shoulder, shoulder) > 0.22 * body.scale_px
    count = np.count_nonzero(inside)
    return 0.9 * np.count_nonzero(inside & (distances[Limb.TORSO] < 0.25)) / count if count else 0.0


def _box(limb: Limb, body: PlacedBody, shape: tuple[int, ...]) -> Box:
    """The pixels within a limb's reach."""
    points = _torso_corners(body) if limb is Limb.TORSO else body.ends_px[limb]
    if limb in HEELS and body.pose.confidence[HEELS[limb]] > 0:
        points = np.vstack([points, body.pose.joints_px[HEELS[limb]]])
    hand = hand_points_of(limb, body) if limb in HANDS else None
    if hand is not None:
        points = np.vstack([points, hand])
    reach = BONES[limb].radius * body.scale_px * _REACH + 1
    left, top = np.clip(points.min(axis=0) - reach, 0, 1 << 20).tolist()
    right, bottom = np.clip(points.max(axis=0) + reach, -1, 1 << 20).tolist()
    return Box(int(left), int(top), min(math.ceil(right), shape[1]), min(math.ceil(bottom), shape[0]))


def _distance(limb: Limb, body: PlacedBody, box: Box) -> Weights:
    """The distance of the box's pixels from a limb, in radii of the limb."""
    radius_px = BONES[limb].radius * body.scale_px
    start, end = body.ends_px[limb]
    if limb is Limb.TORSO:
        # OpenCV draws with fractional bits; pixel centres lie at halves.
        corners = cv2.convexHull((_torso_corners(body) - (box.left, box.top)).astype(np.float32))
        outside = np.ones((box.bottom - box.top, box.right - box.left), np.uint8)
        fixed = np.clip(np.rint(corners * 16 - 8), -(1 << 24), 1 << 24).astype(np.int32)
        cv2.fillConvexPoly(outside, fixed, (0,), cv2.LINE_8, 4)
        if outside.all():
            return np.full(outside.shape, FAR, np.float32)
        return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 5) / np.float32(radius_px), np.float32)
    distance = _distance_from_line(box, start, end)
    if limb in HEELS and body.pose.confidence[HEELS[limb]] > 0:
        heel = body.pose.joints_px[HEELS[limb]].astype(np.float64)
        for from_px, to_px in ((start, heel), (heel, end)):
            np.minimum(distance, _distance_from_line(box, from_px, to_px), out=distance)
    points = hand_points_of(limb, body) if limb in HANDS else None
    if points is not None:
        beside_fingers = np.ones(distance.shape, np.uint8)
        fingers = [np.rint((points[list(path[1:])] - (box.left, box.top)) * 16 - 8) for path in skeleton.FINGER_PATHS]
        lines = [np.clip(line, -(1 << 24), 1 << 24).astype(np.int32) for line in fingers]
        cv2.polylines(beside_fingers, lines, False, (0,), 1, cv2.LINE_8, 4)
        if not beside_fingers.all():
            apart = cv2.distanceTransform(beside_fingers, cv2.DIST_L2, 5)
            wider = np.float32(BONES[limb].radius / _FINGER_RADIUS)
            np.minimum(distance, np.asarray(apart, np.float32) * wider, out=distance)
    return distance / np.float32(radius_px)


def _torso_corners(body: PlacedBody) -> Floats:
    """The corners of the torso in pixels, `[N, 2]`: neck, shoulders, and hips with a little below them."""
    seen, joints = body.pose.confidence > 0, body.pose.joints_px.astype(np.float64)
    start, end = body.ends_px[Limb.TORSO]
    axis = end - start
    below = _HEM * body.scale_px * axis / max(math.hypot(*axis), 1e-3)
    shoulders = [joints[joint] for joint in (skeleton.R_SHOULDER, skeleton.L_SHOULDER) if seen[joint]]
    hips = [joints[joint] for joint in (skeleton.R_HIP, skeleton.L_HIP) if seen[joint]]
    return np.array([start, end, *shoulders, *hips, *(hip + below for hip in hips)])


def _distance_from_line(box: Box, start: Floats, end: Floats) -> Weights:
    """The distance in pixels of the centres of the box's pixels from the line between two points."""
    x = np.arange(box.left, box.right, dtype=np.float32) + np.float32(0.5 - start[0])
    y = (np.arange(box.top, box.bottom, dtype=np.float32) + np.float32(0.5 - start[1]))[:, None]
    line_x, line_y = np.float32(end[0] - start[0]), np.float32(end[1] - start[1])
    square = max(float(line_x) ** 2 + float(line_y) ** 2, 1e-6)
    along = np.clip((x * line_x + y * line_y) / np.float32(square), 0, 1)
    return np.hypot(x - along * line_x, y - along * line_y)
