"""A drawn person for the wardrobe's tests: every limb has a colour and stripes of its own."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose
from motion.wardrobe.limbs import BONES, Limb
from motion.wardrobe.make import make_wardrobe
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.placing import measure_limbs, place

SIZE_PX = 256
_WIDTHS = {Limb.TORSO: 0.44, Limb.HEAD: 0.4, Limb.RIGHT_THIGH: 0.28, Limb.LEFT_THIGH: 0.28}
_ARMS = (
    (skeleton.R_SHOULDER, skeleton.R_ELBOW, skeleton.R_WRIST, skeleton.RIGHT_HAND),
    (skeleton.L_SHOULDER, skeleton.L_ELBOW, skeleton.L_WRIST, skeleton.LEFT_HAND),
)
_LEGS = (
    (skeleton.R_HIP, skeleton.R_KNEE, (skeleton.R_ANKLE, skeleton.R_HEEL, skeleton.R_BIG_TOE, skeleton.R_SMALL_TOE)),
    (skeleton.L_HIP, skeleton.L_KNEE, (skeleton.L_ANKLE, skeleton.L_HEEL, skeleton.L_BIG_TOE, skeleton.L_SMALL_TOE)),
)


def dancing(standing: Pose, arms: Sequence[float], legs: Sequence[float] = (0, 0)) -> Pose:
    """Return a pose with each arm turned about its shoulder and each leg about its hip, by angles in radians."""
    joints_px = standing.joints_px.astype(np.float64)
    for (shoulder, elbow, wrist, hand), angle in zip(_ARMS, arms, strict=True):
        moved = [elbow, wrist, *range(hand.start, hand.stop)]
        joints_px[moved] = _turned(joints_px[moved], joints_px[shoulder], angle)
    for (hip, knee, foot), angle in zip(_LEGS, legs, strict=True):
        moved = [knee, *foot]
        joints_px[moved] = _turned(joints_px[moved], joints_px[hip], angle)
    return Pose(joints_px.astype(np.float32), standing.confidence)


def puppet(pose: Pose) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a person in a pose on a green place: `[256, 256, 3]` uint8 and the mask, `[256, 256]` uint8."""
    body = place(pose, measure_limbs([pose]))
    picture = np.full((SIZE_PX, SIZE_PX, 3), (20, 160, 60), np.uint8)
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    for limb in Limb:
        if not body.placed[limb]:
            continue
        start, end = body.ends_px[limb]
        width = round(_WIDTHS.get(limb, BONES[limb].radius * 1.4) * body.scale_px)
        hue = 180 * limb // len(Limb)
        for part in range(4):
            ends = np.rint([start + (end - start) * part / 4, start + (end - start) * (part + 1) / 4]).astype(int)
            colour = cv2.cvtColor(np.array([[[hue, 160, 200 - 30 * (part % 2)]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
            cv2.line(picture, ends[0].tolist(), ends[1].tolist(), colour.tolist(), width)
            cv2.line(mask, ends[0].tolist(), ends[1].tolist(), (255,), width)
    return picture, mask


def puppet_wardrobe(poses: Sequence[Pose]) -> Wardrobe:
    """Make a wardrobe from puppets in these poses."""
    pictures, masks = zip(*map(puppet, poses), strict=True)
    return make_wardrobe(pictures, masks, poses, range(len(poses)))


def _turned(points: NDArray[np.float64], about: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points - about) @ turn.T + about


def moved(pose: Pose, *, shift: tuple[float, float] = (0, 0), turn: float = 0, scale: float = 1) -> Pose:
    """Return the pose turned and scaled about its hips, and shifted."""
    middle = pose.joints_px[skeleton.MID_HIP].astype(np.float64)
    joints_px = (_turned(pose.joints_px.astype(np.float64), middle, turn) - middle) * scale + middle + shift
    return Pose(joints_px.astype(np.float32), pose.confidence)
