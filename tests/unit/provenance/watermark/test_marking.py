"""Laying the watermark over pictures."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from provenance.watermark.code import Payload
from provenance.watermark.marking import Watermark
from tests.signed_files import scene

WATERMARK = Watermark(Payload(0x5A3C, 7))


@pytest.mark.parametrize(("height_px", "width_px"), [(512, 512), (720, 1280), (100, 70), (1, 1)])
def test_a_marked_picture_is_hardly_changed(height_px: int, width_px: int) -> None:
    """At least 42 dB, in any size; red is untouched, and no level changes by more than 8."""
    plain = np.full((height_px, width_px, 3), 128, np.uint8)
    difference = WATERMARK.marked(plain).astype(int) - plain
    assert not difference[..., 0].any()
    assert np.abs(difference).max() <= 8
    if height_px * width_px > 1000:
        assert 10 * math.log10(255**2 / np.mean(difference**2)) >= 42


def test_luma_does_not_change() -> None:
    """The pattern is in the blue-yellow difference alone: what the eye sees sharply stays the same."""
    plain = scene(side_px=512)
    before, after = (cv2.cvtColor(one, cv2.COLOR_RGB2YCrCb)[..., 0] for one in (plain, WATERMARK.marked(plain)))
    assert np.abs(before.astype(int) - after).max() <= 1
    assert np.abs(before.astype(int) - after).mean() < 0.3


def test_the_same_picture_is_always_marked_alike() -> None:
    """The pattern depends on the payload and on nothing else; the given picture stays as it is."""
    plain = scene()
    kept = plain.copy()
    first = WATERMARK.marked(plain)
    np.testing.assert_array_equal(first, Watermark(Payload(0x5A3C, 7)).marked(plain))
    np.testing.assert_array_equal(plain, kept)
    assert (first != Watermark(Payload(0x5A3C, 8)).marked(plain)).any()


def test_black_and_white_stay_in_range() -> None:
    """Levels at the end of the range do not wrap around."""
    for level in (0, 255):
        marked = WATERMARK.marked(np.full((256, 256, 3), level, np.uint8))
        assert np.abs(marked.astype(int) - level).max() <= 8


def test_an_opacity_is_kept_and_nothing_is_added_where_nothing_is() -> None:
    """Transparent pixels keep their colours, opaque ones are marked as in an opaque picture."""
    opaque = scene()
    opacity = np.zeros((256, 256), np.uint8)
    opacity[:, 100:] = 200
    marked = WATERMARK.marked(np.dstack([opaque, opacity]))
    np.testing.assert_array_equal(marked[..., 3], opacity)
    np.testing.assert_array_equal(marked[:, :100, :3], opaque[:, :100])
    np.testing.assert_array_equal(marked[:, 100:, :3], WATERMARK.marked(opaque)[:, 100:])
