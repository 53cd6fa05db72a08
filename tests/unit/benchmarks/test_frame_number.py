"""Numbers drawn into pictures, for the measurement of live sessions."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.frame_number import read_number, strip_height_px, with_number
from motion.frame import Picture, PictureEncoding
from serving.pictures.codec import decode_picture, encode_picture


def noise(height_px: int, width_px: int) -> Picture:
    return np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), np.uint8)


@pytest.mark.parametrize("number", [0, 1, 12_345, 65_535])
@pytest.mark.parametrize("scale", [1.0, 0.5, 1.7])
def test_a_number_survives_jpeg_and_scaling(number, scale):
    """It is read from the strip of the picture that a viewer gets; the rest of the picture is unchanged."""
    picture = noise(512, 512)
    numbered = with_number(picture, number)
    assert np.array_equal(numbered[strip_height_px(512) :], picture[strip_height_px(512) :])
    seen = decode_picture(encode_picture(numbered, PictureEncoding.JPEG, 50))
    seen = cv2.resize(seen, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
    assert read_number(seen[: strip_height_px(seen.shape[0])]) == number


def test_a_damaged_number_is_not_read():
    """A wrong block does not become another frame's number."""
    numbered = with_number(noise(256, 480), 1000)
    for block in range(24):
        damaged = numbered.copy()
        damaged[:, block * 20 : (block + 1) * 20] = 255 - damaged[:, block * 20 : (block + 1) * 20]
        assert read_number(damaged[: strip_height_px(256)]) is None
    for level in (0, 90, 200, 255):
        assert read_number(np.full((8, 480, 3), level, np.uint8)) is None
