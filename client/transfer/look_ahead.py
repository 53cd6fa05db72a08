"""How many frames the smoothing looks ahead, in a dance that need not keep up with a camera."""

from __future__ import annotations

from typing import Final

_SMOOTHING_SECONDS: Final = 0.05
"""Half the window of the centred median. A window beyond about 0.1 s would smooth away fast moves."""
_MOST_LOOK_AHEAD_FRAMES: Final = 3


def look_ahead_for(frame_rate_hz: float) -> int:
    """Frames to look ahead for a smoothing window of about 0.1 s: 0 at 5 fps, 1 at 24, 3 at 60 and above."""
    return min(_MOST_LOOK_AHEAD_FRAMES, round(frame_rate_hz * _SMOOTHING_SECONDS))
