"""`Ladder`: chooses how a LIVE session draws, from how far its frames are from the camera's rate.

It only computes: answers and their times go in, a change of the rung comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

_TRIMMED: Final = 0.1
"""The share of the slowest frames that do not count: a single one may have waited for anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LadderRules:
    """When a ladder steps. Load is the time that a frame needs, over the time between two frames of the camera."""

    window_seconds: float = 1.0
    """How long the answers are watched before each decision."""
    fewest_frames: int = 6
    """A slow session's window is longer, until it has this many answers, but at most three times as long."""
    settling_seconds: float = 0.5
    """After a change, answers do not count for this long; at a session's start, twice as long."""
    most_load: float = 1.0
    """Above it, the rate cannot be held."""
    least_shown: float = 0.9
    """With a smaller share of the camera's frames shown, a load of 0.8 is too much."""
    load_after_step_down: float = 0.85
    """Steps down lead to the first rung whose expected load is at most this."""
    load_after_step_up: float = 0.95
    """Steps up are tried if the expected load is at most this. It is a guess, and a wrong one is taken back."""
    calm_seconds: float = 4.0
    """How long a better rung must look possible before the session tries it."""
    longest_calm_seconds: float = 300.0
    """Each failed step up to a rung doubles this time for that rung, up to this."""
    probation_seconds: float = 30.0
    """A step up has failed if a step down follows within this time, and has held if none does."""


class Seen(NamedTuple):
    """One answer. sequence, time_s: of the frame, in the source; a camera counts frames that were never sent too.

    busy_seconds: what the frame took from the pipeline; None for an answer without a picture. dropped: whether the
    session was too slow for it.
    """

    rung: int
    sequence: int
    time_s: float
    busy_seconds: float | None
    dropped: bool


class Change(NamedTuple):
    """A step. load: at the old rung. shown: the share of the camera's frames that were shown there."""

    before: int
    after: int
    load: float
    shown: float


class Ladder:
    """Chooses among rungs, from 0, the best, at which it starts, to the cheapest.

    It steps down after one window in which the rate was not held, as far as the load demands. It steps up by one rung,
    only after a calm time. A step up that fails is taken back, and the next attempt waits twice as long: so it does not
    swing.

    work: about how much work a frame is at each rung, descending.

    Raises ValueError for no rungs, and for work that rises.
    """

    def __init__(self, work: Sequence[float], rules: LadderRules = LadderRules()) -> None:
        if not work or any(later > earlier for earlier, later in pairwise(work)):
            raise ValueError(f"expected the work of at least one rung, descending, got {list(work)}")
        self.rung = 0
        self._work = tuple(work)
        self._rules = rules
        self._allowed = [True] * len(self._work)
        self._window: list[tuple[float, Seen]] = []
        self._counts_from_s: float | None = None
        self._calm_since_s: float | None = None
        self._calm_seconds = [rules.calm_seconds] * len(self._work)
        self._attempt: tuple[float, int] | None = None  # when the last step up was taken, and from where

    def forbid(self, *rungs: int) -> None:
        """Take these rungs out, until they are allowed again; the one in use stays."""
        for rung in rungs:
            self._allowed[rung] = False

    def allow(self, rung: int) -> None:
        """Put a rung back."""
        self._allowed[rung] = True

    def see(self, seen: Seen, now_s: float) -> Change | None:
        """Take an answer into account, in the order of the frames; return the step that follows from it.

        now_s: by any steady clock.
        """
        if self._counts_from_s is None:
            self._counts_from_s = now_s + 2 * self._rules.settling_seconds
        if seen.rung != self.rung or now_s < self._counts_from_s:
            return None
        self._window.append((now_s, seen))
        seconds = now_s - self._window[0][0]
        is_full = seconds >= self._rules.window_seconds and len(self._window) >= self._rules.fewest_frames
        is_long = seconds >= 3 * self._rules.window_seconds and len(self._window) > 1
        if not (is_full or is_long):
            return None
        window, self._window = [seen for _, seen in self._window], []
        return self._judged(window, now_s - seconds, now_s)

    def _judged(self, window: Sequence[Seen], began_s: float, now_s: float) -> Change | None:
        measured = _measured(window)
        if measured is None:  # no frame shows a person, or too few frames came
            self._calm_since_s = None
            return None
        load, shown = measured
        rules = self._rules
        if self._attempt is not None and now_s - self._attempt[0] >= rules.probation_seconds:
            self._attempt = None
            self._calm_seconds[self.rung] = rules.calm_seconds
        if load > rules.most_load or (shown < rules.least_shown and load > 0.8 * rules.most_load):
            return self._down(load, shown, now_s)
        upper = next((rung for rung in range(self.rung - 1, -1, -1) if self._allowed[rung]), None)
        if upper is None or shown < rules.least_shown or self._expected(load, upper) > rules.load_after_step_up:
            self._calm_since_s = None
            return None
        if self._calm_since_s is None:
            self._calm_since_s = began_s
        if now_s - self._calm_since_s < self._calm_seconds[upper]:
            return None
        self._attempt = now_s, self.rung
        return self._step(upper, load, shown, now_s)

    def _down(self, load: float, shown: float, now_s: float) -> Change | None:
        self._calm_since_s = None
        lower = [rung for rung in range(self.rung + 1, len(self._work)) if self._allowed[rung]]
        if not lower:
            return None
        if self._attempt is not None:
            _, held = self._attempt
            self._attempt = None
            longer = 2 * self._calm_seconds[self.rung]
            self._calm_seconds[self.rung] = min(longer, self._rules.longest_calm_seconds)
            return self._step(held, load, shown, now_s)
        fitting = [rung for rung in lower if self._expected(load, rung) <= self._rules.load_after_step_down]
        return self._step(fitting[0] if fitting else lower[-1], load, shown, now_s)

    def _expected(self, load: float, rung: int) -> float:
        return load * self._work[rung] / self._work[self.rung]

    def _step(self, rung: int, load: float, shown: float, now_s: float) -> Change:
        change = Change(self.rung, rung, load, shown)
        self.rung = rung
        self._calm_since_s = None
        self._counts_from_s = now_s + self._rules.settling_seconds
        return change


def _measured(window: Sequence[Seen]) -> tuple[float, float] | None:
    """Return load and share of the camera's frames that were shown; None if too little is known."""
    busy = np.sort([seen.busy_seconds for seen in window if seen.busy_seconds is not None])
    frames = window[-1].sequence - window[0].sequence
    seconds = window[-1].time_s - window[0].time_s
    if not len(busy) or frames <= 0 or seconds <= 0:
        return None
    counted = busy[: max(1, len(busy) - max(1, round(_TRIMMED * len(busy))))]
    shown = sum(not seen.dropped for seen in window[1:]) / frames
    return float(counted.mean()) * frames / seconds, shown
