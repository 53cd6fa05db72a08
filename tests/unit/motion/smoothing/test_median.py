"""A centred median removes jitter and keeps motion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion.skeleton import JOINT_COUNT
from motion.smoothing.median import centred_median, smoothed, window_half_frames


def table(x: float, confidence: float = 1.0) -> NDArray[np.float32]:
    """All joints at (x, 2x)."""
    rows = np.zeros((JOINT_COUNT, 3), np.float32)
    if confidence:
        rows[:] = (x, 2 * x, confidence)
    return rows


@pytest.mark.parametrize(
    ("rate_hz", "half"),
    [
        *((0, 0), (5, 0), (12, 0), (15, 0), (20, 1), (23.976, 1), (24, 1), (25, 1), (29.97, 1), (30, 1)),
        *((50, 2), (60, 3), (70, 3), (120, 3), (240, 3)),
    ],
)
def test_the_window_is_a_tenth_of_a_second_and_never_erases_the_motion(rate_hz, half):
    """The odd number of frames nearest to 0.1 s, at most 7; no median for fewer than 3."""
    assert window_half_frames(rate_hz, 0.1) == half


def test_the_median_drops_an_outlier():
    """One outlier in five frames changes nothing."""
    window = [table(x) for x in (1, 2, 900, 4, 5)]
    np.testing.assert_array_equal(centred_median(window)[:, :2], np.tile([4, 8], (JOINT_COUNT, 1)))


@pytest.mark.parametrize(("sightings", "kept"), [(3, False), (4, True)])
def test_a_joint_needs_a_majority_of_sightings(sightings, kept):
    """Of seven frames, four must have seen the joint; the zeros of unseen frames do not count as positions."""
    window = [table(10 + i, 1.0 if i < sightings else 0.0) for i in range(7)]
    median = centred_median(window)
    assert (median[:, 2] > 0).all() == kept
    expected = 11.5 if kept else 0
    np.testing.assert_array_equal(median[:, 0], expected)


@given(
    st.lists(st.lists(st.one_of(st.none(), st.integers(-1000, 1000)), min_size=5, max_size=5), min_size=1, max_size=9)
)
def test_the_median_is_numpys_over_the_sightings(columns):
    """For each joint the result is the median of the positions at which it was seen."""
    window = []
    for frame in range(5):
        rows = np.zeros((JOINT_COUNT, 3), np.float32)
        for joint, column in enumerate(columns):
            if column[frame] is not None:
                rows[joint] = (column[frame], -column[frame], 0.5)
        window.append(rows)
    median = centred_median(window)
    for joint, column in enumerate(columns):
        seen = [x for x in column if x is not None]
        expected = np.median(seen) if len(seen) >= 3 else 0
        assert median[joint, 0] == expected
        assert median[joint, 1] == -expected


def streamed(values: list[float | None], half: int) -> list[float | None]:
    """The x of each smoothed table, of tables at these x."""
    tables = [None if value is None else table(value) for value in values]
    return [None if each is None else float(each[0, 0]) for each in smoothed(tables, half, jump_px=100)]


def test_a_stream_keeps_its_motion_and_loses_outliers():
    """A steady motion stays as it is to its ends, and a frame off it is put back."""
    assert streamed([1, 2, 3, 4, 5], 1) == [1, 2, 3, 4, 5]
    assert streamed([1, 2, 30, 4, 5], 1) == [1, 2, 4, 5, 5]
    assert streamed([1, 2, 3], 3) == [1, 2, 3]
    assert streamed([1, 2], 3) == [1, 2]
    assert streamed([1], 3) == [1]
    assert streamed([], 2) == []


def test_frames_without_a_person_stay_without_one():
    """A gap stays a gap, and the frames beside it are smoothed by fewer."""
    assert streamed([1, None, 3, 9, 5], 1) == [1, None, 3, 5, 5]


def test_a_cut_is_no_motion():
    """Frames before a cut do not pull at those after it."""
    assert streamed([1, 2, 500, 501, 502], 1) == [1, 2, 500, 501, 502]


def test_without_a_window_nothing_changes():
    """At a low frame rate the window is the frame itself."""
    assert streamed([1, 7, 3], 0) == [1, 7, 3]
