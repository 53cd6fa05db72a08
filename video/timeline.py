"""Times that go on where a file's clock starts again or jumps: recordings that were joined, a counter that ran over."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from av.format import Flags

_BACK_SECONDS: Final = Fraction(1, 10)
"""FFmpeg's own measure too: decoding times never fall within a recording, and damaged ones by a frame or two."""
_GAP_SECONDS: Final = Fraction(10)
"""FFmpeg's own measure (`-dts_delta_threshold`) for formats whose clock may jump."""
_LONGEST_GAP_SECONDS: Final = Fraction(3600)


class Timeline:
    """Moves the times of a file's packets, so that every part begins one frame behind the end of the part before it.

    A part begins where the video's clock falls, or jumps ahead by more than ten seconds (an hour in formats whose clock
    does not jump) that the sound does not fill. It is told of every packet in the file's order; what it says follows
    from the packets alone, so that two that read the same file agree. Not thread-safe.
    """

    def __init__(self, container: Any, step_seconds: Fraction) -> None:
        self._gap = _GAP_SECONDS if may_jump(container) else _LONGEST_GAP_SECONDS
        self._step = step_seconds
        self._offsets = [Fraction(0)]
        self._end: Fraction | None = None
        self._video_since: Fraction | None = None
        self._video_clock: Fraction | None = None
        self._sound_since: Fraction | None = None
        self._sound_clock: Fraction | None = None

    @property
    def parts(self) -> int:
        """How many parts the video has had so far."""
        return len(self._offsets)

    def offset_seconds(self, part: int) -> Fraction:
        """What is added to the times of a part, counted from 0."""
        return self._offsets[part]

    def place(self, packet: Any) -> None:
        """Moves the next video packet."""
        at = clock_of(packet)
        if at is None:  # as at the beginning of Matroska, where FFmpeg does not know it yet
            move(packet, self._offsets[-1])
            return
        shown = at if packet.pts is None else packet.pts * packet.time_base
        if (
            self._video_clock is not None
            and self._end is not None
            and self._jumps(self._video_clock, at, self._sound_since, self._sound_clock)
        ):
            # Whole ticks: frames that are even in the file stay even.
            self._video_since = at
            self._offsets.append(_whole_ticks(self._end + self._step - shown, packet.time_base))
        self._video_clock = at
        self._video_since = at if self._video_since is None else self._video_since
        offset = self._offsets[-1]
        self._end = shown + offset if self._end is None else max(self._end, shown + offset)
        move(packet, offset)

    def see_sound(self, packet: Any) -> bool:
        """Takes notice of the next sound packet; whether the sound's own clock fell or jumped before it."""
        at = clock_of(packet)
        if at is None:
            return False
        last, self._sound_clock = self._sound_clock, at
        jumped = last is not None and self._jumps(last, at, self._video_since, self._video_clock)
        if self._sound_since is None or jumped:
            self._sound_since = at
        return jumped

    def _jumps(self, last: Fraction, at: Fraction, other_since: Fraction | None, other: Fraction | None) -> bool:
        """Whether a clock that goes from `last` to `at` starts anew: not where the other track goes on meanwhile."""
        if at <= last - _BACK_SECONDS:
            return True
        if at - last <= self._gap:
            return False
        if other_since is None or other is None:
            return True
        return not (other_since <= last + self._gap and other >= at - self._gap)


def may_jump(container: Any) -> bool:
    """Whether the container's format is one whose clock may start again or jump, so that its duration says little."""
    return bool(container.format.flags & Flags.ts_discont.value)


def clock_of(packet: Any) -> Fraction | None:
    """When a packet is decoded, in seconds; None where the file does not say. Presentation times rise and fall."""
    return None if packet.dts is None else Fraction(packet.dts * packet.time_base)


def move(packet: Any, seconds: Fraction) -> None:
    """Adds to a packet's times."""
    if packet.pts is None and packet.dts is None:
        return  # what flushes a decoder has no time, nor a time base
    ticks = round(seconds / packet.time_base)
    if ticks:
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks


def _whole_ticks(seconds: Fraction, time_base: Fraction) -> Fraction:
    return round(seconds / time_base) * time_base
