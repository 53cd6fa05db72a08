"""Every PromQL expression of dashboards and rules, by a name that a person finds it under."""

from __future__ import annotations

import re

import yaml

from scripts.generate_dashboards import DASHBOARDS
from scripts.local_prometheus import deployed_files

VARIABLES = {"$namespace": "everybody-dance", "$pod": ".*", "$__rate_interval": "1m", "$budget": "0.04"}


def rules() -> list[dict]:
    """Recording rules and alerts, in their order."""
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
    """ "transfer / Sessions / A": its expression, with variables filled in."""
    found = {}
    for dashboard in DASHBOARDS:
        row = ""
        for panel in dashboard.to_json()["panels"]:
            if panel["type"] == "row":
                row = f" / {panel['title']}"
            for target in panel.get("targets", ()):
                found[f"{dashboard.name}{row} / {panel['title']} / {target['refId']}"] = filled(target["expr"])
    return found


def rule_expressions() -> dict[str, str]:
    """ "dance:frames:rate5m" or "DanceNoFrames": its expression, such that it has data whether or not it is true."""
    return {
        rule.get("record") or rule["alert"]: rule["expr"] if "record" in rule else whether_or_not(rule["expr"])
        for rule in rules()
    }


def filled(expr: str) -> str:
    """The expression with a value for every variable of the dashboards."""
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr, f"unknown variable in {expr}"
    return expr


def whether_or_not(expr: str) -> str:
    """The expression with comparisons that answer 0 or 1, instead of nothing where they are not true.

    >>> whether_or_not('up{job!="a"} == 0 and x > y')
    'up{job!="a"} == bool 0 and x > bool y'
    """
    parts = re.split(r"(\{[^}]*\})", expr)
    return "".join(
        part if part.startswith("{") else re.sub(r"(==|!=|>=|<=|>|<)(?=\s)", r"\1 bool", part) for part in parts
    )
