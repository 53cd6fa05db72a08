"""`kubectl apply -f deploy/`, the first time and again, against a stand-in for the API server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.deploy.api_server import ApiServer, serving
from tests.unit.deploy.manifests import DEPLOY, applied, called

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl: see docs/deploy.md")


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """Nothing has been applied to it."""
    with serving() as api:
        yield api


def apply(api: ApiServer, what: Path, home: Path) -> list[str]:
    """What kubectl says: kind, name and what was done, a line each."""
    command = ["kubectl", "apply", "--server", api.url, "--validate=false", "--cache-dir", str(home / "cache"), "-f"]
    environment = {**os.environ, "HOME": str(home), "KUBECONFIG": str(home / "none")}
    ended = subprocess.run(
        [*command, str(what)], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_applying_twice_changes_nothing(api: ApiServer, tmp_path: Path):
    """The first time makes everything, in an order that works; the second time finds nothing to do.

    But for PodDisruptionBudgets: kubectl replaces their selectors as a whole, and sends what is there already.
    """
    first = apply(api, DEPLOY, tmp_path)
    assert {line.rpartition(" ")[2] for line in first} == {"created"}
    assert len(first) == len(applied())
    again = apply(api, DEPLOY, tmp_path)
    budgets = [line for line in again if line.startswith("poddisruptionbudget.policy/")]
    assert {line.rpartition(" ")[2] for line in again if line not in budgets} == {"unchanged"}, api.patches
    assert len(again) == len(first)
    for path, patch in api.patches:
        assert path.startswith("/apis/policy/v1/")
        assert patch == {"spec": {"selector": api.stored[path]["spec"]["selector"]}}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("Deployment/pose", "memory: 4Gi", "memory: 4096Mi"),
        ("NetworkPolicy/dns", "{ protocol: TCP, port: 53 }", "{ port: 53 }"),
    ],
)
def test_a_change_that_is_none_would_be_seen(api: ApiServer, tmp_path: Path, name: str, old: str, new: str):
    """What the server writes in another way, or adds to a list that is replaced as a whole, comes back each time."""
    assert name in map(called, applied())
    for path in DEPLOY.glob("*.yaml"):
        if old in (text := path.read_text()) and name.partition("/")[0] in text:
            (tmp_path / "one.yaml").write_text(text.replace(old, new))
    apply(api, tmp_path / "one.yaml", tmp_path)
    apply(api, tmp_path / "one.yaml", tmp_path)
    changed = {path.rpartition("/")[2] for path, _ in api.patches if "/poddisruptionbudgets/" not in path}
    assert changed == {name.partition("/")[2]}
