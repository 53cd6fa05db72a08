"""Poses that OpenPose found in the footage, and masks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import FrameSize
from motion.keypoint_files.folder import KnownFrames, check_pixels, known_frames
from motion.keypoint_files.openpose_json import BadKeypoints
from motion.pose import Pose
from serving.errors import BadInput

_SAME_PERSON: Final = 0.6
"""Of the torso's joints and limbs' joints: a mask that holds fewer of them is somebody else's."""
_ON_PERSON: Final = 38
_LIMB_WIDTH: Final = 0.34
_TORSO_WIDTH: Final = 0.8
_HEAD_RADIUS: Final = 0.42
"""Of a drawn mask, as fractions of the torso's length: wide enough for clothes."""
_MOST_MISSING: Final = 0.02
_FEWEST_MISSING: Final = 2


class ImportedPoses:
    """The poses of one file of footage, out of a folder of OpenPose's files or a list, by the numbers of its frames.

    every: which frames of the file are taken, as 3 for every third one. frames: how many the footage then has; None
    where that is unknown. `_beginning` says which number is the first frame's.

    Raises BadInput where there are no poses, or none for more than two in a hundred of the frames.
    """

    def __init__(self, folder: Path, every: int = 1, frames: int | None = None) -> None:
        try:
            self._known = known_frames(folder)
        except BadKeypoints as error:
            raise BadInput("keypoints", str(error)) from error
        self._every = every
        self._last: Pose | None = None
        self._begin = _beginning(self._known, every, frames)
        self._by_number = {frame.number: frame for frame in self._known.frames}
        if frames is not None:
            self._check(frames, self._known.numbers[-1])

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
            if people:
                check_pixels(known.name, max(float(np.abs(pose.joints_px).max()) for pose in people))
        except BadKeypoints as error:
            raise BadInput("keypoints", f"{self._known.path}: {error}") from error
        chosen = None
        if people:
            near = {index: _distance_px(self._last, pose) for index, pose in enumerate(people)}
            nearest = min(near, key=lambda index: near[index])
            tallest = max(range(len(people)), key=lambda index: _height_px(people[index]))
            chosen = people[nearest if near[nearest] < _height_px(people[nearest]) else tallest]
        self._last = chosen
        return chosen, len(people)


def _beginning(known: KnownFrames, every: int, frames: int | None) -> int:
    """The number of the footage's first frame.

    Numbers are those of the footage's frames where they fit it: somebody may come late, and files may be missing. Else
    they count from 1, or are those of a longer video, and the first one is the first frame's.
    """
    first, last = known.numbers[0], known.numbers[-1]
    if frames is None:
        # A list names only frames that somebody is in; of a folder, the first file is the first frame.
        return 0 if known.names_people_only else first
    if last < frames * every:
        # 1, 4, 7 of every third frame are 0, 3, 6, counted from 1.
        return first % every if known.step % every == 0 else 0
    return min(first, 1) if last == frames * every else first


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
