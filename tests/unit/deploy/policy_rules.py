"""Rules for network policies: they must match the pipeline's edges. Each rule returns its violations."""

from __future__ import annotations

from itertools import product
from typing import Final

from orchestrator.settings import OrchestratorSettings
from tests.unit.deploy.manifests import NAME_LABEL, Document, of_kind, pods
from tests.unit.deploy.settings_rules import processes
from tests.unit.deploy.wiring_rules import NAMES
from web.settings import WebSettings

ANYBODY: Final = "anybody"
ANY_PORT: Final = 0
Edge = tuple[str, str, int]


def pipeline(documents: list[Document]) -> set[Edge]:
    """Return the edges of the picture in docs/ARCHITECTURE.md, from the settings of the orchestrator and the page."""
    edges = {(ANYBODY, "orchestrator", 50050)}
    for _, _, settings in processes(documents):
        if isinstance(settings, WebSettings):
            name, _, port = settings.server.rpartition(":")
            edges |= {(ANYBODY, "web", settings.port), ("web", name.partition(".")[0], int(port))}
        if isinstance(settings, OrchestratorSettings):
            for stage in ("pose", "normalize", "face", "agent", "triton"):
                name, _, port = getattr(settings, f"{stage}_address").removeprefix("dns:///").rpartition(":")
                edges.add(("orchestrator", name.partition(".")[0], int(port)))
    return edges


def scraping(documents: list[Document]) -> set[Edge]:
    """Return the edges from Prometheus to each metrics port, including Triton's own."""
    edges = {
        ("prometheus", pod.name, number)
        for pod in pods(documents)
        for name, number in pod.ports().items()
        if name.endswith("metrics") and pod.name != "prometheus"
    }
    return edges | {("prometheus", "training", 9464)}


def allowed(documents: list[Document], direction: str) -> set[Edge]:
    """Return the edges that policies allow ("ingress" or "egress"), between our own pods and from anywhere."""
    edges: set[Edge] = set()
    for policy in of_kind(documents, "NetworkPolicy"):
        owners = _owners(policy["spec"]["podSelector"])
        for rule in policy["spec"].get(direction, []):
            numbers = [port["port"] for port in rule.get("ports", [])] or [ANY_PORT]
            peers = rule.get("from" if direction == "ingress" else "to")
            names = [ANYBODY] if peers is None else [_name(peer) for peer in peers]
            for name, owner in product((name for name in names if name is not None), owners):
                edges |= {(name, owner, n) if direction == "ingress" else (owner, name, n) for n in numbers}
    return edges


def _owners(selector: Document) -> set[str]:
    """Return the pods that a policy selects: one name, several names, or all pods."""
    if selector == {}:
        return NAMES
    if "matchExpressions" in selector:
        (expression,) = selector["matchExpressions"]
        assert (expression["key"], expression["operator"]) == (NAME_LABEL, "In")
        return set(expression["values"])
    return {selector["matchLabels"][NAME_LABEL]}


def _name(peer: Document) -> str | None:
    """Return the selected pods of ours; None for peers outside the namespace."""
    if "namespaceSelector" in peer or "ipBlock" in peer:
        return None
    return str(peer["podSelector"].get("matchLabels", {}).get(NAME_LABEL, "*"))


def edges(documents: list[Document]) -> list[str]:
    """Exactly the edges of the pipeline and of Prometheus are open, at both ends."""
    ours = NAMES - {"prometheus", "grafana"}
    let_in = {edge for edge in allowed(documents, "ingress") if edge[1] in ours}
    let_out = {edge for edge in allowed(documents, "egress") if edge[0] in ours}
    scraped = scraping(documents)
    monitored = any(pod.name == "prometheus" for pod in pods(documents))
    wanted = pipeline(documents) | scraped | {("training", "training", ANY_PORT)}
    open_to_all = {(name, *edge[1:]) for edge in let_in if edge[0] == ANYBODY for name in NAMES}
    faults = [f"no policy allows {edge} at its target" for edge in sorted(wanted - let_in - open_to_all)]
    faults += [f"a policy allows {edge} at its target without need" for edge in sorted(let_in - wanted)]
    wanted_out = {edge for edge in wanted if edge[0] in ours}
    faults += [f"no policy allows {edge} at its source" for edge in sorted(wanted_out - let_out)]
    faults += [f"a policy allows {edge} at its source without need" for edge in sorted(let_out - wanted_out)]
    if monitored:
        out = {edge for edge in allowed(documents, "egress") if edge[0] == "prometheus"}
        faults += [
            f"Prometheus may not go to {target}:{port}"
            for source, target, port in sorted(scraped)
            if not out & {(source, to, at) for to in (target, "*") for at in (port, ANY_PORT)}
        ]
    return faults


def shut(documents: list[Document]) -> list[str]:
    """Pods that no policy names have no traffic except DNS."""
    if {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} not in [
        policy["spec"] for policy in of_kind(documents, "NetworkPolicy")
    ]:
        return ["no NetworkPolicy denies everything"]
    faults = []
    for policy in of_kind(documents, "NetworkPolicy"):
        spec = policy["spec"]
        faults += [
            f"{policy['metadata']['name']}: {direction} is not among its policyTypes"
            for direction in ("ingress", "egress")
            if spec.get(direction) and direction.capitalize() not in spec["policyTypes"]
        ]
        if spec["podSelector"] == {} and spec.get("egress"):
            ports = {port["port"] for rule in spec["egress"] for port in rule.get("ports", [{"port": ANY_PORT}])}
            if ports != {53}:
                faults.append(f"{policy['metadata']['name']}: allows all pods to reach {ports}")
        if {} in spec.get("ingress", []):
            faults.append(f"{policy['metadata']['name']}: allows all traffic to all pods")
    return faults
