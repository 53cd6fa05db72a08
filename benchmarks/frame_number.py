"""A number drawn into a picture as black and white blocks, so that it can be read back after JPEG and scaling."""

from __future__ import annotations

from typing import Final

import numpy as np

from motion.frame import Picture

_NUMBER_BITS: Final = 16
_CHECK_BITS: Final = 8
_BITS: Final = _NUMBER_BITS + _CHECK_BITS
_STRIP: Final = 1 / 32
"""The height of the strip of blocks, as a fraction of the picture's height: little of what a detector looks at."""


def strip_height_px(height_px: int) -> int:
    """Return the height of the strip at the top of a picture."""
    return max(4, round(height_px * _STRIP))


def with_number(picture: Picture, number: int) -> Picture:
    """Return a copy of `[H, W, 3]` uint8 RGB with `number`, 0 to 65535, in the strip at its top."""
    numbered = picture.copy()
    width_px = picture.shape[1]
    bits = _bits(number)
    blocks = np.array(bits, np.uint8)[np.arange(width_px) * _BITS // width_px] * np.uint8(255)
    numbered[: strip_height_px(picture.shape[0])] = blocks[None, :, None]
    return numbered


def read_number(strip: Picture) -> int | None:
    """Return the number in a strip, `[h, W, 3]` uint8 RGB of any size; None if its check does not hold."""
    height_px, width_px = strip.shape[:2]
    centres_px = ((np.arange(_BITS) + 0.5) * width_px / _BITS).astype(int)
    levels = strip[height_px // 2, centres_px].mean(axis=1)
    bits = [int(level > 127) for level in levels]
    number = sum(bit << place for place, bit in enumerate(bits[:_NUMBER_BITS]))
    return number if bits == _bits(number) else None


def _bits(number: int) -> list[int]:
    check = (number * 0x9E3779B1 >> 24 ^ 0xA5) & (1 << _CHECK_BITS) - 1  # plain black is no number either
    whole = number | check << _NUMBER_BITS
    return [whole >> place & 1 for place in range(_BITS)]
