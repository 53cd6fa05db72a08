"""The affine moves that take a limb from a key frame's pose to the asked one.

Every function returns a move as `[2, 3]` float64: `asked = move[:, :2] @ key_frame + move[:, 2]`, positions in pixels
from the picture's upper left corner. Closed forms only: NumPy's linear algebra starts threads, and is much slower on
matrices this small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.wardrobe.limbs import BONES, FOREARMS, HANDS, HEELS, Limb
from motion.wardrobe.placing import HEAD_JOINTS, Floats, PlacedBody, hand_points_of

_SHORTEST_PX: Final = 2.5
"""Shorter limbs have no direction to turn by."""
_FACE_POINTS: Final = [skeleton.FACE.start + point for point in (0, 4, 8, 12, 16, 27, 30, 36, 39, 42, 45, 48, 54)]
"""Points of the face that lie well apart: jaw, nose, the corners of eyes and mouth."""
_FACE_POINTS_SEEN: Final = 40
_NECK_WEIGHT: Final = 0.04
_NECK_WIDTH, _NECK_SHARE = 0.7, 0.5
_TORSO_STIFFNESS: Final = 0.25
"""The torso's four corners pull on it as springs would; this is the spring of the whole, in torso lengths."""
_TORSO_CORNERS: Final = (skeleton.R_SHOULDER, skeleton.L_SHOULDER, skeleton.R_HIP, skeleton.L_HIP)
_WRIST_PULL, _ANKLE_PULL = 0.5, 0.35
"""How far a hand and a foot follow their joint rather than their other points, which keeps them from coming off."""
_MOST_TILTED: Final = math.radians(60)
"""A head that would tilt farther than its own line does is seen from another side in the key frame."""
_TURNED_AWAY_FROM: Final = 0.4
"""From this `_width_of_torso` on, in torso lengths, a body clearly shows its front or its back; a front is about 1."""
_MIRRORED_FROM: Final = 0.3
"""The sine of the angle between toes and heel from which a foot clearly points to one side."""
_HEAD_SCALES, _HAND_SCALES, _FOOT_SCALES = (0.85, 1.15), (0.8, 1.25), (0.75, 1.3)
"""By how much these may grow or shrink beyond the body's scale."""


def move_limb(limb: Limb, key: PlacedBody, asked: PlacedBody) -> Floats | None:
    """Return the move of a limb, or None if either body lacks it."""
    if not (key.placed[limb] and asked.placed[limb]):
        return None
    scale = asked.scale_px / key.scale_px
    if limb is Limb.HEAD:
        return _move_head(key, asked, scale)
    if limb is Limb.TORSO:
        return _move_torso(key, asked, scale)
    if limb in HANDS:
        return _move_hand(limb, key, asked, scale)
    if limb in HEELS:
        joints = [BONES[limb].start, BONES[limb].end, HEELS[limb]]
        if key.pose.confidence[joints[2]] > 0 and asked.pose.confidence[joints[2]] > 0:
            key_px, asked_px = key.pose.joints_px[joints].astype(np.float64), asked.pose.joints_px[joints]
            mirrored = _side_of_foot(key_px) * _side_of_foot(asked_px) < 0
            if mirrored:
                key_px[:, 0] *= -1
            move = similarity(key_px, asked_px, None, _scaled(_FOOT_SCALES, scale))
            if mirrored:
                move[:, 0] *= -1
            return _drawn_to_joint(move, BONES[limb].start, key, asked, _ANKLE_PULL)
    # The outer side of a hip or a shoulder stays outside if no key frame shows the asked side of the person.
    mirrored = _show_other_sides(key, asked, _TURNED_AWAY_FROM)
    return along_bone(key.ends_px[limb], asked.ends_px[limb], scale, mirrored=mirrored)


def move_neck(key: PlacedBody, asked: PlacedBody) -> Floats | None:
    """Return the move that fills the place of the neck below head and torso with a narrower head, pulled to the neck.

    None if either body lacks a head. The pieces above it leave open only what no frame shows, such as the throat of a
    person who always looks down.
    """
    if not (key.placed[Limb.HEAD] and asked.placed[Limb.HEAD]):
        return None
    key_px, asked_px = key.ends_px[Limb.HEAD], asked.ends_px[Limb.HEAD]
    start = asked_px[0] + _NECK_SHARE * (asked.pose.joints_px[skeleton.NECK] - asked_px[0])
    end = start + _NECK_WIDTH * (asked_px[1] - asked_px[0])
    return along_bone(key_px, np.stack([start, end]), _NECK_WIDTH * asked.scale_px / key.scale_px)


def along_bone(key_px: Floats, asked_px: Floats, scale: float, *, mirrored: bool = False) -> Floats:
    """Take one line to another, both `[2, 2]`: stretched along it to fit, and across it by the body's scale.

    mirrored: what is on the right of the line comes to its left.
    """
    (x0, y0), (x1, y1) = key_px.tolist()
    (u0, v0), (u1, v1) = asked_px.tolist()
    length, asked_length = math.hypot(x1 - x0, y1 - y0), math.hypot(u1 - u0, v1 - v0)
    if min(length, asked_length) < _SHORTEST_PX:
        return np.array([[scale, 0, u0 - scale * x0], [0, scale, v0 - scale * y0]])
    ex, ey = (x1 - x0) / length, (y1 - y0) / length
    fx, fy = (u1 - u0) / asked_length, (v1 - v0) / asked_length
    stretch = asked_length / length
    scale = -scale if mirrored else scale
    a, b = stretch * fx * ex + scale * fy * ey, stretch * fx * ey - scale * fy * ex
    c, d = stretch * fy * ex - scale * fx * ey, stretch * fy * ey + scale * fx * ex
    return np.array([[a, b, u0 - a * x0 - b * y0], [c, d, v0 - c * x0 - d * y0]])


def similarity(
    key_px: NDArray[Any], asked_px: NDArray[Any], weights: Sequence[float] | None, scales: tuple[float, float]
) -> Floats:
    """Turn, scale and shift points, `[N, 2]`, onto others with the least weighted squared error.

    scales: the least and the largest scale. Source: Umeyama 1991, in its closed form for two dimensions.
    """
    share = np.full(len(key_px), 1 / len(key_px)) if weights is None else np.array(weights) / np.sum(weights)
    key_middle, asked_middle = share @ key_px.astype(np.float64), share @ asked_px.astype(np.float64)
    x, y = (key_px - key_middle).T
    u, v = (asked_px - asked_middle).T
    together, turned = float(share @ (x * u + y * v)), float(share @ (x * v - y * u))
    spread = max(float(share @ (x * x + y * y)), 1e-9)
    scale = min(max(math.hypot(together, turned) / spread, scales[0]), scales[1])
    angle = math.atan2(turned, together)
    a, b = scale * math.cos(angle), scale * math.sin(angle)
    (cx, cy), (cu, cv) = key_middle.tolist(), asked_middle.tolist()
    return np.array([[a, -b, cu - a * cx + b * cy], [b, a, cv - b * cx - a * cy]])


def _move_head(key: PlacedBody, asked: PlacedBody, scale: float) -> Floats:
    """Move the head by the points of the face if both were seen, else by eyes, ears and nose; the neck steadies.

    A head seen from the back has its eyes and ears the other way round. If no key frame shows it so, it stays upright.
    """
    key_seen, asked_seen = key.pose.confidence > 0, asked.pose.confidence > 0
    both = key_seen & asked_seen
    enough = min(np.count_nonzero(key_seen[skeleton.FACE]), np.count_nonzero(asked_seen[skeleton.FACE]))
    face = enough > _FACE_POINTS_SEEN and bool(both[_FACE_POINTS].all())
    joints = _FACE_POINTS if face else [joint for joint in HEAD_JOINTS if both[joint]]
    key_px, asked_px = key.ends_px[Limb.HEAD], asked.ends_px[Limb.HEAD]
    by_axis = along_bone(key_px, asked_px, scale)
    if len(joints) < 2:
        return by_axis
    move = similarity(
        np.vstack([key.pose.joints_px[joints], key.ends_px[Limb.HEAD, 0]]),
        np.vstack([asked.pose.joints_px[joints], asked.ends_px[Limb.HEAD, 0]]),
        [*[1.0] * len(joints), _NECK_WEIGHT * len(joints)],
        _scaled(_HEAD_SCALES, scale),
    )
    (along_x, along_y), (asked_x, asked_y) = (key_px[1] - key_px[0]).tolist(), (asked_px[1] - asked_px[0]).tolist()
    (a, b), (c, d) = move[:, :2].tolist()
    moved_x, moved_y = a * along_x + b * along_y, c * along_x + d * along_y
    tilt = math.atan2(moved_x * asked_y - moved_y * asked_x, moved_x * asked_x + moved_y * asked_y)
    return by_axis if abs(tilt) > _MOST_TILTED else move


def _move_torso(key: PlacedBody, asked: PlacedBody, scale: float) -> Floats:
    """Move the torso by its axis, and let shoulders and hips pull it into an affine shape (ridge regression).

    A torso asked for from the other side, which no key frame shows, is drawn as it was filmed, not mirrored.
    """
    by_axis = along_bone(key.ends_px[Limb.TORSO], asked.ends_px[Limb.TORSO], scale)
    both = (key.pose.confidence > 0) & (asked.pose.confidence > 0)
    joints = [joint for joint in _TORSO_CORNERS if both[joint]]
    turned_away = _show_other_sides(key, asked)
    if len(joints) < (4 if turned_away else 3):
        return by_axis
    # Python's numbers: NumPy needs several times as long for four points.
    at_x, at_y = zip(*key.pose.joints_px[joints].tolist(), strict=True)
    pulled_to = [skeleton.MIRRORED[joint] for joint in joints] if turned_away else joints
    u, v = zip(*asked.pose.joints_px[pulled_to].tolist(), strict=True)
    middle_x, middle_y, middle_u, middle_v = (sum(values) / len(joints) for values in (at_x, at_y, u, v))
    x, y = [value - middle_x for value in at_x], [value - middle_y for value in at_y]
    stiffness = (_TORSO_STIFFNESS * key.scale_px) ** 2
    xx, xy, yy = _dot(x, x) + stiffness, _dot(x, y), _dot(y, y) + stiffness
    size = xx * yy - xy * xy
    rows = []
    for values, middle, (along_x, along_y) in ((u, middle_u, by_axis[0, :2]), (v, middle_v, by_axis[1, :2])):
        to_x, to_y = _dot(values, x) + stiffness * along_x, _dot(values, y) + stiffness * along_y
        a, b = (to_x * yy - to_y * xy) / size, (to_y * xx - to_x * xy) / size
        rows.append((a, b, middle - a * middle_x - b * middle_y))
    return np.array(rows)


def _show_other_sides(key: PlacedBody, asked: PlacedBody, least_width: float = 0.0) -> bool:
    """Whether one body shows its front and the other its back, both at least so wide; False without a torso."""
    one, other = _width_of_torso(key), _width_of_torso(asked)
    return one * other < 0 and min(abs(one), abs(other)) > least_width


def _width_of_torso(body: PlacedBody) -> float:
    """How far the left shoulder and the left hip lie to one side of the right ones, added, in torso lengths.

    Negative to the other side; NaN without a torso.
    """
    known = body.feature(Limb.TORSO)
    return float(known[2] + known[4])


def _side_of_foot(joints_px: NDArray[Any]) -> float:
    """1 or -1 for a foot that points to one side, 0 where that is unclear. joints_px: ankle, toes, heel."""
    (x, y), (toes_x, toes_y), (heel_x, heel_y) = joints_px.tolist()
    toes_x, toes_y, heel_x, heel_y = toes_x - x, toes_y - y, heel_x - x, heel_y - y
    across, lengths = toes_x * heel_y - toes_y * heel_x, math.hypot(toes_x, toes_y) * math.hypot(heel_x, heel_y)
    return math.copysign(1.0, across) if abs(across) > _MIRRORED_FROM * lengths else 0.0


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(p * q for p, q in zip(one, other, strict=True))


def _move_hand(limb: Limb, key: PlacedBody, asked: PlacedBody, scale: float) -> Floats:
    """Move a hand by its 21 points, halfway drawn to the wrist; a hand that was not seen goes with its forearm."""
    key_points, asked_points = hand_points_of(limb, key), hand_points_of(limb, asked)
    if key_points is not None and asked_points is not None:
        move = similarity(key_points, asked_points, None, _scaled(_HAND_SCALES, scale))
        return _drawn_to_joint(move, BONES[limb].start, key, asked, _WRIST_PULL)
    forearm = FOREARMS[limb]
    if key.placed[forearm] and asked.placed[forearm]:
        return along_bone(key.ends_px[forearm], asked.ends_px[forearm], scale)
    return along_bone(key.ends_px[limb], asked.ends_px[limb], scale)


def _drawn_to_joint(move: Floats, joint: int, key: PlacedBody, asked: PlacedBody, share: float) -> Floats:
    """Shift a move so that a joint comes nearer to where it is asked, by a share of the way."""
    moved = move[:, :2] @ key.pose.joints_px[joint] + move[:, 2]
    move[:, 2] += share * (asked.pose.joints_px[joint] - moved)
    return move


def _scaled(scales: tuple[float, float], scale: float) -> tuple[float, float]:
    return scales[0] * scale, scales[1] * scale
