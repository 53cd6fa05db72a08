"""Where the limbs of a body lie in a pose, and the numbers by which poses of a limb are compared."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose
from motion.wardrobe.limbs import BONES, FOREARMS, HANDS, HEELS, LIMB_COUNT, Limb

Floats = NDArray[np.float64]

MEASURED_LIMBS: Final = (
    Limb.TORSO, Limb.RIGHT_THIGH, Limb.LEFT_THIGH, Limb.RIGHT_SHIN, Limb.LEFT_SHIN,
    Limb.RIGHT_UPPER_ARM, Limb.LEFT_UPPER_ARM, Limb.RIGHT_FOREARM, Limb.LEFT_FOREARM,
)  # fmt: skip
"""Limbs with a fixed length; the others are measured by the body's scale."""
_USUAL_LENGTHS: Final = np.array([1.0, 0.8, 0.8, 0.78, 0.78, 0.57, 0.57, 0.5, 0.5])
"""Lengths of `MEASURED_LIMBS` in torso lengths, for limbs that the footage never shows."""
_FULL_LENGTH_PERCENTILE: Final = 90
"""Limbs pointing at the camera look shorter, errors of the pose estimator look longer."""
_FULLY_SEEN: Final = 3
"""The body's scale follows from its three least foreshortened limbs."""

_KNUCKLE: Final = 9
_SPREAD_OF_HAND: Final = [4, 8, 12, 16, 20, 5, 17]
"""Finger tips and the outer knuckles, as indices of a hand's 21 points."""
_HAND_POINTS_SEEN: Final = 15
_PALM_LENGTHS: Final = (0.10, 0.30)
"""Wrist to middle knuckle in torso lengths; other lengths are errors of the pose estimator."""
HEAD_JOINTS: Final = (skeleton.NOSE, skeleton.R_EYE, skeleton.L_EYE, skeleton.R_EAR, skeleton.L_EAR)

FEATURE_COUNTS: Final = (7, 6, 3, 3, 3, 3, 16, 16, 3, 3, 3, 3, 4, 4)
FEATURE_STARTS: Final = np.concatenate([[0], np.cumsum(FEATURE_COUNTS)[:-1]])
"""Where the features of each limb begin among all."""
FEATURE_COUNT: Final = sum(FEATURE_COUNTS)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedBody:
    """The limbs of one pose, in the pixels of that pose.

    scale_px: the length of a fully seen torso of this body. placed: `[14]` bool, which limbs can be placed.
    ends_px: `[14, 2, 2]`, start and end of each limb's line; 0 where not placed.
    features: `[FEATURE_COUNT]`, scale-free numbers that describe how each limb looks in this pose; NaN where unknown.
    facing: `[5]`, the vectors between the shoulders and between the hips and the head's turn, in torso lengths.
    """

    pose: Pose
    scale_px: float
    placed: NDArray[np.bool_]
    ends_px: Floats
    features: Floats
    facing: Floats

    def feature(self, limb: Limb) -> Floats:
        """The features of one limb."""
        return self.features[FEATURE_STARTS[limb] :][: FEATURE_COUNTS[limb]]


def measure_limbs(poses: Iterable[Pose]) -> Floats:
    """Measure the full length of each of `MEASURED_LIMBS` in pixels, `[9]`. Limbs never seen get the usual proportions.

    Raises ValueError if none of them was ever seen.
    """
    rows = np.array([_measured_lengths(pose) for pose in poses]).reshape(-1, len(MEASURED_LIMBS))
    lengths_px = np.full(len(MEASURED_LIMBS), np.nan)
    for index, column in enumerate(rows.T):
        if np.isfinite(column).any():
            lengths_px[index] = max(float(np.nanpercentile(column, _FULL_LENGTH_PERCENTILE)), 1.0)
    seen = np.isfinite(lengths_px)
    if not seen.any():
        raise ValueError("no frame shows a whole limb of the person: expected poses with arms, legs or a torso")
    torso_px = float(np.median(lengths_px[seen] / _USUAL_LENGTHS[seen]))
    return np.asarray(np.where(seen, lengths_px, torso_px * _USUAL_LENGTHS))


def scale_of(pose: Pose, lengths_px: Floats) -> float:
    """The length in pixels of a fully seen torso of a body as large as this pose.

    lengths_px: as `measure_limbs` returns them.
    """
    ratios = _measured_lengths(pose) / lengths_px
    ratios = np.sort(ratios[np.isfinite(ratios)])
    ratio = float(ratios[-_FULLY_SEEN:].mean()) if len(ratios) >= _FULLY_SEEN else 1.0
    return max(ratio * float(lengths_px[0]), 1.0)


def place(pose: Pose, lengths_px: Floats) -> PlacedBody:
    """Place the limbs of a pose. lengths_px: as `measure_limbs` returns them."""
    scale_px = scale_of(pose, lengths_px)
    joints = pose.joints_px.astype(np.float64)
    seen = pose.confidence > 0
    placed = np.zeros(LIMB_COUNT, np.bool_)
    ends_px = np.zeros((LIMB_COUNT, 2, 2))
    features = np.full(FEATURE_COUNT, np.nan)
    for limb, bone in BONES.items():
        known = features[FEATURE_STARTS[limb] :][: FEATURE_COUNTS[limb]]
        if limb in HANDS:
            placed[limb] = _place_hand(limb, joints, seen, scale_px, ends_px[limb], known)
        elif limb is Limb.HEAD:
            placed[limb] = _place_head(joints, seen, scale_px, ends_px[limb], known)
        elif seen[bone.start] and seen[bone.end]:
            placed[limb] = True
            ends_px[limb] = joints[[bone.start, bone.end]]
            vector = (joints[bone.end] - joints[bone.start]) / scale_px
            if limb is Limb.TORSO:
                _describe_torso(vector, _shoulders_and_hips(joints, seen) / scale_px, known)
            elif limb in HEELS:
                heel = HEELS[limb]
                known[:2] = vector * 1.5
                known[2:] = (joints[heel] - joints[bone.start]) / scale_px if seen[heel] else 0
            else:
                length = math.hypot(*vector)
                known[0] = 1.3 * length
                known[1:] = 0.3 * vector / max(length, 1e-3)
    facing = np.zeros(5)
    facing[:4] = _shoulders_and_hips(joints, seen).ravel() / scale_px
    turn = features[FEATURE_STARTS[Limb.HEAD]]
    facing[4] = 0 if math.isnan(turn) else 0.5 * turn
    return PlacedBody(pose, scale_px, placed, ends_px, features, facing)


def hand_points(limb: Limb, joints: Floats, seen: NDArray[np.bool_], scale_px: float) -> Floats | None:
    """The 21 points of a hand in pixels, `[21, 2]`, or None if it was not seen or has an impossible size."""
    if np.count_nonzero(seen[HANDS[limb]]) < _HAND_POINTS_SEEN:
        return None
    points = joints[HANDS[limb]]
    palm = math.hypot(*(points[_KNUCKLE] - points[0])) / scale_px
    return points if _PALM_LENGTHS[0] < palm < _PALM_LENGTHS[1] else None


def hand_points_of(limb: Limb, body: PlacedBody) -> Floats | None:
    """The `hand_points` of a placed body."""
    return hand_points(limb, body.pose.joints_px.astype(np.float64), body.pose.confidence > 0, body.scale_px)


def _measured_lengths(pose: Pose) -> Floats:
    """Lengths of `MEASURED_LIMBS` in pixels, `[9]`; NaN where a joint was not seen."""
    vectors = pose.joints_px[_MEASURED_ENDS] - pose.joints_px[_MEASURED_STARTS]
    lengths = np.hypot(vectors[:, 0], vectors[:, 1]).astype(np.float64)
    lengths[(pose.confidence[_MEASURED_ENDS] <= 0) | (pose.confidence[_MEASURED_STARTS] <= 0)] = np.nan
    return np.asarray(lengths)


_MEASURED_STARTS: Final = np.array([BONES[limb].start for limb in MEASURED_LIMBS])
_MEASURED_ENDS: Final = np.array([BONES[limb].end for limb in MEASURED_LIMBS])


def _place_hand(
    limb: Limb, joints: Floats, seen: NDArray[np.bool_], scale_px: float, ends_px: Floats, features: Floats
) -> bool:
    """Fill in a hand's line and features; a hand that was not seen goes on from its forearm, without features."""
    forearm = BONES[FOREARMS[limb]]
    wrist = joints[forearm.end]
    if not seen[forearm.end]:
        return False
    points = hand_points(limb, joints, seen, scale_px)
    if points is not None:
        palm = points[_KNUCKLE] - points[0]
        ends_px[:] = wrist, wrist + palm * 1.8
        features[:2] = palm / scale_px * 2
        features[2:] = ((points[_SPREAD_OF_HAND] - points[0]) / scale_px).ravel()
        return True
    if not seen[forearm.start]:
        return False
    vector = wrist - joints[forearm.start]
    length = max(math.hypot(*vector), 1e-3)
    ends_px[:] = wrist, wrist + vector / length * 0.30 * scale_px * min(1.0, length / (0.45 * scale_px))
    return True


def _place_head(joints: Floats, seen: NDArray[np.bool_], scale_px: float, ends_px: Floats, features: Floats) -> bool:
    """Fill in the head's line, from above the neck to the crown, and its features: its turn, the eyes and the neck."""
    found = [joint for joint in HEAD_JOINTS if seen[joint]]
    if not seen[skeleton.NECK] or len(found) < 2:
        return False
    ears = [joint for joint in (skeleton.R_EAR, skeleton.L_EAR) if seen[joint]]
    middle = joints[ears if len(ears) == 2 else found].mean(axis=0)
    neck = joints[skeleton.NECK]
    up = middle - neck
    ends_px[:] = neck + up * 0.35, middle + up * 0.28
    nose = joints[skeleton.NOSE] if seen[skeleton.NOSE] else middle
    features[:2] = (nose - middle) / scale_px * 2.5
    both_eyes = seen[skeleton.L_EYE] and seen[skeleton.R_EYE]
    features[2:4] = (joints[skeleton.L_EYE] - joints[skeleton.R_EYE]) / scale_px * 1.5 if both_eyes else 0
    features[4:] = up / scale_px
    return True


def _shoulders_and_hips(joints: Floats, seen: NDArray[np.bool_]) -> Floats:
    """The vectors from right to left shoulder and from right to left hip, `[2, 2]`; 0 where not seen."""
    vectors = np.zeros((2, 2))
    if seen[skeleton.L_SHOULDER] and seen[skeleton.R_SHOULDER]:
        vectors[0] = joints[skeleton.L_SHOULDER] - joints[skeleton.R_SHOULDER]
    if seen[skeleton.L_HIP] and seen[skeleton.R_HIP]:
        vectors[1] = joints[skeleton.L_HIP] - joints[skeleton.R_HIP]
    return vectors


def _describe_torso(axis: Floats, shoulders_and_hips: Floats, features: Floats) -> None:
    """Fill in the torso's length, its shoulders and hips as seen along it, and weakly its direction."""
    length = max(math.hypot(*axis), 1e-3)
    along = axis / length
    across = np.array([-along[1], along[0]])
    features[0] = length
    features[1:5] = (shoulders_and_hips @ np.stack([along, across], axis=1)).ravel()
    features[5:] = 0.3 * along
