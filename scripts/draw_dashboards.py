"""Draws the dashboards from the data of a real Prometheus, for docs/dashboards.md.

python scripts/draw_dashboards.py [--minutes 6] [--clients 2] [--rate 5] [--training HOST:PORT] [-o docs/images]
python scripts/draw_dashboards.py --prometheus URL [--minutes 60] [-o FOLDER]

Without --prometheus, from one that is started here and asks a stack that is started here, to which clients send the
sample clip again and again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from client.connection.session import DanceClient
from client.connection.types import TransferOptions
from client.errors import ServerError, StackFailed
from client.local_stack.stack import HOST, local_stack
from motion.frame import Frame, PictureEncoding
from scripts.generate_dashboards import DASHBOARDS
from scripts.local_prometheus import LocalPrometheus, PrometheusApi, Series
from serving.pictures.codec import encode_picture
from video.reader import VideoReader

ROOT: Final = Path(__file__).resolve().parents[1]
CLIP: Final = ROOT / "samples" / "source_clip.mp4"
ACTORS: Final = ROOT / "samples" / "actors"
ACTOR: Final = "sample"

POINTS: Final = 120
"""On each curve."""
EVERY_SECONDS: Final = 2.0
"""Between two scrapes; rates are taken over the last minute."""
TRITON_METRICS_PORT: Final = 8002

_CELL_INCHES: Final = (0.62, 0.36)
_LONGEST_LEGEND: Final = 8


def draw(
    model: Mapping[str, Any], api: PrometheusApi, start_s: float, end_s: float, variables: Mapping[str, str]
) -> Figure:
    """One dashboard, its panels where Grafana puts them. Raises OSError where Prometheus does not answer."""
    panels = model["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    width, height = 24 * _CELL_INCHES[0], (rows + 1) * _CELL_INCHES[1]
    figure = Figure(figsize=(width, height), dpi=80)
    figure.text(0.01, 1 - 0.55 / (rows + 1), model["title"], size=14, weight="bold", va="center")
    for panel in panels:
        place = panel["gridPos"]
        below = 1 - (place["y"] + place["h"] + 1) / (rows + 1)
        if panel["type"] == "row":
            figure.text(place["x"] / 24 + 0.01, below + 0.3 / (rows + 1), panel["title"], size=11, weight="bold")
            continue
        left, right, top, bottom = 0.9, 0.35, 1.0, 1.1
        axes = figure.add_axes(
            (
                (place["x"] + left) / 24,
                below + bottom / (rows + 1),
                (place["w"] - left - right) / 24,
                (place["h"] - top - bottom) / (rows + 1),
            )
        )
        axes.set_title(panel["title"], size=8, loc="left")
        axes.tick_params(labelsize=6)
        _fill(axes, panel, api, start_s, end_s, variables)
    return figure


def _fill(
    axes: Axes, panel: Mapping[str, Any], api: PrometheusApi, start_s: float, end_s: float, variables: Mapping[str, str]
) -> None:
    found: list[tuple[str, Series]] = []
    for target in panel["targets"]:
        expr = target["expr"]
        for variable, value in variables.items():
            expr = expr.replace(variable, value)
        first_s = start_s if target["range"] else end_s
        curves = api.over(expr, first_s, end_s, (end_s - start_s) / POINTS)
        found += [(_legend(target["legendFormat"], series), series) for series in curves if series.finite]
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    if not found:
        axes.text(0.5, 0.5, "no data here", ha="center", va="center", size=8, color="grey", transform=axes.transAxes)
        axes.set_axis_off()
    elif panel["type"] == "stat":
        _number(axes, found, unit)
    elif panel["type"] == "bargauge":
        _bars(axes, found, panel["fieldConfig"]["defaults"])
    elif panel["type"] == "heatmap":
        _heat(axes, found, start_s)
    else:
        _lines(axes, found, panel["fieldConfig"]["defaults"], start_s)


def _legend(template: str, series: Series) -> str:
    if template == "__auto":
        return ""
    for label, value in series.labels.items():
        template = template.replace(f"{{{{{label}}}}}", value)
    return template


def _last(series: Series) -> float:
    return next((value for _, value in reversed(series.points) if np.isfinite(value)), float("nan"))


def _said(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{value * 100:.0f} %" if value >= 1 else f"{value * 100:.3g} %"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.0f} s"
    if unit == "bytes":
        return f"{value / 2**30:.3g} GiB"
    return f"{value:.4g}"


def _number(axes: Axes, found: list[tuple[str, Series]], unit: str) -> None:
    words = [f"{name} " * bool(name) + ("" if unit == "none" else _said(_last(series), unit)) for name, series in found]
    axes.text(0.5, 0.4, "\n".join(words), ha="center", va="center", size=13, transform=axes.transAxes)
    axes.set_axis_off()


def _bars(axes: Axes, found: list[tuple[str, Series]], defaults: Mapping[str, Any]) -> None:
    limit = max(step["value"] or 0 for step in defaults["thresholds"]["steps"])
    values = [_last(series) for _, series in found]
    axes.barh([name for name, _ in found], values, color=["C3" if value >= limit else "C2" for value in values])
    for place, value in enumerate(values):
        axes.text(value, place, f" {_said(value, defaults['unit'])}", size=6, va="center")
    axes.axvline(limit, color="C3", linestyle="--", linewidth=0.8)
    axes.set_xlim(0, max(defaults["max"], *values) * 1.15)
    axes.invert_yaxis()


def _heat(axes: Axes, found: list[tuple[str, Series]], start_s: float) -> None:
    edges = sorted((float(series.labels["le"].replace("+Inf", "inf")), series) for _, series in found)
    times = sorted({at_s for _, series in edges for at_s, _ in series.points})
    cumulated = np.zeros((len(edges), len(times)))
    for place, (_, series) in enumerate(edges):
        values = dict(series.points)
        cumulated[place] = [values.get(at_s, 0.0) for at_s in times]
    counts = np.diff(np.nan_to_num(cumulated), axis=0, prepend=0).clip(0)
    shown = np.where(counts > 0, counts, np.nan)
    minutes = (np.array(times) - start_s) / 60
    axes.pcolormesh(minutes, np.arange(len(edges)), shown, cmap="YlOrRd", shading="nearest")
    chosen = range(0, len(edges), max(1, len(edges) // 7))
    axes.set_yticks(list(chosen), [_said(edges[place][0], "s") for place in chosen])
    axes.set_xlabel("minutes", size=6)


def _lines(axes: Axes, found: list[tuple[str, Series]], defaults: Mapping[str, Any], start_s: float) -> None:
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    scale, suffix = {"s": (1e3, "ms"), "percentunit": (100.0, "%"), "bytes": (2.0**-30, "GiB")}.get(
        defaults["unit"], (1.0, "")
    )
    if defaults["unit"] == "s" and max(_last(series) for _, series in found) >= 10:
        scale, suffix = 1.0, "s"
    curves = []
    for name, series in found:
        minutes = [(at_s - start_s) / 60 for at_s, _ in series.points]
        values = np.array([value for _, value in series.points]) * scale
        if stacked:
            curves.append((name, minutes, np.nan_to_num(values)))
        else:
            axes.plot(minutes, values, label=name, linewidth=1)
    if curves:
        longest = max((minutes for _, minutes, _ in curves), key=len)
        filled = [np.pad(values, (len(longest) - len(values), 0)) for _, _, values in curves]
        axes.stackplot(longest, filled, labels=[name for name, _, _ in curves], alpha=0.7)
    if "thresholdsStyle" in defaults["custom"]:
        axes.axhline(defaults["thresholds"]["steps"][-1]["value"] * scale, color="C3", linestyle="--", linewidth=0.8)
    if "max" in defaults:
        axes.set_ylim(top=defaults["max"] * scale * 1.05)
    axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])  # a curve of zeros is to be seen
    axes.set_ylabel(suffix, size=6)
    axes.set_xlabel("minutes", size=6)
    if any(name for name, _ in found) and len(found) <= _LONGEST_LEGEND:
        axes.legend(fontsize=5, ncols=2, loc="upper left", framealpha=0.6)


async def drawn_from_a_local_stack(asked: argparse.Namespace) -> None:
    """Starts all of it, waits, draws, ends all of it.

    Raises StackFailed or FileNotFoundError where something does not start, ServerError where a session ends.
    """
    os.environ["GENERATOR_TRITON_METRICS_PORT"] = str(TRITON_METRICS_PORT)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dance-dashboards-")))
        up = await stack.enter_async_context(local_stack(ACTORS, folder / "logs", told=print))
        address = {name: f"{HOST}:{ready.ports['metrics_port']}" for name, ready in up.ready.items()}
        targets = {name: [address[name]] for name in ("orchestrator", "pose", "normalize", "face")}
        targets |= {"agent": [address["generator"]], "triton": [f"{HOST}:{TRITON_METRICS_PORT}"]}
        targets |= {"training": asked.training, "grafana": [], "kube-state-metrics": []}
        (folder / "prometheus").mkdir()
        prometheus = stack.enter_context(LocalPrometheus(folder / "prometheus", targets, every_seconds=EVERY_SECONDS))
        started_s = time.time()
        try:
            async with asyncio.timeout(asked.minutes * 60), asyncio.TaskGroup() as group:
                for _ in range(asked.clients):
                    group.create_task(_sessions(up.address, asked.rate))
        except TimeoutError:
            print("drawing")
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the others are cancelled for it
        await asyncio.to_thread(draw_all, prometheus, started_s, time.time(), asked.out)


async def _sessions(address: str, rate_hz: float) -> None:
    """One session after another, each with the whole sample clip."""
    while True:
        async with DanceClient(address) as client, client.transfer(TransferOptions(actor=ACTOR, live=True)) as session:
            async for _ in session.answers(_at_a_rate(rate_hz)):
                pass


async def _at_a_rate(rate_hz: float) -> AsyncIterator[Frame]:
    with VideoReader(str(CLIP)) as reader:
        for frame in reader.frames():
            picture = await asyncio.to_thread(encode_picture, frame.pixels, PictureEncoding.JPEG)
            yield Frame(frame.index, picture, captured_at_s=frame.index / rate_hz)
            await asyncio.sleep(1 / rate_hz)


def draw_all(api: PrometheusApi, start_s: float, end_s: float, out: Path) -> None:
    """Writes dashboard-NAME.png of every dashboard into `out`."""
    variables = {"$namespace": "everybody-dance", "$pod": ".*", "$__rate_interval": "1m", "$budget": "0.04"}
    out.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        path = out / f"dashboard-{dashboard.name}.png"
        draw(dashboard.to_json(), api, start_s, end_s, variables).savefig(path)
        print(f"wrote {path}")


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", metavar="URL", help="draw what this one has")
    parser.add_argument("--minutes", type=float, default=6.0, help="so long until now (default 6)")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "docs" / "images", help="folder of the pictures")
    parser.add_argument("--clients", type=int, default=2, help="sessions at the same time (default 2)")
    parser.add_argument("--rate", type=float, default=5.0, help="frames a second of each client (default 5)")
    parser.add_argument("--training", metavar="HOST:PORT", nargs="+", default=[], help="metrics of a running training")
    asked = parser.parse_args()
    mpl.use("agg")
    if asked.prometheus is None:
        try:
            asyncio.run(drawn_from_a_local_stack(asked))
        except (StackFailed, ServerError, FileNotFoundError) as error:
            sys.exit(f"error: {error}")
        return
    now_s = time.time()
    try:
        draw_all(PrometheusApi(asked.prometheus), now_s - asked.minutes * 60, now_s, asked.out)
    except OSError as error:
        sys.exit(f"error: no Prometheus answers at {asked.prometheus}: {error}")


if __name__ == "__main__":
    main()
