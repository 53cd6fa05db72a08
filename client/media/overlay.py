"""Draws skeletons, person numbers and confidences on a picture, for checking by eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from motion import skeleton
from motion.frame import FrameSize, Picture
from motion.pose import Pose

_COLOURS: Final = (
    (230, 60, 60), (60, 190, 75), (0, 130, 250), (245, 170, 30), (170, 60, 220), (40, 210, 220), (240, 90, 190),
    (190, 220, 40),
)  # fmt: skip
_EDGE: Final = (20, 20, 20)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_LINES: Final = (
    *skeleton.BODY_LIMBS,
    *((a + skeleton.LEFT_HAND.start, b + skeleton.LEFT_HAND.start) for a, b in skeleton.HAND_LINES),
    *((a + skeleton.RIGHT_HAND.start, b + skeleton.RIGHT_HAND.start) for a, b in skeleton.HAND_LINES),
)
_FAINT: Final = 0.35
"""The share of its colour that a line keeps at confidence 0."""


def colour_of(person_id: int) -> tuple[int, int, int]:
    """The colour of a person; always the same for one number."""
    return _COLOURS[person_id % len(_COLOURS)]


def draw_people(
    picture: Picture, people: Sequence[Pose], person_ids: Sequence[int], dancer_index: int, note: str = ""
) -> Picture:
    """A copy of `picture`, `[H, W, 3]` uint8 RGB, with all people drawn on it; the dancer has thick lines.

    Each person is labelled with their number and the mean confidence of the body joints. note: text for the upper left
    corner.
    """
    canvas = picture.copy()
    unit = max(canvas.shape[:2]) / 640
    for index, (pose, person_id) in enumerate(zip(people, person_ids, strict=True)):
        is_dancer = index == dancer_index
        colour = colour_of(person_id)
        points = np.rint(pose.joints_px).astype(int).tolist()
        seen = pose.seen
        for a, b in _LINES:
            if seen[a] and seen[b]:
                sureness = float(min(pose.confidence[a], pose.confidence[b]))
                shade = tuple(round(channel * (_FAINT + (1 - _FAINT) * sureness)) for channel in colour)
                width = max(1, round(unit * (3 if is_dancer else 1.5)))
                cv2.line(canvas, points[a], points[b], shade, width, cv2.LINE_AA)
        for joint in np.flatnonzero(seen).tolist():
            radius = unit * (2.5 if joint < skeleton.BODY_COUNT else 1)
            cv2.circle(canvas, points[joint], max(1, round(radius)), colour, -1, cv2.LINE_AA)
        _label(canvas, pose, f"{person_id}{' dancer' if is_dancer else ''}", unit, colour)
    if note:
        _write(canvas, note, (round(8 * unit), round(20 * unit)), unit, (255, 255, 255))
    return canvas


def blank(size: FrameSize) -> Picture:
    """A dark grey picture of this size, to draw people on."""
    return np.full((size.height_px, size.width_px, 3), 32, np.uint8)


def _label(canvas: Picture, pose: Pose, text: str, unit: float, colour: tuple[int, int, int]) -> None:
    body = pose.seen[skeleton.BODY]
    if not body.any():
        return
    joints_px = pose.joints_px[skeleton.BODY][body]
    mean = float(pose.confidence[skeleton.BODY][body].mean())
    x_px, y_px = joints_px[:, 0].min(), joints_px[:, 1].min() - 8 * unit
    _write(canvas, f"{text} {mean:.2f}", (max(2, round(x_px)), max(round(14 * unit), round(y_px))), unit, colour)


def _write(canvas: Picture, text: str, at: tuple[int, int], unit: float, colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, at, _FONT, 0.5 * unit, _EDGE, max(2, round(3 * unit)), cv2.LINE_AA)
    cv2.putText(canvas, text, at, _FONT, 0.5 * unit, colour, max(1, round(unit)), cv2.LINE_AA)
