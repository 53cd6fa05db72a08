"""Progress as plain lines, for logs: written by the training, read back by who watches it from elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from training.reporting.progress import Progress

EVERY_SECONDS: Final = 10.0

_NUMBER: Final = r"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|nan|inf)"
_LINE: Final = re.compile(
    r"(?P<phase>[a-z][a-z ]*?) (?P<percent>\d+\.\d|\?) % \| (?P<done>\d+)(?: of (?P<total>\d+))? done"
    rf"(?: \| (?P<rate>{_NUMBER}) pictures/s)?(?: \| (?P<left>\d+) s left)?(?P<losses>(?: \| [\w-]+ {_NUMBER})*)"
)


def line_of(progress: Progress) -> str:
    """One line without an end, as in `body 42.0 % | 1200 done | 3.4 pictures/s | 180 s left | l1 0.2500`."""
    percent = "?" if progress.part is None else f"{100 * progress.part:.1f}"
    of = "" if progress.total is None else f" of {progress.total}"
    words = [f"{progress.phase} {percent} %", f"{progress.done}{of} done"]
    if progress.pictures_per_second is not None:
        words.append(f"{progress.pictures_per_second:.1f} pictures/s")
    if progress.seconds_left is not None:
        words.append(f"{progress.seconds_left:.0f} s left")
    words += [f"{name} {value:.4g}" for name, value in progress.losses.items()]
    return " | ".join(words)


def progress_of(line: str) -> Progress | None:
    """What a line of `line_of` says, rounded as it is there; None for any other line."""
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
    """Writes a line at the beginning and the end of each phase, every ten seconds in between, and every note.

    write: is given a line without its end. now_seconds: a clock that never goes back.
    """

    def __init__(self, write: Callable[[str], None], now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now_seconds = now_seconds
        self._phase = ""
        self._ended = False
        self._written_at = 0.0

    def progress(self, progress: Progress) -> None:
        """Where the job is."""
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
