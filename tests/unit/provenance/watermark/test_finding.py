"""Finding the watermark without the original."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from motion.frame import Picture, PictureEncoding
from provenance.watermark.code import Payload
from provenance.watermark.finding import FALSE_ALARM, WatermarkSearch, false_alarm_of, find_watermark
from provenance.watermark.marking import Watermark
from serving.pictures.codec import decode_picture, encode_picture
from tests.signed_files import scene

PAYLOAD = Payload(0x5A3C, 0xDEADBEEF)
PLAIN = [scene(index, side_px=512) for index in range(5)]
MARKED = [Watermark(PAYLOAD).marked(picture) for picture in PLAIN]


def jpeg(picture: Picture) -> Picture:
    return decode_picture(encode_picture(picture, PictureEncoding.JPEG, 70))


def scaled(picture: Picture, scale: float) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize(
    ("attack", "scale"),
    [
        (lambda picture: picture, 1.0),
        (jpeg, 1.0),
        (lambda picture: scaled(picture, 0.6), 0.6),
        (lambda picture: scaled(picture, 1.5), 1.5),
        (lambda picture: picture[37:447, 61:471], 1.0),
        (lambda picture: picture[:, ::-1], 1.0),
    ],
    ids=["as it was", "JPEG 70", "60 %", "150 %", "cropped to 80 %", "mirrored"],
)
def test_a_watermark_is_read_after_an_attack(attack, scale) -> None:
    """What it carries is read, and at which scale, from pictures alone."""
    found = find_watermark(attack(picture) for picture in MARKED)
    assert found is not None
    assert found.payload == PAYLOAD
    assert found.is_legible
    assert found.scale == pytest.approx(scale, rel=0.02)
    assert found.false_alarm < 1e-9


def test_nothing_is_found_where_nothing_is() -> None:
    """Unmarked pictures, noise, and one grey have no watermark; no picture is none either."""
    noise = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    for pictures in (PLAIN, [noise], [np.full((256, 256, 3), 128, np.uint8)], []):
        assert find_watermark(pictures) is None


def test_a_small_picture_is_searched_without_a_fault() -> None:
    """Pictures too small for the pattern carry nothing that could be found."""
    assert find_watermark([scene(side_px=32)]) is None
    assert find_watermark([np.zeros((1, 1, 3), np.uint8)]) is None


def test_a_large_picture_is_searched_at_half_its_size() -> None:
    """What is found, and its scale, are those of the picture that was given."""
    large = Watermark(PAYLOAD).marked(np.tile(PLAIN[0], (3, 3, 1)))
    found = find_watermark([large])
    assert found is not None
    assert found.payload == PAYLOAD
    assert found.scale == pytest.approx(1.0, rel=0.02)


def test_pictures_of_another_size_cannot_be_added() -> None:
    """The error names both sizes."""
    search = WatermarkSearch()
    search.add(PLAIN[0])
    with pytest.raises(ValueError, match=r"\(64, 64\) cannot be searched with those of \(512, 512\)"):
        search.add(scene(side_px=64))


def test_the_bound_falls_with_the_strength() -> None:
    """The least strength that counts as found keeps the promise, and nothing below it does."""
    bounds = [false_alarm_of(strength) for strength in (-3, 0, 5, 11, 12, 30)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] == 1
    assert bounds[3] > FALSE_ALARM > bounds[4]
