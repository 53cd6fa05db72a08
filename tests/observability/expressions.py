"""Every PromQL expression of dashboards and rules, by a readable name."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from grafana_foundation_sdk.models.dashboard import RowPanel
from grafana_foundation_sdk.models.prometheus import Dataquery

from scripts.generate_dashboards import DASHBOARDS, name_of
from tests.observability.local_prometheus import deployed_files

VARIABLES = {"$namespace": "everybody-dance", "$pod": ".*", "$__rate_interval": "1m", "$budget": "0.04"}


def rules() -> list[dict]:
    """Recording rules and alerts, in order."""
    files = deployed_files()
    return [
        rule
        for name in ("recording.yaml", "alerts.yaml")
        for group in yaml.safe_load(files[name])["groups"]
        for rule in group["rules"]
    ]


def alerts() -> dict[str, dict]:
    """Alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panel_expressions() -> dict[str, str]:
    """Each panel's expressions with variables filled in, by names such as "transfer / Rate / Remarks / A"."""
    found = {}
    for dashboard in DASHBOARDS:
        row = ""
        for panel in dashboard.panels or ():
            if isinstance(panel, RowPanel):
                row = f" / {panel.title}"
                continue
            for target in panel.targets or ():
                assert isinstance(target, Dataquery)
                found[f"{name_of(dashboard)}{row} / {panel.title} / {target.ref_id}"] = filled(target.expr)
    return found


def rule_expressions() -> dict[str, str]:
    """Each rule's expression by its name; those of alerts are changed to have data even if they are not true."""
    return {
        rule.get("record") or rule["alert"]: rule["expr"] if "record" in rule else whether_or_not(rule["expr"])
        for rule in rules()
    }


def assert_metrics_exist(root: Path, expressions: dict[str, str]) -> None:
    """Check that docs/metrics.md lists every metric of ours, and that a rule records every recorded series."""
    known = set(re.findall(r"^\| `(dance_\w+)`", (root / "docs" / "metrics.md").read_text(), re.MULTILINE))
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for name, expr in expressions.items():
        for used in re.findall(r"\bdance_\w+", expr):
            assert used in known or re.sub(r"_(bucket|sum|count)$", "", used) in known, f"{name} uses {used}"
        assert set(re.findall(r"\bdance:[\w:]+", expr)) <= recorded, name


def filled(expr: str) -> str:
    """Return the expression with a value for every variable of the dashboards."""
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr, f"unknown variable in {expr}"
    return expr


def whether_or_not(expr: str) -> str:
    """Return the expression with comparisons that answer 0 or 1, instead of nothing if they are not true.

    >>> whether_or_not('up{job!="a"} == 0 and x > y')
    'up{job!="a"} == bool 0 and x > bool y'
    """
    parts = re.split(r"(\{[^}]*\})", expr)
    return "".join(
        part if part.startswith("{") else re.sub(r"(==|!=|>=|<=|>|<)(?=\s)", r"\1 bool", part) for part in parts
    )
