"""The progress of a job: where it is, how long it will take, and plain lines of it for logs, which can be read back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

EVERY_SECONDS: Final = 10.0

_IN_STEPS: Final = ("making the plate", "evaluating", "measuring", "measuring the transfer")
_NUMBER: Final = r"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|nan|inf)"
_LINE: Final = re.compile(
    r"(?P<phase>[a-z][a-z ]*?) (?P<percent>\d+\.\d|\?) % \| (?P<done>\d+)(?: of (?P<total>\d+))?"
    rf"(?: pictures| steps)? done(?: \| (?P<rate>{_NUMBER}) (?:pictures|steps)/s)?"
    rf"(?: \| (?P<left>\d+) s left)?(?P<losses>(?: \| [\w-]+ {_NUMBER})*)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a job is. part: the fraction of this phase that is done, in [0, 1]; None if its end is unknown.

    done: the amount done, in pictures or steps, see `unit`. total: None if unknown.
    seconds_left: of this phase, None if unknown. losses: by name, in training. note: a message to show once.
    """

    phase: str
    part: float | None = None
    done: int = 0
    total: int | None = None
    seconds_left: float | None = None
    pictures_per_second: float | None = None
    losses: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def unit(self) -> str:
        """What `done` counts."""
        return "steps" if self.phase in _IN_STEPS else "pictures"


OnProgress = Callable[[Progress], None]


class PhaseClock:
    """Estimates the time left in phases that count what they do; a phase's time starts with its first count.

    A count that goes back begins the phase again: a training evaluates each of its versions.

    now_seconds: a clock that never goes back.
    """

    def __init__(self, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._now_seconds = now_seconds
        self._phase = ""
        self._started_at = 0.0
        self._started_with = 0
        self._done = 0

    def progress(self, phase: str, done: int, total: int | None) -> Progress:
        """The progress of `phase` after `done` of `total`."""
        if phase != self._phase or done < self._done:
            self._phase, self._started_at, self._started_with = phase, self._now_seconds(), done
        self._done = done
        counted, seconds = done - self._started_with, self._now_seconds() - self._started_at
        rate = counted / seconds if seconds > 0 and counted > 0 else None
        if not total:
            return Progress(phase=phase, done=done, pictures_per_second=rate)
        left = max(0, total - done) * seconds / counted if counted > 0 else None
        part = min(1.0, done / total)
        return Progress(phase=phase, part=part, done=done, total=total, seconds_left=left, pictures_per_second=rate)


def line_of(progress: Progress) -> str:
    """One line, as `body 42.0 % | 1200 pictures done | 3.4 pictures/s | 180 s left | l1 0.2500`, without its end."""
    percent = "?" if progress.part is None else f"{100 * progress.part:.1f}"
    of = "" if progress.total is None else f" of {progress.total}"
    words = [f"{progress.phase} {percent} %", f"{progress.done}{of} {progress.unit} done"]
    if progress.pictures_per_second is not None:
        words.append(f"{progress.pictures_per_second:.1f} {progress.unit}/s")
    if progress.seconds_left is not None:
        words.append(f"{progress.seconds_left:.0f} s left")
    words += [f"{name} {value:.4g}" for name, value in progress.losses.items()]
    return " | ".join(words)


def progress_of(line: str) -> Progress | None:
    """Read back a line of `line_of`, with its rounding; None for any other line."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    percent, total, rate, left = match["percent"], match["total"], match["rate"], match["left"]
    losses = (word.rsplit(" ", 1) for word in match["losses"].split(" | ")[1:])
    return Progress(
        phase=match["phase"],
        part=None if percent == "?" else min(1.0, float(percent) / 100),
        done=int(match["done"]),
        total=None if total is None else int(total),
        pictures_per_second=None if rate is None else float(rate),
        seconds_left=None if left is None else float(left),
        losses={name: float(value) for name, value in losses},
    )


class PlainLines:
    """Writes a line at the beginning and end of each phase, every ten seconds in between, and for every note.

    write: called with a line without its line end. now_seconds: a clock that never goes back.
    """

    def __init__(self, write: Callable[[str], None], now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now_seconds = now_seconds
        self._phase = ""
        self._ended = False
        self._written_at = 0.0

    def progress(self, progress: Progress) -> None:
        """Write the line for this progress, if one is due."""
        if progress.note:
            self._write(f"{progress.phase}: {progress.note}")
            return
        begins = progress.phase != self._phase
        if begins:
            self._phase, self._ended = progress.phase, False
        ends = progress.part is not None and progress.part >= 1 and not self._ended
        now = self._now_seconds()
        if begins or ends or now - self._written_at >= EVERY_SECONDS:
            self._ended = self._ended or ends
            self._written_at = now
            self._write(line_of(progress))
