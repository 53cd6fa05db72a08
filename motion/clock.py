"""`SourceClock`: assigns a time to every frame of a source. All code that measures time between frames uses it."""

from __future__ import annotations

from typing import Final

SHORTEST_FRAME_SECONDS: Final = 0.001
"""Least time between two frames, for cameras that occasionally repeat a time stamp."""

LOWEST_RATE_HZ: Final = 0.001
"""One frame in 1000 seconds, slower than any time lapse. Far lower rates would make times overflow."""
HIGHEST_RATE_HZ: Final = 1000.0

MOST_NUMBERED_FRAMES: Final = 1 << 48
"""If the rate is given, frame numbers must be below this limit, so that a double holds their times to a sixteenth of a
frame. From 2^52 on, neighbouring frames would get the same time."""


class FrameTimeError(ValueError):
    """A frame's time cannot be determined. field: the invalid field, "sequence" or "captured_at"."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def checked_rate_hz(frame_rate_hz: float) -> float:
    """Return the rate, 0 if it is unknown. Raises ValueError for a rate outside the supported range."""
    if frame_rate_hz == 0:
        return 0.0  # also for -0.0
    if not LOWEST_RATE_HZ <= frame_rate_hz <= HIGHEST_RATE_HZ:  # NaN is neither
        raise ValueError(
            f"expected {LOWEST_RATE_HZ:g} to {HIGHEST_RATE_HZ:g}, or 0 if it is unknown, got {frame_rate_hz:g}"
        )
    return frame_rate_hz


class SourceClock:
    """Derives frame times from their numbers if the source's rate is known, else from their capture times.

    frame_rate_hz: 0 if unknown; raises ValueError as `checked_rate_hz` does. newest_s: the time of an earlier frame to
    continue from.
    """

    def __init__(self, frame_rate_hz: float, newest_s: float | None = None) -> None:
        self._frame_rate_hz = checked_rate_hz(frame_rate_hz)
        self._newest_s = newest_s

    def time_s(self, sequence: int, captured_at_s: float | None) -> float:
        """Return seconds, strictly rising with `sequence`. Raises FrameTimeError if the time cannot be determined."""
        if self._frame_rate_hz > 0:
            if sequence >= MOST_NUMBERED_FRAMES:
                limit = f"must be below 2^48 ({MOST_NUMBERED_FRAMES}) if a frame rate is given"
                raise FrameTimeError("sequence", f"{limit}, got {sequence}: its time would be inexact")
            time_s = sequence / self._frame_rate_hz
        elif captured_at_s is None:
            raise FrameTimeError("captured_at", f"is required (frame {sequence}) if the frame rate is 0")
        elif self._newest_s is None:
            time_s = captured_at_s
        else:
            time_s = max(captured_at_s, self._newest_s + SHORTEST_FRAME_SECONDS)
        if self._newest_s is not None and time_s <= self._newest_s:  # only after a manipulated state
            raise FrameTimeError("sequence", f"frame {sequence} is not later than the last frame, {self._newest_s:g} s")
        self._newest_s = time_s
        return time_s
