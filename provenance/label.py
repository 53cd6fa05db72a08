"""`VisibleLabel`: a short text, such as "AI-generated", burned into a picture where it hides no face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import Picture, RgbaPicture
from motion.pose import Pose

MOST_LABEL_CHARACTERS: Final = 40
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_HEIGHT_PER_PICTURE: Final = 1 / 32
"""Height of a capital letter, as a fraction of the picture's shorter side."""
_LEAST_LETTER_PX: Final = 8
_BACK_OPACITY: Final = 0.6
_HEAD_JOINTS: Final = (
    skeleton.NOSE, skeleton.NECK, skeleton.R_EYE, skeleton.L_EYE, skeleton.R_EAR, skeleton.L_EAR,
    *range(skeleton.FACE.start, skeleton.FACE.stop),
)  # fmt: skip
_AROUND_HEAD: Final = 0.5
"""Added on each side of the head's joints, as a fraction of their extent: hair and chin have no joints."""
_LEAST_AROUND_HEAD: Final = 0.08
"""The same as a fraction of the body's extent: a head of which one joint is seen is as large as any other."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of a picture; right and bottom are outside of it."""

    left_px: float
    top_px: float
    right_px: float
    bottom_px: float

    def shared_px(self, other: Box) -> float:
        """Return the area that both cover, in square pixels."""
        width_px = min(self.right_px, other.right_px) - max(self.left_px, other.left_px)
        height_px = min(self.bottom_px, other.bottom_px) - max(self.top_px, other.top_px)
        return max(width_px, 0.0) * max(height_px, 0.0)


def checked_label(text: str) -> str:
    """Return the text. Raises ValueError unless it is 1 to 40 printable ASCII characters, which the font has."""
    if not 1 <= len(text) <= MOST_LABEL_CHARACTERS or not text.isascii() or not text.isprintable() or text.isspace():
        expected = f"expected 1 to {MOST_LABEL_CHARACTERS} printable ASCII characters"
        raise ValueError(f"{expected}, such as AI-generated; got {text[:60]!a}")
    return text


def head_box(pose: Pose) -> Box | None:
    """Return a rectangle around the head, in the pixels of the pose; None if no joint of the head was seen."""
    joints = list(_HEAD_JOINTS)
    seen_px = pose.joints_px[joints][pose.confidence[joints] > 0]
    if not len(seen_px):
        return None
    (left_px, top_px), (right_px, bottom_px) = seen_px.min(axis=0), seen_px.max(axis=0)
    body_px = pose.joints_px[pose.confidence > 0]
    body_extent_px = float((body_px.max(axis=0) - body_px.min(axis=0)).max())
    around_px = max(
        _AROUND_HEAD * max(right_px - left_px, bottom_px - top_px),
        _LEAST_AROUND_HEAD * body_extent_px,
        _LEAST_LETTER_PX,
    )
    return Box(left_px - around_px, top_px - around_px, right_px + around_px, bottom_px + around_px)


class VisibleLabel:
    """Burns one text into pictures. Raises ValueError for a text that `checked_label` refuses."""

    def __init__(self, text: str) -> None:
        self.text = checked_label(text)

    def burned(self, picture: Picture | RgbaPicture, head: Box | None) -> Picture | RgbaPicture:
        """Return a copy of `[H, W, 3]` or `[H, W, 4]` uint8 with the text in a corner; it is opaque there.

        The corner is the first of lower left, lower right, upper left and upper right that does not touch the head, or
        the one that hides least of it. It depends on this picture alone, so the same frame always looks the same.
        """
        height_px, width_px = picture.shape[:2]
        drawn, opacity = _drawn(self.text, height_px, width_px)
        label_height_px, label_width_px = opacity.shape
        corners = _corners(width_px, height_px, label_width_px, label_height_px)
        place = min(corners, key=lambda corner: 0.0 if head is None else corner.shared_px(head))
        rows = slice(int(place.top_px), int(place.bottom_px))
        columns = slice(int(place.left_px), int(place.right_px))
        labelled = picture.copy()
        there = labelled[rows, columns, :3]
        labelled[rows, columns, :3] = (there * (1 - opacity[..., None]) + drawn).astype(np.uint8)
        if labelled.shape[2] == 4:
            labelled[rows, columns, 3] = 255
        return labelled


def _corners(width_px: int, height_px: int, label_width_px: int, label_height_px: int) -> Sequence[Box]:
    margin_px = min(width_px, height_px) // 64
    right_px = max(width_px - label_width_px - margin_px, 0)
    bottom_px = max(height_px - label_height_px - margin_px, 0)
    left_px, top_px = min(margin_px, right_px), min(margin_px, bottom_px)
    places = ((left_px, bottom_px), (right_px, bottom_px), (left_px, top_px), (right_px, top_px))
    return [Box(x_px, y_px, x_px + label_width_px, y_px + label_height_px) for x_px, y_px in places]


@lru_cache(maxsize=32)
def _drawn(text: str, height_px: int, width_px: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The text on its dark plate for a picture of this size: `[h, w, 3]` premultiplied, and the opacity `[h, w]`."""
    letter_px = max(_LEAST_LETTER_PX, round(min(height_px, width_px) * _HEIGHT_PER_PICTURE))
    scale = cv2.getFontScaleFromHeight(_FONT, letter_px, 1)
    (text_width_px, _), below_px = cv2.getTextSize(text, _FONT, scale, 1)
    most_px = width_px - letter_px - 2 * (min(width_px, height_px) // 64)
    if text_width_px > most_px:  # a long text in a narrow picture is written smaller, never cut
        scale *= max(most_px, 1) / text_width_px
        (text_width_px, letter_px), below_px = cv2.getTextSize(text, _FONT, scale, 1)
    pad_px = max(2, letter_px // 2)
    size = (min(letter_px + below_px + 2 * pad_px, height_px), min(text_width_px + 2 * pad_px, width_px))
    ink = np.zeros(size, np.uint8)
    thickness = max(1, round(letter_px / 12))
    cv2.putText(ink, text, (pad_px, pad_px + letter_px), _FONT, scale, (255,), thickness, cv2.LINE_AA)
    letters = ink.astype(np.float32) / 255
    opacity = np.maximum(letters, _BACK_OPACITY).astype(np.float32)
    return (letters[..., None] * np.full(3, 255, np.float32)).astype(np.float32), opacity
