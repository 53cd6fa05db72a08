"""The parts of a Grafana dashboard, as the JSON that Grafana 11 and later read (schema v1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Json = dict[str, Any]
Unit = Literal["short", "s", "percentunit", "bytes", "watt", "reqps", "dateTimeAsIso", "none", "decbel"]

SCHEMA_VERSION: Final = 41
COLUMNS: Final = 24
"""Grafana's grid is so wide."""

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression. legend: of its series, with {{label}} for a label's value; empty: the unit says it all."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One panel, or the title of a row of panels. kind: Grafana's name of it. width, height: in grid cells.

    options, defaults: what Grafana calls options and fieldConfig.defaults.
    """

    kind: Literal["timeseries", "stat", "heatmap", "bargauge", "row"]
    title: str
    description: str = ""
    queries: tuple[Query, ...] = ()
    width: int = 8
    height: int = 8
    options: Json = field(default_factory=dict)
    defaults: Json = field(default_factory=dict)

    def to_json(self, number: int, x: int, y: int) -> Json:
        """The panel at this place; `number` is its id on the dashboard."""
        place = {"h": self.height, "w": self.width, "x": x, "y": y}
        if self.kind == "row":
            return {
                "id": number,
                "type": "row",
                "title": self.title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        targets = []
        for letter, query in zip("ABCDEFGHIJ", self.queries, strict=False):
            target: Json = {
                "refId": letter,
                "datasource": _SOURCE,
                "editorMode": "code",
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "range": self.kind in ("timeseries", "heatmap"),
                "instant": self.kind not in ("timeseries", "heatmap"),
            }
            if self.kind == "heatmap":
                target["format"] = "heatmap"
            targets.append(target)
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": _SOURCE,
            "gridPos": place,
            "targets": targets,
            "options": self.options,
            "fieldConfig": {"defaults": self.defaults, "overrides": []},
        }


def row(title: str) -> Panel:
    """A title across the dashboard; the panels behind it belong to it."""
    return Panel(kind="row", title=title, width=COLUMNS, height=1)


def lines(
    title: str,
    description: str,
    unit: Unit,
    *queries: Query,
    width: int = 8,
    stacked: bool = False,
    limit: float | None = None,
    largest: float | None = None,
) -> Panel:
    """Curves over time. limit: drawn as a dashed line. largest: the top of the axis."""
    custom: Json = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    defaults: Json = {"unit": unit, "min": 0, "custom": custom, "color": {"mode": "palette-classic"}}
    if largest is not None:
        defaults["max"] = largest
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
        steps = [{"value": None, "color": "transparent"}, {"value": limit, "color": "red"}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    options: Json = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel(
        kind="timeseries",
        title=title,
        description=description,
        queries=queries,
        width=width,
        options=options,
        defaults=defaults,
    )


def number(
    title: str, description: str, unit: Unit, *queries: Query, width: int = 4, warn: float | None = None
) -> Panel:
    """The latest value, large. warn: red from here on."""
    steps: list[Json] = [{"value": None, "color": "green"}]
    if warn is not None:
        steps.append({"value": warn, "color": "red"})
    options: Json = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    defaults: Json = {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}, "color": {"mode": "thresholds"}}
    return Panel(
        kind="stat",
        title=title,
        description=description,
        queries=queries,
        width=width,
        height=4,
        options=options,
        defaults=defaults,
    )


def bars(
    title: str, description: str, unit: Unit, *queries: Query, warn: float, largest: float, width: int = 8
) -> Panel:
    """A bar for each series' latest value. warn: red from here on. largest: the full length."""
    options: Json = {
        "displayMode": "gradient",
        "orientation": "horizontal",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "valueMode": "color",
        "namePlacement": "auto",
        "showUnfilled": True,
        "sizing": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    steps = [
        {"value": None, "color": "green"},
        {"value": warn / 2, "color": "orange"},
        {"value": warn, "color": "red"},
    ]
    defaults: Json = {
        "unit": unit,
        "min": 0,
        "max": largest,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds"},
    }
    return Panel(
        kind="bargauge",
        title=title,
        description=description,
        queries=queries,
        width=width,
        options=options,
        defaults=defaults,
    )


def heat(title: str, description: str, histogram: str, selector: str, width: int = 8) -> Panel:
    """Where the observations of a Prometheus histogram lie, over time; its unit is seconds."""
    expr = f"sum by (le) (increase({histogram}_bucket{{{selector}}}[$__rate_interval]))"
    options: Json = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": "short"},
        "color": {
            "mode": "scheme",
            "scheme": "Spectral",
            "fill": "dark-orange",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": "s"},
    }
    defaults: Json = {"custom": {"scaleDistribution": {"type": "linear"}}}
    queries = (Query(expr, "{{le}}"),)
    return Panel(
        kind="heatmap",
        title=title,
        description=description,
        queries=queries,
        width=width,
        options=options,
        defaults=defaults,
    )


def quantiles(histogram: str, selector: str, by: str = "") -> tuple[Query, ...]:
    """p50, p95 and p99 of a Prometheus histogram. by: a label whose values are kept apart."""
    kept = f"le, {by}" if by else "le"
    named = f"{{{{{by}}}}} " if by else ""
    return tuple(
        Query(
            f"histogram_quantile({q}, sum by ({kept}) (rate({histogram}_bucket{{{selector}}}[$__rate_interval])))",
            f"{named}p{q * 100:.0f}",
        )
        for q in _QUANTILES
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Dashboard:
    """A dashboard. name: of its file and uid. pods_with: a metric whose pods and namespaces can be chosen.

    variables: further ones, as Grafana's JSON.
    """

    name: str
    title: str
    description: str
    pods_with: str
    panels: Sequence[Panel]
    variables: Sequence[Json] = ()

    def to_json(self) -> Json:
        """The whole model, its panels laid out from left to right and from top to bottom."""
        placed: list[Json] = []
        x = y = highest = 0
        for number_, panel in enumerate(self.panels, start=1):
            if x + panel.width > COLUMNS or panel.kind == "row":
                x, y, highest = 0, y + highest, 0
            placed.append(panel.to_json(number_, x, y))
            x, highest = x + panel.width, max(highest, panel.height)
        variables = [
            _source_variable(),
            _query_variable("namespace", "Namespace", f"label_values({self.pods_with}, namespace)"),
            _query_variable(
                "pod", "Pod", f'label_values({self.pods_with}{{namespace="$namespace"}}, pod)', several=True
            ),
            *self.variables,
        ]
        return {
            "uid": f"dance-{self.name}",
            "title": self.title,
            "description": self.description,
            "tags": ["everybody-dance"],
            "schemaVersion": SCHEMA_VERSION,
            "timezone": "browser",
            "editable": True,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "templating": {"list": variables},
            "annotations": {"list": []},
            "links": [_link_to_the_others()],
            "panels": placed,
        }


def choice(name: str, label: str, values: Sequence[tuple[str, str]]) -> Json:
    """A variable with fixed values, each with the words shown for it; the first is taken at the beginning."""
    options = [{"text": text, "value": value, "selected": i == 0} for i, (text, value) in enumerate(values)]
    return {
        "name": name,
        "label": label,
        "type": "custom",
        "query": ", ".join(f"{text} : {value}" for text, value in values),
        "options": options,
        "current": options[0],
        "multi": False,
        "includeAll": False,
        "hide": 0,
        "skipUrlSync": False,
    }


def _source_variable() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
        "multi": False,
        "includeAll": False,
        "refresh": 1,
        "regex": "",
        "hide": 0,
        "skipUrlSync": False,
    }


def _query_variable(name: str, label: str, query: str, *, several: bool = False) -> Json:
    chosen: Json = {"text": ["All"], "value": ["$__all"]} if several else {}
    everything: Json = {"allValue": ".*"} if several else {}
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": f"{name}-variable"},
        "current": chosen,
        **everything,
        "multi": several,
        "includeAll": several,
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "hide": 0,
        "skipUrlSync": False,
    }


def _link_to_the_others() -> Json:
    return {
        "title": "Everybody Dance",
        "type": "dashboards",
        "tags": ["everybody-dance"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }
