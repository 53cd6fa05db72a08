"""Continuous times for files whose clock restarts or jumps, such as joined recordings and overflowing counters."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from av.format import Flags

_BACK_SECONDS: Final = Fraction(1, 10)
"""FFmpeg's threshold too: decoding times never fall within a recording, and by at most a frame or two if damaged."""
_GAP_SECONDS: Final = Fraction(10)
"""FFmpeg's threshold (`-dts_delta_threshold`) for formats whose clock may jump."""
_LONGEST_GAP_SECONDS: Final = Fraction(3600)


class Timeline:
    """Shifts the times of a file's packets so that every part begins one frame after the end of the previous part.

    A part begins where the video's clock falls, or where it jumps ahead by more than ten seconds (an hour in formats
    whose clock does not jump) without sound in between. It must see every packet in file order. The result depends only
    on the packets, so two timelines of the same file agree. Not thread-safe.

    offsets_seconds: added to the times of each part.
    """

    def __init__(self, container: Any, step_seconds: Fraction) -> None:
        self._gap = _GAP_SECONDS if may_jump(container) else _LONGEST_GAP_SECONDS
        self._step = step_seconds
        self.offsets_seconds = [Fraction(0)]
        self._end: Fraction | None = None
        self._video_since: Fraction | None = None
        self._video_clock: Fraction | None = None
        self._sound_since: Fraction | None = None
        self._sound_clock: Fraction | None = None

    @property
    def parts(self) -> int:
        """The number of parts that the video has had so far."""
        return len(self.offsets_seconds)

    def place(self, packet: Any) -> None:
        """Shift the next video packet."""
        at = _clock_of(packet)
        if at is None:  # as at the beginning of Matroska, where it is still unknown to FFmpeg
            move(packet, self.offsets_seconds[-1])
            return
        shown = at if packet.pts is None else packet.pts * packet.time_base
        if (
            self._video_clock is not None
            and self._end is not None
            and self._jumps(self._video_clock, at, self._sound_since, self._sound_clock)
        ):
            # Whole ticks keep evenly spaced frames evenly spaced.
            self._video_since = at
            offset = self._end + self._step - shown
            self.offsets_seconds.append(round(offset / packet.time_base) * packet.time_base)
        self._video_clock = at
        self._video_since = at if self._video_since is None else self._video_since
        offset = self.offsets_seconds[-1]
        self._end = shown + offset if self._end is None else max(self._end, shown + offset)
        move(packet, offset)

    def see_sound(self, packet: Any) -> bool:
        """Record the next sound packet, and return whether the sound's own clock restarted or jumped before it."""
        at = _clock_of(packet)
        if at is None:
            return False
        last, self._sound_clock = self._sound_clock, at
        jumped = last is not None and self._jumps(last, at, self._video_since, self._video_clock)
        if self._sound_since is None or jumped:
            self._sound_since = at
        return jumped

    def _jumps(self, last: Fraction, at: Fraction, other_since: Fraction | None, other: Fraction | None) -> bool:
        """Whether a clock that goes from `last` to `at` restarts, rather than pausing while the other track runs."""
        if at <= last - _BACK_SECONDS:
            return True
        if at - last <= self._gap:
            return False
        if other_since is None or other is None:
            return True
        return not (other_since <= last + self._gap and other >= at - self._gap)


def may_jump(container: Any) -> bool:
    """Whether clocks of the container's format may restart or jump, which makes its duration unreliable."""
    return bool(container.format.flags & Flags.ts_discont.value)


def _clock_of(packet: Any) -> Fraction | None:
    """Return a packet's decoding time in seconds, or None if unknown. Presentation times would not be monotonic."""
    return None if packet.dts is None else Fraction(packet.dts * packet.time_base)


def move(packet: Any, seconds: Fraction) -> None:
    """Shift a packet's times."""
    if packet.pts is None and packet.dts is None:
        return  # a flush packet has neither times nor a time base
    ticks = round(seconds / packet.time_base)
    if ticks:
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
