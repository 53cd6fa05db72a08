"""The actor's crop: the rectangle of the actor's footage that the network sees and draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from motion import skeleton
from motion.body import measure_body
from motion.cropping import cut_rectangle, overlap, resized
from motion.frame import FrameSize, Picture
from motion.pose import Pose

STAGE_MARGIN = 0.06
"""Room around the poses, as a fraction of the height that they take up; smaller cuts finger tips."""

_CROWN = 0.17
"""From the nose to the top of the hair, as a share of nose to ankles: joints end at the brows, heads do not."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle in pixels of the actor's footage, and the size of the network that draws it.

    The rectangle may stick out of the footage: `cut` then repeats the footage's edge, and `paste` leaves that part
    away. Positions count from the upper left corner of a picture, not from the middle of its first pixel.

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
        """From pixels of the footage to pixels of the network's picture."""
        scale_x, scale_y = self.out_width_px / self.width_px, self.out_height_px / self.height_px
        return pose.transformed(scale_x, scale_y, -self.x_px * scale_x, -self.y_px * scale_y)

    def to_frame(self, pose: Pose) -> Pose:
        """From pixels of the network's picture to pixels of the footage; undoes `to_crop`."""
        return pose.transformed(
            self.width_px / self.out_width_px, self.height_px / self.out_height_px, self.x_px, self.y_px
        )

    def cut(self, picture: Picture) -> Picture:
        """`[out_height_px, out_width_px, 3]` uint8: what the network sees of a picture `[H, W, 3]` uint8."""
        cut = cut_rectangle(picture, self.x_px, self.y_px, self.width_px, self.height_px)
        return resized(cut, self.out_width_px, self.out_height_px)

    def paste(self, picture: Picture, plate: Picture) -> Picture:
        """`[H, W, 3]` uint8: the network's picture laid onto a copy of the plate, at the footage's size.

        picture: `[out_height_px, out_width_px, 3]` uint8; ValueError for another size. plate: `[H, W, 3]` uint8.
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
        """Whether every seen joint of a pose in pixels of the footage lies in the crop; true when none was seen."""
        corner = np.array([self.x_px, self.y_px], np.float32)
        on_crop_px = pose.joints_px[pose.seen] - corner
        return bool(((on_crop_px >= 0) & (on_crop_px <= [self.width_px, self.height_px])).all())

    def to_dict(self) -> dict[str, int]:
        """Its six numbers by name; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Crop:
        """Raises ValueError for a missing, unknown or fractional number."""
        names = [field.name for field in fields(cls)]
        if set(values) != set(names):
            raise ValueError(f"a crop takes exactly {names}, got {sorted(values)}")
        for name in names:
            if isinstance(values[name], bool) or not isinstance(values[name], int):
                raise ValueError(f"a crop's {name} must be a whole number, got {values[name]!r}")
        return cls(**values)


def fit_crop(
    poses: Iterable[Pose], frame_size: FrameSize, out_width_px: int, out_height_px: int, margin: float = STAGE_MARGIN
) -> Crop:
    """The smallest rectangle of the network's shape that holds every seen joint, the heads, and a margin around them.

    poses: in pixels of the footage. margin: a fraction of the height that all the joints together take up.
    The rectangle lies inside of the footage as far as it fits there: real pixels are better than repeated ones.
    Raises ValueError when no joint was seen at all, and for a negative margin.
    """
    if margin < 0:
        raise ValueError(f"a margin cannot be negative, got {margin}")
    low_px, high_px, highest_crown_px = np.full(2, np.inf), np.full(2, -np.inf), math.inf
    for pose in poses:  # one after another: there may be hours of them
        joints_px = pose.joints_px[pose.seen]
        if len(joints_px):
            low_px, high_px = np.minimum(low_px, joints_px.min(axis=0)), np.maximum(high_px, joints_px.max(axis=0))
        crown_px = _crown_px(pose, frame_size)
        if crown_px is not None:
            highest_crown_px = min(highest_crown_px, math.floor(crown_px))
    if not np.isfinite(low_px).all():
        raise ValueError("a crop needs at least one joint that was seen")
    margin_px = margin * float(high_px[1] - low_px[1])
    left_px, top_px = (math.floor(value - margin_px) for value in low_px)
    # The crown is a guess on the high side: more room above it would take pixels from the person.
    top_px = int(min(top_px, highest_crown_px))
    right_px, bottom_px = (math.ceil(value + margin_px) for value in high_px)
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
    """The smallest rectangle of the network's shape that holds the whole frame, with the frame in its middle."""
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


def _crown_px(pose: Pose, frame_size: FrameSize) -> float | None:
    """How high an upright head reaches, y in pixels of the frame; None where the body cannot be measured."""
    nose_px, body = pose.joint(skeleton.NOSE), measure_body(pose, frame_size)
    if nose_px is None or body is None:
        return None
    return float(nose_px[1]) - _CROWN * body.height * frame_size.height_px


def _placed(needed_start_px: int, needed_px: int, length_px: int, frame_px: int) -> int:
    """Start of a span that holds the needed one: inside of the frame where it can be, else as central as it can be."""
    central_px = needed_start_px - (length_px - needed_px) // 2
    inside_px = min(max(central_px, 0), frame_px - length_px) if length_px <= frame_px else central_px
    return min(max(inside_px, needed_start_px + needed_px - length_px), needed_start_px)
