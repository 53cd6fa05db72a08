"""A camera that moves a little: measure its movement against the place, and hold every frame still.

A hand-held camera mostly turns, and a turn moves the picture by a homography (Hartley and Zisserman 2004, 13.2); a
similarity describes it well enough while few corners can be followed.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import FrameSize, Picture
from motion.pose import Pose

Moves = NDArray[np.float64]
"""`[F, 3, 3]`: homographies from pixels of each frame to pixels of the place; NaN where unknown."""

_MARKS: Final = 240
_FEWEST_MARKS: Final = 12
_STRAY_PX: Final = 1.0
"""A mark that does not return to within this distance, tracked there and back, was not tracked correctly."""
_OFF_PX: Final = 1.5
_FEWEST_FOLLOWED: Final = 0.2
_HOMOGRAPHY_MARKS: Final = 40
_HOMOGRAPHY_GAIN: Final = 1.05
"""A homography, which bends far from its marks, must agree with so many times as many marks as a similarity."""
_TRACKING: Final = {"winSize": (21, 21), "maxLevel": 4}

_STILL: Final = 1 / 1000
"""As a fraction of the frame's height: a camera that moves less stands still, and its frames are not resampled."""
_MUCH: Final = 98.0
"""The percentile used as the maximum, so that single wrong measures do not count."""


class CameraTracker:
    """Follows corners of the place from one reference picture to others. Pictures: `[H, W]` uint8, grey, of one size.

    hidden: `[H, W]` bool, where the reference shows the person.
    """

    def __init__(self, reference: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> None:
        self._reference = reference
        free = np.where(hidden, 0, 255).astype(np.uint8)
        marks = cv2.goodFeaturesToTrack(reference, _MARKS, 0.01, 7, mask=free, blockSize=5)
        self._marks = None if marks is None else np.asarray(marks, np.float32)

    def move(self, picture: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The homography from pixels of this picture to the reference's, `[3, 3]`; NaN if it cannot be followed."""
        unknown = np.full((3, 3), np.nan)
        if self._marks is None or len(self._marks) < _FEWEST_MARKS or picture.shape != self._reference.shape:
            return unknown
        moved, found, _ = cv2.calcOpticalFlowPyrLK(self._reference, picture, self._marks, None, **_TRACKING)  # type: ignore[call-overload]
        back, found_back, _ = cv2.calcOpticalFlowPyrLK(picture, self._reference, moved, None, **_TRACKING)  # type: ignore[call-overload]
        returned = np.linalg.norm((back - self._marks).reshape(-1, 2), axis=1) < _STRAY_PX
        columns, rows = np.clip(moved.reshape(-1, 2), 0, np.array(picture.shape[::-1]) - 1).astype(int).T
        good = (found.ravel() == 1) & (found_back.ravel() == 1) & returned & ~hidden[rows, columns]
        if good.sum() < max(_FEWEST_MARKS, _FEWEST_FOLLOWED * len(self._marks)):
            return unknown
        return _fitted(moved[good], self._marks[good])


def _fitted(moved: NDArray[np.float32], marks: NDArray[np.float32]) -> NDArray[np.float64]:
    similar, agree = cv2.estimateAffinePartial2D(moved, marks, ransacReprojThreshold=_OFF_PX)
    if similar is None:
        return np.full((3, 3), np.nan)  # type: ignore[unreachable]  # OpenCV's types leave the failure out
    best = np.vstack([similar, [0, 0, 1]])
    if len(marks) >= _HOMOGRAPHY_MARKS:
        turned, agree_turned = cv2.findHomography(moved, marks, cv2.RANSAC, _OFF_PX)
        if turned is not None and agree_turned.sum() > _HOMOGRAPHY_GAIN * agree.sum():
            best = turned
    return np.asarray(best, np.float64)


def corner_shift_px(moves_F33: Moves, size: FrameSize) -> NDArray[np.float64]:
    """`[F]`: how far each move carries the corners of a frame of this size on average, in pixels; NaN if unknown."""
    width_px, height_px = size.width_px, size.height_px
    corners = np.array([(0, 0, 1), (width_px, 0, 1), (0, height_px, 1), (width_px, height_px, 1)], np.float64)
    carried = corners @ moves_F33.transpose(0, 2, 1)
    carried = carried[..., :2] / carried[..., 2:]
    return np.asarray(np.linalg.norm(carried - corners[:, :2], axis=-1).mean(axis=1))


class SteadyCamera:
    """Lays the frames of a moving camera over each other, where the frame in the middle of the movement shows them.

    moves_F33: from every frame to the place, all known. size: of the frames.
    shift_px: the movement of nearly all frames, as the mean over the four corners.
    unknown: the fraction of frames whose movement was guessed from their neighbours.
    """

    def __init__(self, moves_F33: Moves, size: FrameSize, unknown: float = 0.0) -> None:
        self.moves_F33, self.unknown = moves_F33, unknown
        self._size = (size.width_px, size.height_px)
        self.shift_px = float(np.percentile(corner_shift_px(moves_F33, size), _MUCH))

    def pose(self, frame: int, pose: Pose) -> Pose:
        """The frame's pose in pixels of the place."""
        points = cv2.perspectiveTransform(pose.joints_px[None].astype(np.float64), self.moves_F33[frame])[0]
        return Pose(np.where(pose.seen[:, None], points, pose.joints_px).astype(np.float32), pose.confidence)

    def picture(self, frame: int, picture: Picture) -> Picture:
        """The frame, `[H, W, 3]` uint8, as a camera that stands still shows it; its edge is repeated outside."""
        # Cubic interpolation keeps more of the sharpness than linear.
        return self._moved(frame, picture, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)

    def mask(self, frame: int, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A mask of the frame, `[H, W]` uint8, in pixels of the place; 0 where the frame does not reach."""
        return self._moved(frame, mask, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)

    def shown(self, frame: int) -> NDArray[np.uint8]:
        """`[H, W]` uint8: 255 where the frame shows the place, 0 outside of it."""
        width_px, height_px = self._size
        inside = np.zeros((height_px, width_px), np.uint8)
        inside[1:-1, 1:-1] = 255  # encoders darken the outermost pixels
        return np.where(self.mask(frame, inside) == 255, 255, 0).astype(np.uint8)

    def _moved(self, frame: int, picture: NDArray[np.uint8], method: int, border: int) -> NDArray[np.uint8]:
        move = self.moves_F33[frame]
        return np.asarray(cv2.warpPerspective(picture, move, self._size, flags=method, borderMode=border), np.uint8)


def steady_camera(moves_F33: Moves, size: FrameSize) -> SteadyCamera | None:
    """How to hold frames still whose moves to the first frame were measured; None if the camera stands still.

    Also None if no move is known. Unknown ones are interpolated between their neighbours.
    """
    known_F = np.isfinite(moves_F33).all(axis=(1, 2))
    if not known_F.any():
        return None
    if np.percentile(corner_shift_px(moves_F33[known_F], size), _MUCH) < _STILL * size.height_px:
        return None
    numbers = np.arange(len(moves_F33))
    whole = moves_F33.reshape(-1, 9).copy()
    for column in whole.T:
        column[~known_F] = np.interp(numbers[~known_F], numbers[known_F], column[known_F])
    moves_F33 = whole.reshape(-1, 3, 3)
    centre = np.array([size.width_px / 2, size.height_px / 2, 1])
    carried_F3 = moves_F33 @ centre
    centres_F2 = carried_F3[:, :2] / carried_F3[:, 2:]
    middle = int(np.argmin(np.linalg.norm(centres_F2 - np.median(centres_F2, axis=0), axis=1)))
    return SteadyCamera(np.linalg.inv(moves_F33[middle]) @ moves_F33, size, float((~known_F).mean()))
