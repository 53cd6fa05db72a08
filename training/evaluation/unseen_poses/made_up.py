"""Made-up poses: the actor's own body with its limbs turned to where the footage never shows them.

They depend on the footage alone, not on a network or a seed, so every version of an actor is asked for the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose

# Shapes: J the joints of a pose, F frames of the footage.

_COMPARED: Final = 19
"""BODY_25's joints without the feet, which detectors place least surely."""
_NEAR: Final = 0.35
"""A pose is unseen if some joint is at least this far, in torso lengths, from its place in every frame."""
_SURE: Final = 0.5
_EDGE: Final = 0.03
"""The room between a pose and the edge of the picture, as a fraction of its side."""


@dataclass(frozen=True, slots=True)
class _Chain:
    """A limb of two bones: its joints from the trunk outwards, and what is carried by the end of each bone."""

    joints: tuple[int, int, int]
    carried: tuple[int, ...]


_hand = {
    "left": tuple(range(skeleton.LEFT_HAND.start, skeleton.LEFT_HAND.stop)),
    "right": tuple(range(skeleton.RIGHT_HAND.start, skeleton.RIGHT_HAND.stop)),
}
_ARMS: Final = {
    "left": _Chain((skeleton.L_SHOULDER, skeleton.L_ELBOW, skeleton.L_WRIST), _hand["left"]),
    "right": _Chain((skeleton.R_SHOULDER, skeleton.R_ELBOW, skeleton.R_WRIST), _hand["right"]),
}
_LEGS: Final = {
    "left": _Chain(
        (skeleton.L_HIP, skeleton.L_KNEE, skeleton.L_ANKLE),
        (skeleton.L_BIG_TOE, skeleton.L_SMALL_TOE, skeleton.L_HEEL),
    ),
    "right": _Chain(
        (skeleton.R_HIP, skeleton.R_KNEE, skeleton.R_ANKLE),
        (skeleton.R_BIG_TOE, skeleton.R_SMALL_TOE, skeleton.R_HEEL),
    ),
}
_HEAD: Final = (
    skeleton.NOSE, skeleton.R_EYE, skeleton.L_EYE, skeleton.R_EAR, skeleton.L_EAR,
    *range(skeleton.FACE.start, skeleton.FACE.stop),
)  # fmt: skip
_UPPER: Final = (*_HEAD, skeleton.NECK, *(j for arm in _ARMS.values() for j in (*arm.joints, *arm.carried)))

Bones = tuple[float, float]
"""The angles of a limb's two bones in degrees: 0 hangs down, 90 points sideways away from the body, 180 up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A pose in words. arms, legs: the angles by side; a side that is left out stays as it is in the footage.

    lean: degrees by which the trunk tilts towards the person's left. mirrored: the whole person. head_mirrored: the
    head alone looks to the other side.
    """

    name: str
    arms: dict[str, Bones] | None = None
    legs: dict[str, Bones] | None = None
    lean: float = 0.0
    mirrored: bool = False
    head_mirrored: bool = False


def _both(upper: float, lower: float) -> dict[str, Bones]:
    return {"left": (upper, lower), "right": (upper, lower)}


FIGURES: Final = (
    Figure(name="arms out", arms=_both(90, 90)),
    Figure(name="arms up", arms=_both(170, 175)),
    Figure(name="elbows out, hands up", arms=_both(90, 175)),
    Figure(name="hands above the head", arms=_both(130, 215)),
    Figure(name="one arm up", arms={"right": (170, 170)}),
    Figure(name="the other arm up, leaning", arms={"left": (165, 170), "right": (60, 40)}, lean=-18),
    Figure(name="arms before the chest", arms=_both(20, -105)),
    Figure(name="hands on the hips", arms=_both(50, -45)),
    Figure(name="squat", legs=_both(62, -18), arms=_both(70, 95)),
    Figure(name="knee up", legs={"right": (85, 5)}, arms={"left": (100, 120)}),
    Figure(name="lunge", legs={"right": (65, 5), "left": (38, 38)}, arms={"right": (95, 95)}),
    Figure(name="kick to the side", legs={"left": (70, 70)}, arms={"right": (110, 110)}, lean=-20),
    Figure(name="head to the other side", head_mirrored=True),
    Figure(name="mirrored", mirrored=True),
    Figure(name="mirrored, arms out", arms=_both(80, 80), mirrored=True),
)


def unseen_poses(footage: Sequence[Pose], width_px: int, height_px: int) -> dict[str, Pose]:
    """The figures that no frame of the footage comes near, by name, in pixels of the actor's picture.

    footage: all poses of the footage, in the same pixels. Figures that need a joint which the footage never shows are
    left out; without a pose that shows the body, the result is empty.
    """
    base = _base(footage)
    if base is None:
        return {}
    known_FJ2, seen_FJ = _shapes(footage)
    made = {}
    for figure in FIGURES:
        pose = made_up(base, figure)
        if pose is None:
            continue
        shape_1J2, asked_1J = _shapes([pose])
        away_FJ = np.linalg.norm(known_FJ2 - shape_1J2, axis=2) * (seen_FJ & asked_1J)
        if float(away_FJ.max(axis=1).min()) >= _NEAR:
            made[figure.name] = _inside(pose, base, width_px, height_px)
    return made


def made_up(base: Pose, figure: Figure) -> Pose | None:
    """`base` with its limbs turned as the figure says, its lowest foot on the same height; None if a joint is unseen.

    The lengths of all bones stay those of `base`.
    """
    joints_px, seen = base.joints_px.astype(np.float64), base.seen
    left_px, right_px = joints_px[skeleton.L_SHOULDER], joints_px[skeleton.R_SHOULDER]
    outward = 1.0 if left_px[0] >= right_px[0] else -1.0  # where the person's left is in the picture
    for limbs, angles in ((_ARMS, figure.arms), (_LEGS, figure.legs)):
        for side, bones in (angles or {}).items():
            chain = limbs[side]
            if not seen[list(chain.joints)].all():
                return None
            _turn(joints_px, chain, bones, outward if side == "left" else -outward)
    if figure.head_mirrored:
        head = list(_HEAD)
        turned = _pose(joints_px, base).mirrored(float(joints_px[skeleton.NECK, 0]))
        joints_px[head] = turned.joints_px[head]
    if figure.lean:
        upper = list(_UPPER)
        joints_px[upper] = _rotated(joints_px[upper], joints_px[skeleton.MID_HIP], math.radians(figure.lean) * outward)
    joints_px[:, 1] += _ground(base.joints_px, seen) - _ground(joints_px, seen)
    pose = _pose(joints_px, base)
    return pose.mirrored(float(pose.joints_px[skeleton.MID_HIP, 0])) if figure.mirrored else pose


def _pose(joints_px: NDArray[np.float64], base: Pose) -> Pose:
    return Pose(joints_px.astype(np.float32), base.confidence)


def _base(footage: Sequence[Pose]) -> Pose | None:
    """The pose to start from: it shows the most joints, and stands as upright as three quarters of the frames do."""
    needed = [skeleton.NECK, skeleton.MID_HIP, skeleton.L_SHOULDER, skeleton.R_SHOULDER]
    usable = [pose for pose in footage if pose.seen[needed].all()]
    if not usable:
        return None
    sure = [int((pose.confidence[: skeleton.BODY_COUNT] >= _SURE).sum()) for pose in usable]
    usable = [pose for pose, count in zip(usable, sure, strict=True) if count >= max(sure) - 1]
    heights_px = [_ground(pose.joints_px, pose.seen) - float(pose.joints_px[skeleton.NECK, 1]) for pose in usable]
    return usable[int(np.argmin(np.abs(np.array(heights_px) - np.percentile(heights_px, 75))))]


def _turn(joints_px: NDArray[np.float64], chain: _Chain, bones: Bones, outward: float) -> None:
    """Turn a limb's bones to these angles, in place."""
    for index, angle in enumerate(bones):
        start, end = chain.joints[index], chain.joints[index + 1]
        moving = [*chain.joints[index + 1 :], *chain.carried]
        bone_px = joints_px[end] - joints_px[start]
        asked = math.atan2(math.cos(math.radians(angle)), outward * math.sin(math.radians(angle)))
        joints_px[moving] = _rotated(joints_px[moving], joints_px[start], asked - math.atan2(bone_px[1], bone_px[0]))


def _rotated(points_px: NDArray[np.float64], centre_px: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    return np.asarray(centre_px + (points_px - centre_px) @ turn, np.float64)


def _ground(joints_px: NDArray[np.float32] | NDArray[np.float64], seen: NDArray[np.bool_]) -> float:
    """The height of the lowest seen joint, in pixels from the top."""
    return float(joints_px[seen, 1].max())


def _shapes(poses: Sequence[Pose]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The joints from the middle of the hips in torso lengths, `[F, J, 2]`, and which of them are seen, `[F, J]`."""
    joints_px = np.stack([pose.joints_px[:_COMPARED] for pose in poses]).astype(np.float64)
    seen = np.stack([pose.seen[:_COMPARED] for pose in poses])
    hips_px, neck_px = joints_px[:, skeleton.MID_HIP], joints_px[:, skeleton.NECK]
    torso_px = np.maximum(np.linalg.norm(neck_px - hips_px, axis=1), 1.0)
    seen &= (seen[:, skeleton.MID_HIP] & seen[:, skeleton.NECK])[:, None]
    return (joints_px - hips_px[:, None]) / torso_px[:, None, None], seen


def _inside(pose: Pose, base: Pose, width_px: int, height_px: int) -> Pose:
    """The pose made smaller about where the person stands, until it fits into the picture."""
    feet_px = np.array([base.joints_px[skeleton.MID_HIP, 0], _ground(base.joints_px, base.seen)], np.float64)
    size_px = np.array([width_px, height_px], np.float64)
    offsets_px = pose.joints_px[pose.seen].astype(np.float64) - feet_px
    low_px, high_px = size_px * _EDGE - feet_px, size_px * (1 - _EDGE) - feet_px
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(offsets_px < 0, low_px / offsets_px, high_px / offsets_px)
    scale = float(np.nanmin(np.where(room > 0, room, np.inf), initial=1.0))
    return pose.transformed(scale, scale, *(feet_px * (1 - scale)).tolist())
