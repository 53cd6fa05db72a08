"""Exponential back-off: growing pauses between attempts at something that keeps failing."""

from __future__ import annotations

import random


class Backoff:
    """The pauses of one series of failures.

    first_seconds: the first pause. longest_seconds: each pause is twice the one before, up to this. at_once: retry the
    first time without a pause. jitter: draws each pause from its upper half, so that clients of one server do not all
    return at the same moment; None for exact pauses.
    """

    def __init__(
        self,
        first_seconds: float,
        longest_seconds: float,
        *,
        at_once: bool = False,
        jitter: random.Random | None = None,
    ) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._at_once = at_once
        self._jitter = jitter
        self.reset()

    def reset(self) -> None:
        """Start over after a success."""
        self.failures = 0
        self.paused_seconds = 0.0
        self._next_seconds = 0.0 if self._at_once else self._first_seconds

    def next_seconds(self) -> float:
        """Count a failure and return how long to wait before the next attempt."""
        pause_seconds = self._next_seconds
        self._next_seconds = min(max(2 * pause_seconds, self._first_seconds), self._longest_seconds)
        if self._jitter is not None:
            pause_seconds *= self._jitter.uniform(0.5, 1.0)
        self.failures += 1
        self.paused_seconds += pause_seconds
        return pause_seconds
