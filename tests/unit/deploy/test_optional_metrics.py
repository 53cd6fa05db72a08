"""Autoscalers use metrics that exist."""

from __future__ import annotations

import re
import runpy
from functools import cache

import pytest

from tests.unit.deploy.manifests import DEPLOY, ROOT, Document, of_kind, read, words

# Triton's own metrics; tests/contract/test_triton_pod.py finds them in a running Triton.
OF_TRITON = {"nv_inference_queue_duration_us", "nv_inference_request_success"}
ADAPTER = DEPLOY / "optional" / "hpa" / "prometheus-adapter.values"
STAGES = {"pose", "normalize", "label_map", "reference", "generator", "face", "encode"}


@cache
def known() -> frozenset[str]:
    """Every series that the code exports."""
    declared = runpy.run_path(str(ROOT / "scripts" / "generate_metrics_page.py"))["declared"]()
    suffixes = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",), "info": ("",)}
    return frozenset(f"{one.name}{suffix}" for one in declared for suffix in suffixes[one.kind]) | OF_TRITON


def unknown(text: str) -> set[str]:
    """Return the series and stages in an expression that do not exist."""
    named = set(re.findall(r"\b(?:dance|nv)_[a-z_]+", text))
    return (named - known()) | (set(re.findall(r'stage="([a-z_]*)"', text)) - STAGES)


def rules_of_the_adapter() -> list[Document]:
    """The rules in the values file."""
    (values,) = read(ADAPTER)
    rules: list[Document] = values["rules"]["external"]
    return rules


@pytest.mark.parametrize("rule", rules_of_the_adapter(), ids=lambda rule: rule["name"]["as"])
def test_the_adapter_queries_series_that_exist(rule):
    """Every query uses existing metrics; a renamed metric would silently disable scaling."""
    assert unknown(rule["seriesQuery"]) == set()
    assert unknown(rule["metricsQuery"]) == set()


def test_every_hpa_names_a_metric_of_the_adapter():
    """Every HPA has a rule in the adapter, and every rule belongs to an HPA."""
    hpas = of_kind(read(DEPLOY / "optional" / "hpa" / "hpa.yaml"), "HorizontalPodAutoscaler")
    asked = {metric["external"]["metric"]["name"] for hpa in hpas for metric in hpa["spec"]["metrics"]}
    assert asked == {rule["name"]["as"] for rule in rules_of_the_adapter()}


def test_keda_uses_the_queries_of_the_hpas():
    """HPA and KEDA scale the same Deployments by the same expressions."""
    by_rule = {" ".join(rule["metricsQuery"].split()) for rule in rules_of_the_adapter()}
    scaled = of_kind(read(DEPLOY / "optional" / "keda" / "scaled-objects.yaml"), "ScaledObject")
    queries = {" ".join(t["metadata"]["query"].split()) for one in scaled for t in one["spec"]["triggers"]}
    assert queries == by_rule
    assert unknown(" ".join(queries)) == set()
    for one in scaled:
        threshold = float(one["spec"]["triggers"][0]["metadata"]["threshold"])
        (hpa,) = [
            h
            for h in read(DEPLOY / "optional" / "hpa" / "hpa.yaml")
            if h["metadata"]["name"] == one["metadata"]["name"]
        ]
        target = hpa["spec"]["metrics"][0]["external"]["target"]
        value = str(target.get("averageValue") or target["value"])
        assert threshold == (float(value[:-1]) / 1000 if value.endswith("m") else float(value))
        assert one["spec"]["triggers"][0]["metricType"] == target["type"]


@pytest.mark.parametrize(
    "text", ["sum(dance_session)", "rate(dance_stage_queue_seconds[1m])", "nv_queue_us", 'dance_streams{stage="poses"}']
)
def test_a_metric_that_does_not_exist_is_found(text: str):
    """The check finds a misspelt name, a histogram without its suffix, and an unknown stage."""
    assert unknown(text)


def test_prometheus_addresses_name_its_service_and_port():
    """Everything in optional/ that uses our Prometheus names its Service and port."""
    for path in sorted((DEPLOY / "optional").rglob("*.yaml")):
        for word in words(read(path)):
            if "http://prometheus" in word:
                assert re.fullmatch(r"http://prometheus\.everybody-dance\.svc\.cluster\.local(:9090)?", word), path
