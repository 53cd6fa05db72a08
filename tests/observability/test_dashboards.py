"""The dashboards: up to date, laid out on Grafana's grid, and built on metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from scripts.generate_dashboards import DASHBOARDS, name_of, path_of
from tests.observability.expressions import assert_metrics_exist, panel_expressions

CONFIG_MAP_LIMIT_BYTES = 200_000


@pytest.fixture(params=DASHBOARDS, ids=name_of)
def model(request) -> dict:
    """The JSON of one dashboard, as its ConfigMap has it."""
    data = yaml.safe_load(path_of(request.param).read_text())["data"]
    return json.loads(data[f"{name_of(request.param)}.json"])


def test_generating_them_again_changes_nothing(root: Path):
    """The committed files are what the generator writes."""
    checked = subprocess.run(
        [sys.executable, "scripts/generate_dashboards.py", "--check"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


def test_each_has_a_config_map_that_a_grafana_finds(root: Path):
    """Each ConfigMap holds one dashboard below 200 kB and the label of Grafana's sidecar; our Grafana mounts all."""
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
        assert list(config_map["data"]) == [f"{name_of(dashboard)}.json"]
        assert {"configMap": {"name": config_map["metadata"]["name"]}} in mounted["sources"]


def test_grafana_reads_every_field(model: dict):
    """Grafana's own model reads each dashboard and writes it again without losing or changing a field."""
    register_default_plugins()
    assert json.loads(JSONEncoder().encode(Dashboard.from_json(model))) == model


def test_panels_lie_beside_each_other(model: dict):
    """No two panels share an id or a cell, none is wider than the grid, and each one but the rows has queries."""
    panels = model["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"]
        assert panel["type"] == "row" or (panel["targets"] and panel["description"])


def test_every_expression_can_be_narrowed(model: dict):
    """The user can choose data source, namespace and pod, and each expression keeps to the chosen namespace."""
    variables = {variable["name"] for variable in model["templating"]["list"]}
    assert {"datasource", "namespace", "pod"} <= variables
    for panel in model["panels"]:
        for target in panel.get("targets", ()):
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= variables
            assert "namespace" in used or "ALERTS" in target["expr"], panel["title"]
            assert target["datasource"]["uid"] == "${datasource}"


def test_panels_show_metrics_that_exist(root: Path):
    """docs/metrics.md lists our own metrics, and a rule records each recorded series."""
    assert_metrics_exist(root, panel_expressions())
