"""The dashboards: as their generator writes them, of Grafana's own model, and of metrics that exist."""

from __future__ import annotations

import enum
import json
import re
import subprocess
import sys
import typing
from pathlib import Path
from types import NoneType, UnionType

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from scripts.generate_dashboards import DASHBOARDS, path_of
from tests.observability.expressions import panel_expressions, rules

CONFIG_MAP_LIMIT_BYTES = 200_000


@pytest.fixture(params=DASHBOARDS, ids=lambda dashboard: dashboard.name)
def model(request) -> dict:
    """A dashboard, as its ConfigMap has it."""
    data = yaml.safe_load(path_of(request.param).read_text())["data"]
    return json.loads(data[f"{request.param.name}.json"])


def test_generating_them_again_changes_nothing(root: Path):
    """What is checked in is what the generator writes."""
    checked = subprocess.run(
        [sys.executable, "scripts/generate_dashboards.py", "--check"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


def test_each_has_a_config_map_that_a_grafana_finds(root: Path):
    """One dashboard in each, below 200 kB, with the label of Grafana's sidecar; and ours mounts each of them."""
    documents = list(yaml.safe_load_all((root / "deploy" / "85-grafana.yaml").read_text()))
    (deployment,) = (document for document in documents if document["kind"] == "Deployment")
    (mounted,) = (
        v["projected"] for v in deployment["spec"]["template"]["spec"]["volumes"] if v["name"] == "dashboards"
    )
    assert len(list((root / "deploy").glob("*-grafana-dashboard-*.yaml"))) == len(DASHBOARDS)
    for dashboard in DASHBOARDS:
        assert path_of(dashboard).stat().st_size < CONFIG_MAP_LIMIT_BYTES
        config_map = yaml.safe_load(path_of(dashboard).read_text())
        assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert list(config_map["data"]) == [f"{dashboard.name}.json"]
        assert {"configMap": {"name": config_map["metadata"]["name"]}} in mounted["sources"]


def test_grafana_knows_every_field(model: dict):
    """Grafana's own model reads it, every value is of its type, and nothing is lost on the way."""
    register_default_plugins()
    read = Dashboard.from_json(model)
    assert faults(read, Dashboard, "dashboard") == []
    assert lost(model, json.loads(JSONEncoder().encode(read)), "dashboard") == []


def test_the_check_of_the_model_finds_mistakes(model: dict):
    """A field that Grafana does not know is lost on the way, and a value of another type is no value of its field."""
    register_default_plugins()
    model["panels"][1]["gridpos"] = {}
    model["panels"][1]["options"]["legendary"] = True
    model["refresh"] = 10
    model["time"]["from"] = 1
    read = Dashboard.from_json(model)
    losses = lost(model, json.loads(JSONEncoder().encode(read)), "dashboard")
    assert [loss.rpartition(".")[2] for loss in losses] == ["legendary", "gridpos"]
    assert [fault.partition(" ")[0] for fault in faults(read, Dashboard, "dashboard")] == [
        "dashboard.time.from_val",
        "dashboard.refresh",
    ]


def test_panels_lie_beside_each_other(model: dict):
    """No two share an id or a place, none is wider than the grid, and each but the rows says what it shows."""
    panels = model["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or (panel["targets"] and panel["title"])


def test_every_expression_can_be_narrowed(model: dict):
    """Data source, namespace and pod can be chosen, and each expression keeps to its namespace."""
    variables = {variable["name"] for variable in model["templating"]["list"]}
    assert {"datasource", "namespace", "pod"} <= variables
    for panel in model["panels"]:
        for target in panel.get("targets", ()):
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= variables
            assert "namespace" in used or "ALERTS" in target["expr"], panel["title"]
            assert target["datasource"]["uid"] == "${datasource}"


def test_panels_show_metrics_that_exist(root: Path):
    """Our own metrics stand in docs/metrics.md; recorded ones are recorded."""
    known = set(re.findall(r"^\| `(dance_\w+)`", (root / "docs" / "metrics.md").read_text(), re.MULTILINE))
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for name, expr in panel_expressions().items():
        for used in re.findall(r"\bdance_\w+", expr):
            assert used in known or re.sub(r"_(bucket|sum|count)$", "", used) in known, f"{name} shows {used}"
        assert set(re.findall(r"\bdance:[\w:]+", expr)) <= recorded, name


def lost(before: typing.Any, after: typing.Any, where: str) -> list[str]:
    """What stands in `before` and, as it is, not in `after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            fault
            for key, value in before.items()
            for fault in (lost(value, after[key], f"{where}.{key}") if key in after else [f"{where}.{key}"])
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            fault
            for i, (one, other) in enumerate(zip(before, after, strict=True))
            for fault in lost(one, other, f"{where}[{i}]")
        ]
    return [] if before == after else [where]


def faults(value: typing.Any, hint: typing.Any, where: str) -> list[str]:
    """Where a value of Grafana's model, or what it is made of, is not of its declared type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (typing.Any, object):
        return _inside(value, where)
    if origin in (typing.Union, UnionType):
        each = [faults(value, option, where) for option in arguments]
        return min(each, key=len)
    if origin is typing.Literal:
        return [] if value in arguments else [f"{where} is {value!r}, none of {arguments}"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{where} is {value!r}, no list"]
        return [fault for i, item in enumerate(value) for fault in faults(item, arguments[0], f"{where}[{i}]")]
    if origin is dict:
        return [] if isinstance(value, dict) else [f"{where} is {value!r}, no mapping"]
    if hint is NoneType:
        return [] if value is None else [f"{where} is {value!r}, not null"]
    if issubclass(hint, enum.Enum):
        return [] if value in [member.value for member in hint] else [f"{where} is {value!r}, no {hint.__name__}"]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return []
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        return [f"{where} is {value!r}, no {hint.__name__}"]
    return _inside(value, where)


def _inside(value: typing.Any, where: str) -> list[str]:
    kind = type(value)
    if not kind.__module__.startswith("grafana_foundation_sdk"):
        return []
    names = sys.modules[kind.__module__].__dict__
    hints = typing.get_type_hints(kind, globalns=names)
    return [
        fault
        for name, hint in hints.items()
        if hasattr(value, name)
        for fault in faults(getattr(value, name), hint, f"{where}.{name}")
    ]
