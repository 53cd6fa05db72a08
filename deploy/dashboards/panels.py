"""This project's kinds of panels and their common settings, on Grafana's SDK."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_options
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

PODS: Final = 'namespace="$namespace", pod=~"$pod"'
"""The selector of the pods that are chosen on the dashboard."""
NAMESPACE: Final = 'namespace="$namespace"'

_SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_REF_IDS: Final = "ABCDEFGHIJ"
_TAG: Final = "everybody-dance"

Query = prometheus.Dataquery
Panel = timeseries.Panel | stat.Panel | bargauge.Panel | heatmap.Panel | dashboard.Row
P = TypeVar("P", timeseries.Panel, stat.Panel, bargauge.Panel, heatmap.Panel)


def query(expr: str, legend: str = "__auto") -> Query:
    """One PromQL expression. legend: the name of its series; {{label}} stands for a label's value."""
    return Query().expr(expr).legend_format(legend).editor_mode(QueryEditorMode.CODE).datasource(_SOURCE).range()


def row(title: str) -> dashboard.Row:
    """A title across the dashboard, above the panels that follow it."""
    return dashboard.Row(title)


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = 8,
    stacked: bool = False,
    limit: float | None = None,
    largest: float | None = None,
) -> timeseries.Panel:
    """Curves over time. limit: drawn as a dashed line. largest: the top of the axis."""
    panel = (
        _panel(timeseries.Panel(), title, description, queries, width)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .draw_style(options.GraphDrawStyle.LINE)
        .show_points(options.VisibilityMode.NEVER)
        .stacking(
            common.StackingConfig()
            .mode(options.StackingMode.NORMAL if stacked else options.StackingMode.NONE)
            .group("A")
        )
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    )
    if largest is not None:
        panel.max(largest)
    if limit is not None:
        panel.thresholds(_thresholds("transparent", (limit, "red")))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED))
    return panel


def number(
    title: str, description: str, unit: str, *queries: Query, width: int = 4, warn: float | None = None
) -> stat.Panel:
    """The latest value in large print, red from `warn` on."""
    steps = () if warn is None else ((warn, "red"),)
    return (
        _panel(stat.Panel(), title, description, [one.instant() for one in queries], width, height=4)
        .unit(unit)
        .graph_mode(options.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds("green", *steps))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )


def bars(
    title: str, description: str, unit: str, *queries: Query, warn: float, largest: float, width: int = 8
) -> bargauge.Panel:
    """A bar for the latest value of each series, red from `warn` on. largest: the value of a full bar."""
    return (
        _panel(bargauge.Panel(), title, description, [one.instant() for one in queries], width)
        .unit(unit)
        .min(0)
        .max(largest)
        .orientation(options.VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds("green", (warn / 2, "orange"), (warn, "red")))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )


def heat(title: str, description: str, histogram: str, selector: str, width: int = 8) -> heatmap.Panel:
    """The distribution of a Prometheus histogram of seconds over time."""
    buckets = query(f"sum by (le) (increase({histogram}_bucket{{{selector}}}[$__rate_interval]))", "{{le}}")
    return (
        _panel(heatmap.Panel(), title, description, [buckets.format(PromQueryFormat.HEATMAP)], width)
        .cell_gap(1)
        .cell_values(heatmap.CellValues().unit("short"))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_options.HeatmapColorMode.SCHEME)
            .scale(heatmap_options.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .scheme("Spectral")
            .fill("dark-orange")
            .steps(64)
        )
        .show_value(options.VisibilityMode.NEVER)
        .scale_distribution(common.ScaleDistributionConfig().type(options.ScaleDistribution.LINEAR))
        .y_axis(heatmap.YAxisConfig().axis_placement(options.AxisPlacement.LEFT).unit("s"))
    )


def quantiles(histogram: str, selector: str) -> tuple[Query, ...]:
    """p50, p95 and p99 of a Prometheus histogram."""
    return tuple(
        query(
            f"histogram_quantile({q}, sum by (le) (rate({histogram}_bucket{{{selector}}}[$__rate_interval])))",
            f"p{q * 100:.0f}",
        )
        for q in (0.5, 0.95, 0.99)
    )


def choice(name: str, label: str, values: Sequence[tuple[str, str]]) -> dashboard.CustomVariable:
    """A variable with fixed values and their labels; the first one is the default."""
    choices = [model.VariableOption(text=text, value=value, selected=not i) for i, (text, value) in enumerate(values)]
    listed = ", ".join(f"{text} : {value}" for text, value in values)
    return dashboard.CustomVariable(name).label(label).values(listed).options(choices).current(choices[0])


def board(
    name: str,
    title: str,
    description: str,
    *,
    pods_with: str,
    panels: Iterable[Panel],
    variables: Iterable[Builder[model.VariableModel]] = (),
) -> model.Dashboard:
    """A dashboard with its panels laid out from left to right and top to bottom.

    name: of its uid, `dance-NAME`. pods_with: the metric whose namespaces and pods can be chosen.
    """
    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    pods = _labels_of(pods_with + f"{{{NAMESPACE}}}", "pod").multi(True).include_all(True).all_value(".*")
    everything = model.VariableOption(text=["All"], value=["$__all"])
    made = (
        dashboard.Dashboard(title)
        .uid(f"dance-{name}")
        .description(description)
        .tags([_TAG])
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .refresh("10s")
        .time("now-1h", "now")
        .with_variable(source.current(model.VariableOption(text="Prometheus", value="prometheus")))
        .with_variable(_labels_of(pods_with, "namespace"))
        .with_variable(pods.current(everything))
        .link(
            dashboard.DashboardLink("Everybody Dance")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([_TAG])
            .icon("external link")
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in variables:
        made.with_variable(variable)
    for number_, panel in enumerate(panels, start=1):
        if isinstance(panel, dashboard.Row):
            made.with_row(panel.id(number_))
        else:
            made.with_panel(panel.id(number_))
    return made.build()


def _panel(panel: P, title: str, description: str, queries: Iterable[Query], width: int, height: int = 8) -> P:
    for ref_id, one in zip(_REF_IDS, queries, strict=False):
        panel.with_target(one.ref_id(ref_id))
    return panel.title(title).description(description).datasource(_SOURCE).span(width).height(height)


def _thresholds(base: str, *steps: tuple[float, str]) -> dashboard.ThresholdsConfig:
    all_steps = [model.Threshold(value=None, color=base), *(model.Threshold(value, color) for value, color in steps)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(all_steps)


def _labels_of(metric: str, label: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(label)
        .label(label.capitalize())
        .datasource(_SOURCE)
        .query({"query": f"label_values({metric}, {label})", "refId": f"{label}-variable"})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
