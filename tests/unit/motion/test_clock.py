"""The clock of a source."""

from __future__ import annotations

import pytest

from motion.clock import SHORTEST_FRAME_SECONDS, SourceClock


def test_rate_counts_before_captured_at() -> None:
    """With a rate a frame's number says when it was, whatever the camera said."""
    clock = SourceClock(25.0)
    assert [clock.time_s(0, 7.0), clock.time_s(5, 1.0), clock.time_s(10, None)] == pytest.approx([0.0, 0.2, 0.4])


def test_without_a_rate_time_always_rises() -> None:
    """Repeated and falling time stamps still let a little time pass, also behind an earlier frame's."""
    clock = SourceClock(0.0, newest_s=2.0)
    step = SHORTEST_FRAME_SECONDS
    times = [clock.time_s(n, at) for n, at in enumerate((1.0, 2.5, 2.5, 3.0))]
    assert times == pytest.approx([2 + step, 2.5, 2.5 + step, 3.0])


def test_neither_rate_nor_time_is_refused() -> None:
    """Nobody could say when such a frame was."""
    with pytest.raises(ValueError, match="frame 3"):
        SourceClock(0.0).time_s(3, None)
