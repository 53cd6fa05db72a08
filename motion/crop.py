"""The actor's crop: the rectangle of the actor's footage that the network sees and draws; and how to cut and paste."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.body import measure_body
from motion.frame import FrameSize, Picture
from motion.pose import Pose

_MARGIN = 0.06
"""Room around the poses, as a fraction of their joint height. A smaller margin cuts off finger tips."""

_CROWN = 0.17
"""Nose to top of the hair, as a fraction of nose to ankles: the highest joints are the brows, but heads are higher."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle in pixels of the actor's footage, and the size of the network that draws it.

    The rectangle may extend outside the footage: `cut` then repeats the footage's edge, `cut_mask` shows 0 there, and
    `paste` omits that part.
    Positions are relative to a picture's upper left corner, not to the centre of its first pixel.

    Raises ValueError for sides below one pixel.
    """

    x_px: int
    y_px: int
    width_px: int
    height_px: int
    out_width_px: int
    out_height_px: int

    def __post_init__(self) -> None:
        for name in ("width_px", "height_px", "out_width_px", "out_height_px"):
            if getattr(self, name) < 1:
                raise ValueError(f"a crop's {name} must be at least 1, got {getattr(self, name)}")

    def to_crop(self, pose: Pose) -> Pose:
        """Convert a pose from pixels of the footage to pixels of the network's picture."""
        scale_x, scale_y = self.out_width_px / self.width_px, self.out_height_px / self.height_px
        return pose.transformed(scale_x, scale_y, -self.x_px * scale_x, -self.y_px * scale_y)

    def from_crop(self, pose: Pose) -> Pose:
        """Convert a pose from pixels of the network's picture to pixels of the footage."""
        return pose.transformed(
            self.width_px / self.out_width_px, self.height_px / self.out_height_px, self.x_px, self.y_px
        )

    def cut(self, picture: Picture) -> Picture:
        """Return what the network sees of `[H, W, 3]` uint8 footage, as `[out_height_px, out_width_px, 3]` uint8."""
        cut = cut_rectangle(picture, self.x_px, self.y_px, self.width_px, self.height_px)
        return resized(cut, self.out_width_px, self.out_height_px)

    def cut_onto(self, place: Picture, picture: Picture) -> Picture:
        """Return `cut(picture)` with the place where the footage shows nothing: `[out_height_px, out_width_px, 3]`."""
        cut = self.cut(picture)
        if self.is_inside(FrameSize(picture.shape[1], picture.shape[0])):
            return cut
        shown = self.cut_mask(np.full(picture.shape[:2], 255, np.uint8)) >= 128
        return np.where(shown[..., None], cut, place)

    def cut_mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the network's view of a `[H, W]` uint8 mask of the footage's size; 0 outside the footage."""
        on_mask_x, on_crop_x = overlap(self.x_px, self.width_px, mask.shape[1])
        on_mask_y, on_crop_y = overlap(self.y_px, self.height_px, mask.shape[0])
        cut = np.zeros((self.height_px, self.width_px), np.uint8)
        cut[on_crop_y, on_crop_x] = mask[on_mask_y, on_mask_x]
        return resized(cut, self.out_width_px, self.out_height_px)

    def is_inside(self, frame_size: FrameSize) -> bool:
        """Whether footage of this size shows all of the rectangle."""
        right_px, bottom_px = self.x_px + self.width_px, self.y_px + self.height_px
        return min(self.x_px, self.y_px) >= 0 and right_px <= frame_size.width_px and bottom_px <= frame_size.height_px

    def paste(self, picture: Picture, plate: Picture) -> Picture:
        """Return a copy of the plate, `[H, W, 3]` uint8, with the network's picture pasted at the footage's scale.

        picture: `[out_height_px, out_width_px, 3]` uint8. Raises ValueError for another size.
        """
        if picture.shape != (self.out_height_px, self.out_width_px, 3):
            raise ValueError(
                f"this crop pastes pictures of {self.out_width_px}x{self.out_height_px} pixels, "
                f"got an array of shape {picture.shape}"
            )
        drawn = resized(picture, self.width_px, self.height_px)
        on_plate_x, on_crop_x = overlap(self.x_px, self.width_px, plate.shape[1])
        on_plate_y, on_crop_y = overlap(self.y_px, self.height_px, plate.shape[0])
        result = plate.copy()
        result[on_plate_y, on_plate_x] = drawn[on_crop_y, on_crop_x]
        return result

    def contains(self, pose: Pose) -> bool:
        """Whether every seen joint of a pose, in pixels of the footage, is in the crop; true if no joint was seen."""
        corner = np.array([self.x_px, self.y_px], np.float32)
        on_crop_px = pose.joints_px[pose.seen] - corner
        return bool(((on_crop_px >= 0) & (on_crop_px <= [self.width_px, self.height_px])).all())

    def to_dict(self) -> dict[str, int]:
        """Return the six numbers by name, for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Crop:
        """Restore `to_dict`'s numbers. Raises ValueError for missing, unknown or fractional ones."""
        names = [field.name for field in fields(cls)]
        if set(values) != set(names) or any(type(value) is not int for value in values.values()):
            raise ValueError(f"a crop takes exactly the whole numbers {names}, got {dict(values)}")
        return cls(**values)


def fit_crop(poses: Iterable[Pose], frame_size: FrameSize, out_width_px: int, out_height_px: int) -> Crop:
    """Return the smallest rectangle of the network's shape that holds all seen joints, the heads and a margin.

    poses: in pixels of the footage. The margin ends at the footage's edge, and the rectangle stays inside it if
    that fits: real pixels are better than invented ones. Raises ValueError if no joint was seen.
    """
    low_px, high_px, highest_crown_px = np.full(2, np.inf), np.full(2, -np.inf), math.inf
    for pose in poses:  # one at a time: there may be hours of footage
        joints_px = pose.joints_px[pose.seen]
        if len(joints_px):
            low_px, high_px = np.minimum(low_px, joints_px.min(axis=0)), np.maximum(high_px, joints_px.max(axis=0))
        crown_px = _crown_px(pose, frame_size)
        if crown_px is not None:
            highest_crown_px = min(highest_crown_px, math.floor(crown_px))
    if not np.isfinite(low_px).all():
        raise ValueError("a crop needs at least one joint, but none was seen")
    margin_px = _MARGIN * float(high_px[1] - low_px[1])
    left_px, top_px = (math.floor(value - margin_px) for value in low_px)
    # The crown is a generous estimate: a margin above it would only take pixels from the person.
    top_px = int(min(top_px, highest_crown_px))
    right_px, bottom_px = (math.ceil(value + margin_px) for value in high_px)
    # Beyond the footage's edge there is nothing to see, so only joints reach there.
    left_px, top_px = max(left_px, min(math.floor(low_px[0]), 0)), max(top_px, min(math.floor(low_px[1]), 0))
    right_px = min(right_px, max(math.ceil(high_px[0]), frame_size.width_px))
    bottom_px = min(bottom_px, max(math.ceil(high_px[1]), frame_size.height_px))
    needed_width_px, needed_height_px = max(right_px - left_px, 1), max(bottom_px - top_px, 1)
    width_px = max(needed_width_px, math.ceil(needed_height_px * out_width_px / out_height_px))
    height_px = max(needed_height_px, math.ceil(needed_width_px * out_height_px / out_width_px))
    return Crop(
        x_px=_placed(left_px, needed_width_px, width_px, frame_size.width_px),
        y_px=_placed(top_px, needed_height_px, height_px, frame_size.height_px),
        width_px=width_px,
        height_px=height_px,
        out_width_px=out_width_px,
        out_height_px=out_height_px,
    )


def whole_frame_crop(frame_size: FrameSize, out_width_px: int, out_height_px: int) -> Crop:
    """Return the smallest rectangle of the network's shape that holds the whole frame, centred on the frame."""
    width_px = max(frame_size.width_px, math.ceil(frame_size.height_px * out_width_px / out_height_px))
    height_px = max(frame_size.height_px, math.ceil(frame_size.width_px * out_height_px / out_width_px))
    return Crop(
        x_px=(frame_size.width_px - width_px) // 2,
        y_px=(frame_size.height_px - height_px) // 2,
        width_px=width_px,
        height_px=height_px,
        out_width_px=out_width_px,
        out_height_px=out_height_px,
    )


def cut_rectangle(picture: Picture, x_px: int, y_px: int, width_px: int, height_px: int) -> Picture:
    """Copy a rectangle of a `[H, W, 3]` uint8 picture, as `[height_px, width_px, 3]` uint8.

    Outside the picture, the nearest edge pixel is repeated.
    """
    if x_px >= 0 and y_px >= 0 and x_px + width_px <= picture.shape[1] and y_px + height_px <= picture.shape[0]:
        return picture[y_px : y_px + height_px, x_px : x_px + width_px].copy()
    left, right, skip_x = _needed(x_px, width_px, picture.shape[1])
    top, bottom, skip_y = _needed(y_px, height_px, picture.shape[0])
    # Pad only the part that is used: the picture may be large.
    used = picture[max(top, 0) : min(bottom, picture.shape[0]), max(left, 0) : min(right, picture.shape[1])]
    padding = (max(-top, 0), max(bottom - picture.shape[0], 0), max(-left, 0), max(right - picture.shape[1], 0))
    padded = cv2.copyMakeBorder(used, *padding, cv2.BORDER_REPLICATE)
    cut = padded[skip_y : skip_y + height_px, skip_x : skip_x + width_px]
    return np.ascontiguousarray(cut, dtype=np.uint8)


def resized(picture: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Resize to `[height_px, width_px, ...]` uint8: area averaging if both sides shrink, else linear interpolation."""
    rows, columns = picture.shape[:2]
    if (columns, rows) == (width_px, height_px):
        return picture
    shrinks = width_px <= columns and height_px <= rows
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width_px, height_px), interpolation=method), dtype=np.uint8)


def shrunk(picture: Picture, longer_side_px: int) -> Picture:
    """Return `picture`, shrunk to a longer side of `longer_side_px` if it is larger."""
    height_px, width_px = picture.shape[:2]
    scale = longer_side_px / max(width_px, height_px)
    if scale >= 1:
        return picture
    size = (max(1, round(width_px * scale)), max(1, round(height_px * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def overlap(start_px: int, length_px: int, size_px: int) -> tuple[slice, slice]:
    """Return the part of a span that is on an axis of size_px: as a slice of the axis, and as a slice of the span.

    Both slices are empty if they do not overlap.
    """
    first = min(max(start_px, 0), size_px)
    last = min(max(start_px + length_px, first), size_px)
    return slice(first, last), slice(first - start_px, last - start_px)


def _needed(start_px: int, length_px: int, size_px: int) -> tuple[int, int, int]:
    """Extend a span until it meets an axis of size_px. Return its start, its end and how much was added in front."""
    start = min(start_px, size_px - 1)
    return start, max(start_px + length_px, 1), start_px - start


def _crown_px(pose: Pose, frame_size: FrameSize) -> float | None:
    """Return the y of an upright head's crown, in pixels of the frame; None if the body cannot be measured."""
    nose_px, body = pose.joint(skeleton.NOSE), measure_body(pose, frame_size)
    if nose_px is None or body is None:
        return None
    return float(nose_px[1]) - _CROWN * body.height * frame_size.height_px


def _placed(needed_start_px: int, needed_px: int, length_px: int, frame_px: int) -> int:
    """Return the start of a span that holds the needed one, inside the frame if it fits, as central as possible."""
    central_px = needed_start_px - (length_px - needed_px) // 2
    inside_px = min(max(central_px, 0), frame_px - length_px) if length_px <= frame_px else central_px
    return min(max(inside_px, needed_start_px + needed_px - length_px), needed_start_px)
