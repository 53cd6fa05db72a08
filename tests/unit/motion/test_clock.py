"""The source's clock gives every frame a rising time."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motion.clock import (
    MOST_NUMBERED_FRAMES,
    SHORTEST_FRAME_SECONDS,
    FrameTimeError,
    SourceClock,
    checked_rate_hz,
)


def test_rate_counts_before_captured_at() -> None:
    """If the rate is known, the frame's number determines its time and capture times are ignored."""
    clock = SourceClock(25.0)
    assert [clock.time_s(0, 7.0), clock.time_s(5, 1.0), clock.time_s(10, None)] == pytest.approx([0.0, 0.2, 0.4])


def test_without_a_rate_time_always_rises() -> None:
    """Repeated and falling time stamps still advance the time slightly, also from an earlier frame's time."""
    clock = SourceClock(0.0, newest_s=2.0)
    step = SHORTEST_FRAME_SECONDS
    times = [clock.time_s(n, at) for n, at in enumerate((1.0, 2.5, 2.5, 3.0))]
    assert times == pytest.approx([2 + step, 2.5, 2.5 + step, 3.0])


def test_a_frame_without_rate_and_time_is_rejected() -> None:
    """A frame whose time cannot be determined raises ValueError."""
    with pytest.raises(ValueError, match="frame 3"):
        SourceClock(0.0).time_s(3, None)


@pytest.mark.parametrize("rate_hz", [0.001, 0.3, 23.976, 25.0, 1000 / 3, 999.9, 1000.0])
def test_with_a_rate_time_rises_strictly_up_to_the_last_number(rate_hz: float) -> None:
    """The last numbers' times are one frame apart, to an eighth; the next number raises an error for its field."""
    clock = SourceClock(rate_hz)
    times = [clock.time_s(MOST_NUMBERED_FRAMES - n, None) for n in (4, 3, 2, 1)]
    assert [(later - earlier) * rate_hz for earlier, later in pairwise(times)] == pytest.approx([1, 1, 1], abs=0.125)
    with pytest.raises(FrameTimeError, match=r"must be below 2\^48") as caught:
        clock.time_s(MOST_NUMBERED_FRAMES, None)
    assert caught.value.field == "sequence"


@given(st.integers(0, MOST_NUMBERED_FRAMES - 2), st.floats(0.001, 1000))
def test_neighbours_never_share_a_time(sequence: int, rate_hz: float) -> None:
    """For every valid rate and number, the next frame is later."""
    clock = SourceClock(rate_hz)
    assert clock.time_s(sequence, None) < clock.time_s(sequence + 1, None) < math.inf


@given(st.lists(st.floats(-62_135_596_800, 253_402_300_799), min_size=2, max_size=5))
def test_without_a_rate_any_times_rise(captured_at_s: list[float]) -> None:
    """Times rise strictly for all years that a Timestamp can hold."""
    clock = SourceClock(0.0)
    times = [clock.time_s(n, at) for n, at in enumerate(captured_at_s)]
    assert all(earlier < later for earlier, later in pairwise(times))


@pytest.mark.parametrize("rate_hz", [1e-300, 5e-324, 9.9e-4, -1.0, 1000.1, math.inf, -math.inf, math.nan])
def test_invalid_rates_are_rejected(rate_hz: float) -> None:
    """The error names the bounds; 0 and -0.0 mean that the rate is unknown."""
    with pytest.raises(ValueError, match=r"expected 0\.001 to 1000, or 0"):
        SourceClock(rate_hz)
    assert math.copysign(1, checked_rate_hz(-0.0)) == 1
