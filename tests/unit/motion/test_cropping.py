"""Rectangles may lie anywhere; beyond the picture its nearest edge is repeated."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from motion.cropping import cut_rectangle, overlap, resized

positions = st.integers(-40, 40)
lengths = st.integers(1, 30)


@given(x_px=positions, y_px=positions, width_px=lengths, height_px=lengths)
def test_every_pixel_is_the_nearest_of_the_picture(x_px: int, y_px: int, width_px: int, height_px: int):
    """Inside, across an edge, across all edges, wholly outside: each pixel is the picture's nearest, in a copy."""
    picture = np.random.default_rng(1).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    rows = np.clip(np.arange(y_px, y_px + height_px), 0, 8)
    columns = np.clip(np.arange(x_px, x_px + width_px), 0, 12)
    cut = cut_rectangle(picture, x_px, y_px, width_px, height_px)
    np.testing.assert_array_equal(cut, picture[rows][:, columns])
    assert not np.shares_memory(cut, picture)


@given(start_px=positions, length_px=lengths, size_px=lengths)
def test_overlap_names_the_same_pixels_twice(start_px: int, length_px: int, size_px: int):
    """The slice of the axis and the slice of the span hold the same positions, all of those in both."""
    of_axis, of_span = overlap(start_px, length_px, size_px)
    axis, span = np.arange(size_px), np.arange(start_px, start_px + length_px)
    assert axis[of_axis].tolist() == span[of_span].tolist() == sorted(set(axis.tolist()) & set(span.tolist()))


def test_the_same_size_is_not_resampled():
    """A picture of the asked size is passed on as it is."""
    picture = np.random.default_rng(1).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    assert resized(picture, 13, 9) is picture
