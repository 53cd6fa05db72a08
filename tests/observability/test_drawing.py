"""Pictures of dashboards: what docs/dashboards.md shows is what Prometheus said."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from deploy.dashboards.panels import Dashboard, Query, bars, heat, lines, number, row
from scripts.draw_dashboards import draw
from scripts.local_prometheus import PrometheusApi, Series

START_S, END_S = 1000.0, 1060.0


class Known(PrometheusApi):
    """Answers from a table; remembers what it was asked."""

    def __init__(self, answers: dict[str, list[Series]]) -> None:
        super().__init__("http://nowhere")
        self.answers = answers
        self.asked: list[str] = []

    def over(self, expr: str, start_s: float, end_s: float, step_seconds: float) -> list[Series]:
        self.asked.append(expr)
        return self.answers.get(expr, [])


def series(value: float, **labels: str) -> Series:
    """Two points of one value."""
    return Series(labels, [(START_S, value), (END_S, value)])


@pytest.fixture
def dashboard() -> dict:
    """One panel of each kind, and one whose metric nobody has."""
    return Dashboard(
        name="one-of-each",
        title="One of each",
        description="",
        pods_with="up",
        panels=(
            number("Number", "", "percentunit", Query('ratio{namespace="$namespace"}')),
            row("A row"),
            lines("Lines", "", "s", Query("seconds", "{{stage}} p50"), limit=0.25),
            bars("Bars", "", "percentunit", Query("share", "{{stage}}"), warn=1, largest=1.5),
            heat("Heat", "", "h", "x"),
            lines("Nothing", "", "s", Query("unknown")),
        ),
    ).to_json()


def test_each_panel_shows_what_prometheus_said(dashboard: dict, tmp_path: Path):
    """Values with their units, curves with their legends, and words where there is nothing."""
    api = Known(
        {
            'ratio{namespace="here"}': [series(0.25)],
            "seconds": [series(0.02, stage="pose"), series(math.nan, stage="face")],
            "share": [series(0.5, stage="pose"), series(1.2, stage="face")],
            "sum by (le) (increase(h_bucket{x}[1m]))": [series(3, le="0.1"), series(5, le="+Inf")],
        }
    )
    figure = draw(dashboard, api, START_S, END_S, {"$namespace": "here", "$__rate_interval": "1m"})
    shown = {axes.get_title(loc="left"): axes for axes in figure.axes}
    said = {title: [text.get_text().strip() for text in axes.texts] for title, axes in shown.items()}
    assert list(shown) == ["Number", "Lines", "Bars", "Heat", "Nothing"]
    assert said["Number"] == ["25 %"]
    assert said["Bars"] == ["50 %", "120 %"]
    assert said["Nothing"] == ["no data here"]
    curve = shown["Lines"].get_lines()[0]
    assert curve.get_label() == "pose p50"
    assert np.asarray(curve.get_ydata()).tolist() == [20.0, 20.0]
    assert [text.get_text() for text in figure.texts] == ["One of each", "A row"]
    figure.savefig(tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").stat().st_size > 0


def test_curves_that_are_no_number_are_left_out(dashboard: dict):
    """A stage without answers has NaN for a quantile, and no curve."""
    api = Known({"seconds": [series(math.nan, stage="face")]})
    figure = draw(dashboard, api, START_S, END_S, {"$namespace": "here", "$__rate_interval": "1m"})
    lines_axes = next(axes for axes in figure.axes if axes.get_title(loc="left") == "Lines")
    assert [text.get_text() for text in lines_axes.texts] == ["no data here"]
