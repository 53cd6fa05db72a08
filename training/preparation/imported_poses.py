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
from training.data.figure import draw_figure, pixel
from training.data.plate import PERSON_FROM

_SAME_PERSON: Final = 0.6
"""A mask that contains a smaller fraction of the torso's and limbs' joints is of another person."""
_SIZES: Final = (0.34, 0.8, 0.42)
"""The sizes of a drawn mask, wide enough for clothes; see `draw_figure`."""
_MOST_MISSING: Final = 0.02
_FEWEST_MISSING: Final = 2


class ImportedPoses:
    """The poses of one file of footage by frame number, from a folder of OpenPose's files or a list.

    every: the step between the frames that are read, such as 3 for every third. frames: the footage's number of frames
    at that step, None if unknown. `_beginning` determines the number of the first frame.

    Raises BadInput if there are no poses, or if more than 2 % of the frames have none.
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
        """Refuse poses of other footage: the poses of one frame must not be used for another."""
        folder, every = self._known.path, self._every
        known = sum((number - self._begin) % every == 0 for number in self._by_number)
        allowed = max(_FEWEST_MISSING, _MOST_MISSING * frames)
        spanned = (last - self._begin) // every + 1
        if spanned > frames + allowed:
            raise BadInput("keypoints", f"{folder} holds poses of {spanned} frames, the footage has {frames}")
        if known < frames - allowed and not self._known.names_people_only:
            step = self._known.step
            message = f"{folder} holds poses of {known} frames, the footage has {frames}"
            if step > 1 and every % step and spanned >= frames - allowed:
                message += f"; one for every {step} frames: use --frame-rate with 1/{step} of the footage's rate"
            raise BadInput("keypoints", message)

    def of(self, frame: int) -> tuple[Pose | None, int]:
        """The pose of the person in a frame, and the number of people in it. Call it in the order of the frames.

        This is the person nearest to the one in the frame before, or the largest if there was none.
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

    Numbers are those of the footage's frames if they fit: the person may appear late, and files may be missing.
    Otherwise they count from 1 or belong to a longer video, and the first number is the first frame's.
    """
    first, last = known.numbers[0], known.numbers[-1]
    if frames is None:
        # A list names only frames with a person; in a folder, the first file is the first frame.
        return 0 if known.names_people_only else first
    if last < frames * every:
        # 1, 4, 7 of every third frame are 0, 3, 6, counted from 1.
        return first % every if known.step % every == 0 else 0
    return min(first, 1) if last == frames * every else first


def explains(mask: NDArray[np.uint8], pose: Pose, size: FrameSize) -> bool:
    """Whether a mask, `[H, W]` uint8 of any size, is of this person. pose: in pixels of a frame of this size."""
    joints_px = pose.joints_px[skeleton.BODY][pose.seen[skeleton.BODY]]
    scale = np.array([mask.shape[1] / size.width_px, mask.shape[0] / size.height_px])
    columns, rows = np.clip((joints_px * scale).astype(int), 0, [mask.shape[1] - 1, mask.shape[0] - 1]).T
    return float((mask[rows, columns] >= PERSON_FROM).mean()) >= _SAME_PERSON


def drawn_mask(pose: Pose, size: FrameSize, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A mask of this shape, uint8: a body drawn thickly around the joints, 255 inside."""
    mask = np.zeros(shape, np.uint8)
    small = pose.transformed(shape[1] / size.width_px, shape[0] / size.height_px)
    neck_px, hips_px = small.joint(skeleton.NECK), small.joint(skeleton.MID_HIP)
    torso_px = _height_px(small) / 3
    if neck_px is not None and hips_px is not None:
        torso_px = float(np.linalg.norm(neck_px - hips_px))
    draw_figure(mask, small, (255,), torso_px, _SIZES)
    for hand in (skeleton.LEFT_HAND, skeleton.RIGHT_HAND):
        for joint_px in small.joints_px[hand][small.seen[hand]]:
            cv2.circle(mask, pixel(joint_px), max(1, round(_SIZES[0] / 4 * torso_px)), (255,), -1)
    return mask


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
