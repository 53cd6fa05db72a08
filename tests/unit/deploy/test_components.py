"""Components of overlays build together in any order, with the same result."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import chain, combinations, permutations
from pathlib import Path

import pytest
import yaml

from tests.unit.deploy.manifests import OVERLAYS, Document, called
from tests.unit.deploy.test_manifests import RULES

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: see docs/deploy.md")

# The largest valid sets; every subset is valid, too. Components without a common set contradict each other: two numbers
# of GPUs, a GPU share without a GPU, a fixed number of autoscaled replicas, an autoscaler without our Prometheus.
TOGETHER = (
    ("one-node", "tls", "external-prometheus", "several-gpus"),
    ("one-node", "tls", "external-prometheus", "time-sliced-gpu"),
    ("one-node", "cpu-only", "tls", "external-prometheus", "several-gpus"),
    ("autoscaled", "cpu-only", "tls"),
    ("two-cores", "tls", "external-prometheus"),
    ("makes-actors", "one-node", "cpu-only", "tls"),
)


def built(folder: Path, components: tuple[str, ...]) -> list[Document]:
    """Return what an overlay of these components makes, sorted."""
    up = Path(os.path.relpath(OVERLAYS, folder))
    needed = {"tls": "cert-manager", "autoscaled": "hpa"}
    optional = [f"optional/{needed[name]}" for name in sorted(needed) if name in components]
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [str(up.parent / "deploy" / part) for part in ("", *optional)],
        "components": [str(up / "components" / name) for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document))
    ended = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), f"{components}: {ended.stderr}"
    return sorted(yaml.load_all(ended.stdout, Loader=yaml.CSafeLoader), key=called)


def parts() -> Iterator[tuple[str, ...]]:
    """Return every valid combination of components once."""
    for size in range(1, 6):
        yield from sorted(set(chain.from_iterable(combinations(sorted(together), size) for together in TOGETHER)))


def test_the_sets_contain_every_component():
    """The combinations contain every component and no others."""
    assert set(chain.from_iterable(TOGETHER)) == {path.name for path in (OVERLAYS / "components").iterdir()}


@pytest.mark.parametrize("components", TOGETHER, ids="+".join)
def test_forwards_and_backwards_is_the_same(components: tuple[str, ...], tmp_path: Path):
    """Every two components appear in both orders."""
    forwards = built(tmp_path, components)
    assert built(tmp_path, components[::-1]) == forwards
    assert [fault for rule in RULES for fault in rule(forwards)] == []


@pytest.mark.slow
@pytest.mark.parametrize("components", list(parts()), ids="+".join)
def test_every_order_of_every_part_is_the_same(components: tuple[str, ...], tmp_path: Path):
    """Every combination gives the same result in every order and satisfies every rule."""
    first = built(tmp_path, components)
    for order in permutations(components):
        assert built(tmp_path, order) == first, order
    assert [fault for rule in RULES for fault in rule(first)] == []
