"""The scrape configuration: its names and ports match deploy/, and the local copy differs only in addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.observability.local_prometheus import deployed_files, local_configuration

JOBS = {"orchestrator", "pose", "normalize", "face", "agent", "triton", "web", "training", "prometheus", "grafana"}
NOT_OURS = {"kube-state-metrics"}
METRICS_PORT, TRITON_METRICS_PORT, GRAFANA_PORT = 9464, 8002, 3000


@pytest.fixture
def config() -> dict:
    """The deployed configuration."""
    return yaml.safe_load(deployed_files()["prometheus.yml"])


@pytest.fixture
def asked(config: dict) -> dict[str, tuple[str, int]]:
    """Service and port of the scrape jobs that use DNS, by job."""
    found = {}
    for job in config["scrape_configs"]:
        if "dns_sd_configs" in job and job["job_name"] not in NOT_OURS:
            (looked_up,) = job["dns_sd_configs"]
            (name,) = looked_up["names"]
            assert looked_up["type"] == "A"
            assert name.endswith(".everybody-dance.svc.cluster.local")
            found[job["job_name"]] = (name.partition(".")[0], looked_up["port"])
    return found


def test_every_process_is_scraped(config: dict, asked: dict[str, tuple[str, int]]):
    """Prometheus scrapes services and orchestrator on 9464, and Triton on its own port in its agent's pod."""
    assert {job["job_name"] for job in config["scrape_configs"]} == JOBS | NOT_OURS
    assert asked == {
        "orchestrator": ("orchestrator-pods", METRICS_PORT),
        "web": ("web-pods", METRICS_PORT),
        "pose": ("pose", METRICS_PORT),
        "normalize": ("normalize", METRICS_PORT),
        "face": ("face", METRICS_PORT),
        "agent": ("triton", METRICS_PORT),
        "triton": ("triton", TRITON_METRICS_PORT),
        "training": ("training", METRICS_PORT),
        "grafana": ("grafana", GRAFANA_PORT),
    }


def test_names_and_ports_are_those_of_the_manifests(root: Path, asked: dict[str, tuple[str, int]]):
    """Each name is a Service, and each port is a port of its pods."""
    documents = [
        document
        for path in sorted((root / "deploy").glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document is not None
    ]
    selectors = {d["metadata"]["name"]: d["spec"]["selector"] for d in documents if d["kind"] == "Service"}
    if "orchestrator-pods" not in selectors:
        pytest.skip("the manifests do not contain the pipeline's Services")
    templates = [d["spec"]["template"] for d in documents if d["kind"] == "Deployment"]
    for job, (service, port) in asked.items():
        assert service in selectors, f"{job} scrapes {service}, which is not a Service"
        serving = [t for t in templates if selectors[service].items() <= t["metadata"]["labels"].items()]
        ports = {p["containerPort"] for t in serving for c in t["spec"]["containers"] for p in c.get("ports", ())}
        assert port in ports or job == "training", f"{job} scrapes port {port} of {service}, which has {sorted(ports)}"


def test_only_addresses_and_intervals_differ_on_this_machine(config: dict, tmp_path: Path):
    """The configuration for local tests equals the deployed one in everything else."""
    targets = {job["job_name"]: [f"127.0.0.1:{n}"] for n, job in enumerate(config["scrape_configs"], 1)}
    local = yaml.safe_load(local_configuration(deployed_files()["prometheus.yml"], tmp_path, targets, 0.5))
    assert local["global"]["scrape_interval"] == "500ms"
    for job, there in zip(local["scrape_configs"], config["scrape_configs"], strict=True):
        (static,) = job.pop("static_configs")
        assert static["targets"] == targets[job["job_name"]]
        discovered = there.pop("dns_sd_configs", None)
        if discovered is not None:
            assert static["labels"] == {"__meta_dns_name": discovered[0]["names"][0]}
        else:
            there.pop("static_configs")
        assert job == there


def test_missing_targets_are_named(tmp_path: Path):
    """Targets must name every scrape job of the configuration, and only those."""
    with pytest.raises(ValueError, match="stranger"):
        local_configuration(deployed_files()["prometheus.yml"], tmp_path, {"stranger": []}, 1.0)


def test_labels_are_made_of_names_and_addresses(config: dict):
    """The namespace label is the second part of the DNS name; the pod label is the address."""
    pod, namespace = next(job for job in config["scrape_configs"] if job["job_name"] == "pose")["relabel_configs"]
    address, name = "10.0.3.7:9464", "pose.everybody-dance.svc.cluster.local"
    found = re.fullmatch(pod["regex"], address), re.fullmatch(namespace["regex"], name)
    assert [match[1] for match in found if match] == ["10.0.3.7", "everybody-dance"]
