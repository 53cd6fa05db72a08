"""Recording rules and alerts: valid, documented, and firing only when they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.observability.expressions import alerts, assert_metrics_exist, rule_expressions, rules, whether_or_not
from tests.observability.local_prometheus import deployed_files

CASES = sorted(Path(__file__).parent.glob("alert_cases*.yaml"))


@pytest.fixture
def promtool(tmp_path: Path):
    """Run promtool in a folder laid out like Prometheus' own; return its output and fail if it finds a fault."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    (tmp_path / "rules").mkdir()
    for name, text in deployed_files().items():
        where = tmp_path / name if name == "prometheus.yml" else tmp_path / "rules" / name
        where.write_text(text.replace("/etc/prometheus", str(tmp_path)))
    for cases in CASES:
        shutil.copy(cases, tmp_path)

    def run(*arguments: str) -> str:
        ran = subprocess.run([program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    return run


def test_configuration_and_rules_are_valid(promtool):
    """promtool accepts both without a lint warning and finds every rule."""
    assert "2 rule files found" in promtool("check", "config", "--lint-fatal", "prometheus.yml")
    found = re.findall(r"(\d+) rules found", promtool("check", "rules", "rules/recording.yaml", "rules/alerts.yaml"))
    assert sum(map(int, found)) == len(rules())


def test_alerts_fire_when_they_should_and_only_then(promtool):
    """All cases in alert_cases*.yaml pass."""
    assert promtool("test", "rules", *(cases.name for cases in CASES)).count("SUCCESS") == len(CASES)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    """Every alert has both cases, and no case tests an alert that does not exist."""
    fires, quiet = set(), set()
    cases = [case for file in CASES for case in yaml.safe_load(file.read_text())["tests"]]
    for asked in (asked for case in cases for asked in case["promql_expr_test"]):
        name = re.search(r'alertname="(\w+)"', asked["expr"])
        if name is not None:
            (fires if asked["exp_samples"] else quiet).add(name[1])
    assert fires == set(alerts())
    assert quiet == set(alerts())


def test_every_alert_has_a_severity_and_a_runbook(root: Path):
    """Each alert has a severity, summary, description and section in docs/runbooks.md; each section has an alert."""
    page = (root / "docs" / "runbooks.md").read_text()
    sections = dict(re.findall(r"^## (Dance\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(alerts())
    for name, alert in alerts().items():
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert {"summary", "description"} <= set(alert["annotations"])
        assert alert["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
        said = sections[name]
        assert f"*{alert['labels']['severity']}*" in said, name
        assert all(f"**{word}**" in said for word in ("Means", "Look", "Do")), name


def test_rule_names_are_unique():
    """Names of rules are unique, and recorded series are named level:metric:operations."""
    names = [rule.get("record") or rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"dance:\w+:\w+", rule["record"]) for rule in rules() if "record" in rule)


def test_rules_use_metrics_that_exist(root: Path):
    """docs/metrics.md lists our own metrics, and a rule records each recorded series."""
    assert_metrics_exist(root, rule_expressions())


def test_comparisons_can_return_a_boolean():
    """`whether_or_not` keeps label matchers and makes comparisons answer 0 or 1."""
    assert whether_or_not('up{job!="a"} == 0 and x > y') == 'up{job!="a"} == bool 0 and x > bool y'
    assert whether_or_not('a{b=~"c|d"} >= 0.9') == 'a{b=~"c|d"} >= bool 0.9'
