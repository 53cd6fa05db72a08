"""The plot of a soak."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.faults.soak.verdict import MAX_GROWTH, Series, growth

_SESSIONS = "orchestrator: dance_sessions"
_SHOWN_PERCENT = 5


def draw(series: Series, at_rest: Series, end_seconds: float, path: Path) -> None:
    """A PNG: each process's own memory at rest, relative to its second quarter; below, at all times; the sessions."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    FigureCanvasAgg(figure)
    rest, always, sessions = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1))
    for number, process in enumerate(at_rest.processes()):
        colour = f"C{number}"
        samples = at_rest.values[process, "own_mib"]
        found = growth(samples, end_seconds)
        label = f"{process}: {found.warm:.1f} MiB, {found.fraction:+.2%}"
        relative = [100 * (value / found.warm - 1) for _, value in samples]
        rest.plot(_minutes(samples), relative, ".-", color=colour, linewidth=1.0, markersize=4, label=label)
        samples = series.values[process, "own_mib"]
        always.plot(_minutes(samples), [value for _, value in samples], color=colour, linewidth=0.8)
    quarter = end_seconds / 240
    for axes in (rest, always):
        axes.axvspan(quarter, 2 * quarter, color="0.93")
        axes.axvspan(3 * quarter, 4 * quarter, color="0.93")
    rest.axhline(100 * MAX_GROWTH, color="0.4", linestyle="--", linewidth=0.8)
    rest.set_ylim(-_SHOWN_PERCENT, _SHOWN_PERCENT)
    rest.set_ylabel("memory without sessions, %\nof the second quarter")
    rest.set_title("Grey: the quarters whose medians are compared. Dashed: the growth that is allowed.", fontsize=10)
    rest.legend(fontsize=8, ncols=2, loc="lower right")
    always.set_yscale("log")
    always.set_ylabel("memory at all times, MiB")
    samples = series.values["gauges", _SESSIONS]
    sessions.step(_minutes(samples), [value for _, value in samples], linewidth=0.6, color="0.2")
    sessions.set_ylabel("open sessions")
    sessions.set_xlabel("minutes")
    figure.savefig(path, dpi=100)


def _minutes(samples: list[tuple[float, float]]) -> list[float]:
    return [seconds / 60 for seconds, _ in samples]
