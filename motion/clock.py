"""`SourceClock`: the one rule for when a frame of a source was, for everybody who measures time between frames."""

from __future__ import annotations

from typing import Final

SHORTEST_FRAME_SECONDS: Final = 0.001
"""Cameras repeat a time stamp now and then; time still passes."""

LOWEST_RATE_HZ: Final = 0.001
"""A frame every 1000 seconds: time lapses are quicker. Far below it times would overflow."""
HIGHEST_RATE_HZ: Final = 1000.0

MOST_NUMBERED_FRAMES: Final = 1 << 48
"""With a rate a frame's number must be below this: a double then holds its time to a sixteenth of a frame. From 2^52 on
two neighbouring frames would get the same time."""


class FrameTimeError(ValueError):
    """A frame whose time cannot be known. field: what is at fault, "sequence" or "captured_at"."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def checked_rate_hz(frame_rate_hz: float) -> float:
    """The rate itself, 0 where it is unknown. Raises ValueError for a rate that no source has."""
    if frame_rate_hz == 0:
        return 0.0  # also for -0.0
    if not LOWEST_RATE_HZ <= frame_rate_hz <= HIGHEST_RATE_HZ:  # NaN is neither
        raise ValueError(
            f"expected {LOWEST_RATE_HZ:g} to {HIGHEST_RATE_HZ:g}, or 0 where it is unknown, got {frame_rate_hz:g}"
        )
    return frame_rate_hz


class SourceClock:
    """Times of frames: by their number where the source's rate is known, else by when they were captured.

    frame_rate_hz: 0 where unknown; ValueError as of `checked_rate_hz`. newest_s: the time of an earlier frame, to go on
    from there.
    """

    def __init__(self, frame_rate_hz: float, newest_s: float | None = None) -> None:
        self._frame_rate_hz = checked_rate_hz(frame_rate_hz)
        self._newest_s = newest_s

    def time_s(self, sequence: int, captured_at_s: float | None) -> float:
        """Seconds, which rise strictly where `sequence` does. Raises FrameTimeError for a frame without a time."""
        if self._frame_rate_hz > 0:
            if sequence >= MOST_NUMBERED_FRAMES:
                limit = f"must be below 2^48 ({MOST_NUMBERED_FRAMES}) where the frame rate is given"
                raise FrameTimeError("sequence", f"{limit}, got {sequence}: its time could not be told exactly")
            time_s = sequence / self._frame_rate_hz
        elif captured_at_s is None:
            raise FrameTimeError("captured_at", f"is needed (frame {sequence}) where the frame rate is 0")
        elif self._newest_s is None:
            time_s = captured_at_s
        else:
            time_s = max(captured_at_s, self._newest_s + SHORTEST_FRAME_SECONDS)
        if self._newest_s is not None and time_s <= self._newest_s:  # only behind a state that was tampered with
            raise FrameTimeError("sequence", f"frame {sequence} is not later than the last frame, {self._newest_s:g} s")
        self._newest_s = time_s
        return time_s
