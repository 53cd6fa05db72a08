"""The picture of a soak."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.faults.soak.verdict import Series, growth

_SESSIONS = "orchestrator: dance_sessions"


def draw(series: Series, end_seconds: float, path: Path) -> None:
    """Each process's own memory over time, beside its growth; sessions and descriptors below. A PNG."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    FigureCanvasAgg(figure)
    memory, descriptors, sessions = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.6, 1))
    colours = [f"C{number}" for number in range(10)]
    for process, colour in zip(series.processes(), colours, strict=False):
        samples = series.values[process, "own_mib"]
        found = growth(samples, end_seconds)
        minutes = [seconds / 60 for seconds, _ in samples]
        relative = [100 * (value / found.warm - 1) for _, value in samples]
        label = f"{process}: {found.warm:.0f} MiB, {found.fraction:+.2%}"
        memory.plot(minutes, relative, color=colour, linewidth=0.4, alpha=0.35)
        memory.plot(minutes, _smooth(relative), color=colour, linewidth=1.6, label=label)
        counts = [value for _, value in series.values[process, "descriptors"]]
        descriptors.plot(minutes, _smooth(counts), color=colour, linewidth=1.2)
    quarter = end_seconds / 240
    memory.axvspan(quarter, 2 * quarter, color="0.92")
    memory.axvspan(3 * quarter, 4 * quarter, color="0.92")
    memory.axhline(1, color="0.4", linestyle="--", linewidth=0.8)
    memory.set_ylim(-4, 4)
    memory.set_ylabel("memory of its own, % beside\nthe median of the second quarter")
    memory.set_title("Grey: the quarters whose medians are compared. Dashed: the growth that is allowed.", fontsize=10)
    memory.legend(fontsize=8, ncols=2, loc="lower right")
    descriptors.set_ylabel("open descriptors")
    samples = series.values["gauges", _SESSIONS]
    sessions.step([seconds / 60 for seconds, _ in samples], [value for _, value in samples], linewidth=0.6, color="0.2")
    sessions.set_ylabel("open sessions")
    sessions.set_xlabel("minutes")
    figure.savefig(path, dpi=100)


def _smooth(values: list[float], width: int = 21) -> list[float]:
    """A running median, centred, narrower at the ends."""
    half = width // 2
    return [median(values[max(0, at - half) : at + half + 1]) for at in range(len(values))]
