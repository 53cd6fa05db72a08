"""Poses that OpenPose found in the footage, and masks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import FrameSize
from motion.keypoint_folder import known_frames
from motion.openpose_json import BadKeypoints
from motion.pose import Pose
from serving.errors import BadInput

_SAME_PERSON: Final = 0.6
"""Of the torso's joints and limbs' joints: a mask that holds fewer of them is somebody else's."""
_ON_PERSON: Final = 38
_LIMB_WIDTH: Final = 0.34
_TORSO_WIDTH: Final = 0.8
_HEAD_RADIUS: Final = 0.42
"""Of a drawn mask, as fractions of the torso's length: wide enough for clothes."""
_FRACTIONS_BELOW_PX: Final = 1.5
"""Everybody of a frame within this many pixels was written with a keypoint_scale that gives fractions."""
_MOST_MISSING: Final = 0.02
_FEWEST_MISSING: Final = 2


class ImportedPoses:
    """The poses of one file of footage, out of a folder of OpenPose's files or a list, by the numbers of its frames.

    every: which frames of the file are taken, as 3 for every third one. frames: how many the footage then has; None
    where that is unknown, and the first number is the first frame's. Else numbers count from the first frame on, or,
    where that fits the footage alone, from the first number on.

    Raises BadInput where there are no poses, or none for more than two in a hundred of the frames.
    """

    def __init__(self, folder: Path, every: int = 1, frames: int | None = None) -> None:
        try:
            self._known = known_frames(folder)
        except BadKeypoints as error:
            raise BadInput("keypoints", str(error)) from error
        self._every = every
        self._last: Pose | None = None
        first, last = self._known.numbers[0], self._known.numbers[-1]
        self._begin = first
        if frames is not None and (frames - 1) * every <= last < frames * every:
            self._begin = 0
        self._by_number = {frame.number: frame for frame in self._known.frames}
        if frames is not None:
            self._check(frames, last)

    def _check(self, frames: int, last: int) -> None:
        """Refuses poses of other footage: those of a frame must not be taken for another one's."""
        folder, every = self._known.path, self._every
        known = sum((number - self._begin) % every == 0 for number in self._by_number)
        allowed = max(_FEWEST_MISSING, _MOST_MISSING * frames)
        spanned = (last - self._begin) // every + 1
        if spanned > frames + allowed:
            raise BadInput("keypoints", f"{folder} holds poses of {spanned} frames, the footage has {frames}")
        if known < frames - allowed and not self._known.names_people_only:
            step = self._known.step
            told = f"{folder} holds poses of {known} frames, the footage has {frames}"
            if step > 1 and every % step and spanned >= frames - allowed:
                told += f"; one for every {step} frames: --frame-rate at 1/{step} of the footage's rate takes those"
            raise BadInput("keypoints", told)

    def of(self, frame: int) -> tuple[Pose | None, int]:
        """The person of a frame, and how many people there are in it. Ask in the order of the frames.

        It is whoever is nearest to the person of the frame before, and the largest where nobody was there.
        Raises BadInput for a file that cannot be read.
        """
        known = self._by_number.get(self._begin + frame * self._every)
        if known is None:
            return None, 0
        try:
            people = [person.pose for person in known.people((1.0, 1.0)) if person.pose.seen[skeleton.BODY].any()]
        except BadKeypoints as error:
            raise BadInput("keypoints", f"{self._known.path}: {error}") from error
        chosen = None
        if people and max(float(np.abs(pose.joints_px).max()) for pose in people) <= _FRACTIONS_BELOW_PX:
            raise BadInput(
                "keypoints",
                f"{self._known.path}: {known.name}: expected pixels of the footage's frame, OpenPose's "
                "--keypoint_scale 0",
            )
        if people:
            near = {index: _distance_px(self._last, pose) for index, pose in enumerate(people)}
            nearest = min(near, key=lambda index: near[index])
            tallest = max(range(len(people)), key=lambda index: _height_px(people[index]))
            chosen = people[nearest if near[nearest] < _height_px(people[nearest]) else tallest]
        self._last = chosen
        return chosen, len(people)


def explains(mask: NDArray[np.uint8], pose: Pose, size: FrameSize) -> bool:
    """Whether a mask, `[H, W]` uint8 of any size of the frame's shape, is of this person, in pixels of the frame."""
    joints_px = pose.joints_px[skeleton.BODY][pose.seen[skeleton.BODY]]
    scale = np.array([mask.shape[1] / size.width_px, mask.shape[0] / size.height_px])
    columns, rows = np.clip((joints_px * scale).astype(int), 0, [mask.shape[1] - 1, mask.shape[0] - 1]).T
    return float((mask[rows, columns] >= _ON_PERSON).mean()) >= _SAME_PERSON


def drawn_mask(pose: Pose, size: FrameSize, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """`shape` uint8: a body drawn thickly around the joints, 255 inside."""
    mask = np.zeros(shape, np.uint8)
    small = pose.transformed(shape[1] / size.width_px, shape[0] / size.height_px)
    neck_px, hips_px = small.joint(skeleton.NECK), small.joint(skeleton.MID_HIP)
    torso_px = _height_px(small) / 3
    if neck_px is not None and hips_px is not None:
        torso_px = float(np.linalg.norm(neck_px - hips_px))
    for start, end in skeleton.BODY_LIMBS:
        a, b = small.joint(start), small.joint(end)
        if a is not None and b is not None:
            wide = (start, end) == (skeleton.NECK, skeleton.MID_HIP)
            width_px = max(1, round((_TORSO_WIDTH if wide else _LIMB_WIDTH) * torso_px))
            cv2.line(mask, _point(a), _point(b), (255,), width_px)
    nose_px = small.joint(skeleton.NOSE)
    if nose_px is not None:
        cv2.circle(mask, _point(nose_px), max(1, round(_HEAD_RADIUS * torso_px)), (255,), -1)
    for hand in (skeleton.LEFT_HAND, skeleton.RIGHT_HAND):
        for joint_px in small.joints_px[hand][small.seen[hand]]:
            cv2.circle(mask, _point(joint_px), max(1, round(_LIMB_WIDTH / 4 * torso_px)), (255,), -1)
    return mask


def _point(joint_px: NDArray[np.float32]) -> tuple[int, int]:
    return round(float(joint_px[0])), round(float(joint_px[1]))


def _height_px(pose: Pose) -> float:
    rows = pose.joints_px[skeleton.BODY][pose.seen[skeleton.BODY]][:, 1]
    return float(rows.max() - rows.min()) if len(rows) else 0.0


def _distance_px(before: Pose | None, pose: Pose) -> float:
    if before is None:
        return float("inf")
    shared = (before.seen & pose.seen)[skeleton.BODY]
    if not shared.any():
        return float("inf")
    offsets_px = (before.joints_px - pose.joints_px)[skeleton.BODY][shared]
    return float(np.linalg.norm(offsets_px, axis=1).mean())
