"""`SourceClock`: the one rule for when a frame of a source was, for everybody who measures time between frames."""

from __future__ import annotations

from typing import Final

SHORTEST_FRAME_SECONDS: Final = 0.001
"""Cameras repeat a time stamp now and then; time still passes."""


class SourceClock:
    """Times of frames: by their number where the source's rate is known, else by when they were captured.

    frame_rate_hz: 0 where unknown. newest_s: the time of an earlier frame, to go on from there.
    """

    def __init__(self, frame_rate_hz: float, newest_s: float | None = None) -> None:
        self._frame_rate_hz = frame_rate_hz
        self._newest_s = newest_s

    def time_s(self, sequence: int, captured_at_s: float | None) -> float:
        """Seconds; without a rate they always rise. Raises ValueError for a frame with neither a rate nor a time."""
        if self._frame_rate_hz > 0:
            time_s = sequence / self._frame_rate_hz
        elif captured_at_s is None:
            raise ValueError(f"is needed (frame {sequence}) where the frame rate is 0")
        elif self._newest_s is None:
            time_s = captured_at_s
        else:
            time_s = max(captured_at_s, self._newest_s + SHORTEST_FRAME_SECONDS)
        self._newest_s = time_s
        return time_s
