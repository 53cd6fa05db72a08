"""Lay a person over a background.

A *person* is `[H, W, 4]` uint8: RGB multiplied by the opacity, then the opacity; the generator's output `PERSON`.
Layering and resizing need such premultiplied colours (Porter and Duff, "Compositing Digital Images", 1984).
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.crop import Crop, overlap
from motion.frame import FrameSize, Picture, RgbaPicture

_SURE: Final = (0.6, 1.0)
"""Opacities between which a pixel's colour counts more and more as the person's own."""
_KEPT: Final = (0.2, 0.9)
"""Opacities that `without_old_place` maps to 0 and 1."""
_SHADOW: Final = (0.10, 0.03)
"""Levels of the brightest channel that stand for a shadow on the floor, which is black: from not at all to surely."""
_FAINT: Final = (0.02, 0.06)
"""Opacities between which a shadow becomes as opaque as it was drawn; below, it is a network's noise."""
_INVISIBLE_LEVELS: Final = 2
"""Opacities of 255 that change no pixel of the background by more than two levels."""
_NARROW_PX, _WIDE_PX = 1.5, 5.0
"""Standard deviations over which `without_old_place` spreads the person's colours, for pictures of 512 pixels."""
_LEAST_SCALE: Final = 0.7
"""Masks of small pictures have edges as wide, in pixels."""
_WIDE_SHARE: Final = 0.01
"""Weight of the wide spread: it only counts where the narrow one finds no colour."""
_LEAST_WEIGHT: Final = 1e-4
"""With less of the person's colour around it, a pixel keeps its own: it may be a shadow far from the body."""
_TINY: Final = 1e-7
_ANY_CHANNEL: Final = np.ones((1, 3), np.float32)


def laid_over(person: RgbaPicture, background: Picture) -> Picture:
    """Return a copy of the background, `[H, W, 3]` uint8 RGB, with a person of the same size over it."""
    result = background.copy()
    _lay(person, result)
    return result


def laid_on_footage(person: RgbaPicture, crop: Crop, background: Picture) -> Picture:
    """Return a copy of a background of the footage's size, with a person of the crop's size at their place.

    Only the person is resized: the background stays as sharp as it is.
    """
    result = background.copy()
    on_frame, on_crop = _overlaps(crop, FrameSize(background.shape[1], background.shape[0]))
    _lay(_resized(person, crop.width_px, crop.height_px)[on_crop], result[on_frame])
    return result


def on_footage(person: RgbaPicture, crop: Crop, frame_size: FrameSize) -> RgbaPicture:
    """Return a person of the crop's size at their place in an otherwise transparent frame of the footage's size."""
    result = np.zeros((frame_size.height_px, frame_size.width_px, 4), np.uint8)
    on_frame, on_crop = _overlaps(crop, frame_size)
    result[on_frame] = person_resized(person, crop.width_px, crop.height_px)[on_crop]
    return result


def person_resized(person: RgbaPicture, width_px: int, height_px: int) -> RgbaPicture:
    """Resize a person: area averaging if both sides shrink, else bicubic interpolation, sharper than linear."""
    return np.asarray(cv2.merge(_possible(_resized(person, width_px, height_px))), np.uint8)


def with_straight_alpha(person: RgbaPicture) -> RgbaPicture:
    """Return the person with colours that are not premultiplied, as PNG stores them; black where nothing is drawn."""
    *colours, alpha = cv2.split(person)
    return np.asarray(cv2.merge([*(cv2.divide(colour, alpha, scale=255) for colour in colours), alpha]), np.uint8)


def premultiplied(picture: RgbaPicture) -> RgbaPicture:
    """Return the person of a picture with straight alpha."""
    *colours, alpha = cv2.split(picture)
    return np.asarray(cv2.merge([*(cv2.multiply(colour, alpha, scale=1 / 255) for colour in colours), alpha]), np.uint8)


def with_colours_spread(picture: RgbaPicture) -> RgbaPicture:
    """Return a picture with straight alpha whose transparent pixels have the colours of the person nearby.

    For video codecs, which mix the colours of neighbouring pixels whatever their opacity.
    """
    person = premultiplied(picture).astype(np.float32)
    *colours, near = cv2.split(person + _WIDE_SHARE * _blurred_wide(person, _WIDE_PX))
    share = 255 / np.maximum(near, _TINY)
    spread = cv2.convertScaleAbs(cv2.merge([colour * share for colour in colours]))
    opacity = picture[..., 3]
    filled = np.where(opacity[..., None] > 0, picture[..., :3], spread)
    return np.asarray(cv2.merge([*cv2.split(filled), np.ascontiguousarray(opacity)]), np.uint8)


def without_old_place(person: RgbaPicture) -> RgbaPicture:
    """Return the person with an edge that shows nothing of the place in which they were filmed.

    The outermost pixels of a filmed person are mixed with what was behind them. They get the colours of the nearest
    pixels that are surely the person's, and the edge becomes one or two pixels narrower. Shadows stay as they are.
    """
    x_px, y_px, width_px, height_px = _box(person, round(255 * _FAINT[0]))
    if width_px == 0:
        return np.zeros_like(person)
    scale = max(_LEAST_SCALE, max(person.shape[:2]) / 512)
    margin_px = round(3 * _WIDE_PX * scale)
    rows = slice(max(y_px - margin_px, 0), y_px + height_px + margin_px)
    columns = slice(max(x_px - margin_px, 0), x_px + width_px + margin_px)
    result = np.zeros_like(person)
    result[rows, columns] = _clean(np.ascontiguousarray(person[rows, columns]), scale)
    return result


def changed_like(person: RgbaPicture, before: Picture, after: Picture) -> RgbaPicture:
    """Return the person with the change of their picture from `before` to `after`, in proportion to the opacity.

    For changes that a later network makes to the whole picture, the person over a plate; all of one size.
    """
    if after is before:
        return person
    x_px, y_px, width_px, height_px = cv2.boundingRect(cv2.transform(cv2.absdiff(before, after), _ANY_CHANNEL))
    box = np.s_[y_px : y_px + height_px, x_px : x_px + width_px]
    result = person.copy()
    alpha = person[box][..., 3:].astype(np.float32)
    change = (after[box].astype(np.float32) - before[box]) * (alpha / 255)
    result[box][..., :3] = np.rint(np.clip(person[box][..., :3] + change, 0, alpha))
    return result


def covering(picture: Picture, width_px: int, height_px: int) -> Picture:
    """Resize a picture until it covers `width_px` x `height_px`, and cut off what sticks out on both sides."""
    rows, columns = picture.shape[:2]
    scale = max(width_px / columns, height_px / rows)
    # The part that will be seen, cut before it is resized: the picture may be much larger.
    seen_columns, seen_rows = min(columns, round(width_px / scale)), min(rows, round(height_px / scale))
    left, top = (columns - seen_columns) // 2, (rows - seen_rows) // 2
    seen = picture[top : top + max(seen_rows, 1), left : left + max(seen_columns, 1)]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(seen, (width_px, height_px), interpolation=method), np.uint8)


def _lay(person: RgbaPicture, below: Picture) -> None:
    x_px, y_px, width_px, height_px = _box(person, _INVISIBLE_LEVELS)
    if width_px == 0:
        return
    box = np.s_[y_px : y_px + height_px, x_px : x_px + width_px]
    *colours, alpha = _possible(person[box])
    through = cv2.multiply(below[box], cv2.merge([cv2.bitwise_not(alpha)] * 3), scale=1 / 255)
    below[box] = cv2.add(through, cv2.merge(colours))


def _box(person: RgbaPicture, most_levels: int) -> tuple[int, int, int, int]:
    """Return x, y, width and height of the part whose opacity exceeds `most_levels`; networks leave a faint veil."""
    _, seen = cv2.threshold(cv2.extractChannel(person, 3), most_levels, 255, cv2.THRESH_BINARY)
    x_px, y_px, width_px, height_px = cv2.boundingRect(seen)
    return x_px, y_px, width_px, height_px


def _resized(person: RgbaPicture, width_px: int, height_px: int) -> RgbaPicture:
    rows, columns = person.shape[:2]
    if (columns, rows) == (width_px, height_px):
        return person
    shrinks = width_px <= columns and height_px <= rows
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(person, (width_px, height_px), interpolation=method), np.uint8)


def _possible(person: RgbaPicture) -> list[NDArray[np.uint8]]:
    """Return the four channels. A premultiplied colour cannot exceed its opacity; bicubic interpolation overshoots."""
    *colours, alpha = cv2.split(person)
    return [np.asarray(channel, np.uint8) for channel in (*(cv2.min(colour, alpha) for colour in colours), alpha)]


def _clean(person: RgbaPicture, scale: float) -> RgbaPicture:
    levels = with_straight_alpha(person)
    *straight, _ = (channel.astype(np.float32) for channel in cv2.split(levels))
    weight = cv2.LUT(cv2.erode(person[..., 3], np.ones((3, 3), np.uint8)), _ramp(*_SURE, power=2))
    weighted = np.asarray(cv2.merge([*(colour * weight for colour in straight), weight]), np.float32)
    spread = cv2.GaussianBlur(weighted, (0, 0), _NARROW_PX * scale)
    *colours, near = cv2.split(cv2.scaleAdd(_blurred_wide(weighted, _WIDE_PX * scale), _WIDE_SHARE, spread))
    shadow = cv2.LUT(np.maximum.reduce(cv2.split(levels)[:3]), _ramp(*_SHADOW))
    own = np.maximum.reduce([weight, 1 - near / _LEAST_WEIGHT, shadow])
    narrowed = cv2.LUT(person[..., 3], _ramp(*_KEPT))
    faint = _ramp(_FAINT[0], _FAINT[1])
    drawn = cv2.LUT(person[..., 3], faint) * (person[..., 3] / np.float32(255))
    opacity = narrowed + shadow * (drawn - narrowed)
    shares = (own * opacity, (1 - own) * opacity / np.maximum(near, _TINY))
    mixed = [colour * shares[0] + around * shares[1] for colour, around in zip(straight, colours, strict=True)]
    return np.asarray(cv2.convertScaleAbs(cv2.merge([*mixed, opacity * 255])), np.uint8)


def _blurred_wide(picture: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Blur at half size, which takes a quarter of the time."""
    rows, columns = picture.shape[:2]
    half = cv2.resize(picture, ((columns + 1) // 2, (rows + 1) // 2), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(half, (0, 0), sigma_px / 2)
    return np.asarray(cv2.resize(blurred, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)


def _ramp(first: float, last: float, power: int = 1) -> NDArray[np.float32]:
    """Return 256 values, from 0 at opacity `first` to 1 at `last`."""
    opacity = np.arange(256, dtype=np.float32) / 255
    return np.asarray(np.clip((opacity - first) / (last - first), 0, 1) ** power, np.float32)


def _overlaps(crop: Crop, size: FrameSize) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    on_frame_x, on_crop_x = overlap(crop.x_px, crop.width_px, size.width_px)
    on_frame_y, on_crop_y = overlap(crop.y_px, crop.height_px, size.height_px)
    return (on_frame_y, on_frame_x), (on_crop_y, on_crop_x)
