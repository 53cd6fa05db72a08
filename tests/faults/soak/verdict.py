"""Does it grow? Turns the processes' usage at rest into a yes or no that noise does not decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

MAX_GROWTH = 0.01
"""The limit of growth of a process's memory, as a fraction."""
MAX_MORE = 2
"""Threads and descriptors: this many more are not growth, because thread pools fill by chance."""

MEMORY = ("own_mib", "rss_mib")
"""Anonymous memory, swapped or not; and all resident memory, which includes pages of files such as libraries."""
COUNTS = ("threads", "descriptors")


@dataclass
class Series:
    """Values over time, by process and quantity: lists of (seconds since the start, value), seconds rising."""

    values: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, process: str, quantity: str, seconds: float, value: float) -> None:
        """Add a sample."""
        self.values.setdefault((process, quantity), []).append((seconds, value))

    def processes(self) -> list[str]:
        """The processes with memory samples, in order of appearance."""
        return [process for process, quantity in self.values if quantity == MEMORY[0]]


@dataclass(frozen=True)
class Growth:
    """For one quantity of one process: the median of the second quarter of the soak, and the median of the last."""

    warm: float
    last: float

    @property
    def fraction(self) -> float:
        """The relative growth; 0.01 is one per cent more at the end."""
        return self.last / self.warm - 1 if self.warm else float("inf") if self.last else 0.0


def growth(samples: Sequence[tuple[float, float]], end_seconds: float) -> Growth:
    """Compute the growth of one quantity. The first quarter of `end_seconds` is warm-up; samples after it are ignored.

    A median is used in place of a fit: it is independent of the noise's distribution, and an outlier at rest does not
    move it; memory that is never returned does. Raises ValueError for a quarter without samples.
    """
    quarter = end_seconds / 4
    warm = [value for seconds, value in samples if quarter <= seconds < 2 * quarter]
    last = [value for seconds, value in samples if 3 * quarter <= seconds <= end_seconds]
    if not warm or not last:
        raise ValueError(f"no samples in a quarter of {end_seconds:.0f} s")
    return Growth(median(warm), median(last))


def grown(series: Series, end_seconds: float) -> list[str]:
    """Return one line for each quantity of each process that grew too much."""
    lines = []
    for process in series.processes():
        for quantity in (*MEMORY, *COUNTS):
            found = growth(series.values[process, quantity], end_seconds)
            more = found.last - found.warm
            if quantity in MEMORY and found.fraction > MAX_GROWTH:
                lines.append(
                    f"{process}: {quantity} grew by {found.fraction:.1%}, {found.warm:.1f} to {found.last:.1f}"
                )
            if quantity in COUNTS and more > MAX_MORE:
                lines.append(f"{process}: {more:g} more {quantity}, {found.warm:g} to {found.last:g}")
    return lines


def still_up(gauges: Mapping[str, float]) -> list[str]:
    """Return one line for each gauge that is not back at zero."""
    return [f"{name} is {value:g}, not 0" for name, value in gauges.items() if value != 0]


def table(series: Series, end_seconds: float) -> str:
    """Markdown: second quarter, last quarter and growth of each process."""
    lines = [
        "| process | memory of its own | growth | resident (RSS) | growth | threads | descriptors | CPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for process in series.processes():
        cells = [process]
        for quantity in MEMORY:
            found = growth(series.values[process, quantity], end_seconds)
            cells += [f"{found.warm:.1f}, {found.last:.1f} MiB", f"{found.fraction:+.2%}"]
        for quantity in COUNTS:
            found = growth(series.values[process, quantity], end_seconds)
            cells.append(f"{found.warm:g}, {found.last:g}")
        (began_s, first), *_, (ended_s, last) = series.values[process, "cpu_seconds"]
        cells.append(f"{(last - first) / (ended_s - began_s):.1%} of a core")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
