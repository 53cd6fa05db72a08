"""How a job tells where it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a job is. part: of this phase, in [0, 1], None where its end is not known.

    done: how much of the phase, in its own units (frames, pictures, steps). total: of how much, None where unknown.
    seconds_left: of this phase, None where unknown. losses: by name, in training. note: something to say once.
    """

    phase: str
    part: float | None = None
    done: int = 0
    total: int | None = None
    seconds_left: float | None = None
    pictures_per_second: float | None = None
    losses: dict[str, float] = field(default_factory=dict)
    note: str = ""


OnProgress = Callable[[Progress], None]


class PhaseClock:
    """Estimates the time left of phases that count what they do; a phase's time starts with its first count.

    now_seconds: a clock that never goes back.
    """

    def __init__(self, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._now_seconds = now_seconds
        self._phase = ""
        self._started_at = 0.0
        self._started_with = 0

    def progress(self, phase: str, done: int, total: int | None) -> Progress:
        """Where `phase` is, after `done` of `total`."""
        if phase != self._phase:
            self._phase, self._started_at, self._started_with = phase, self._now_seconds(), done
        counted, seconds = done - self._started_with, self._now_seconds() - self._started_at
        rate = counted / seconds if seconds > 0 and counted > 0 else None
        if not total:
            return Progress(phase=phase, done=done, pictures_per_second=rate)
        left = None
        if counted > 0:
            left = max(0, total - done) * seconds / counted
        part = min(1.0, done / total)
        return Progress(phase=phase, part=part, done=done, total=total, seconds_left=left, pictures_per_second=rate)
