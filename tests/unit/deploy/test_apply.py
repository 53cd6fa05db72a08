"""`kubectl apply -f deploy/`, once and again, against a stand-in for the API server."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.deploy.api_server import ApiServer, serving
from tests.unit.deploy.manifests import DEPLOY, ROOT, applied, called

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: see docs/deploy.md")


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """An API server without any documents."""
    with serving() as api:
        yield api


def kubectl(api: ApiServer, home: Path, *words: str | Path) -> list[str]:
    """Run kubectl in `home` and return its output lines."""
    command = ["kubectl", "--server", api.url, "--cache-dir", str(home / "cache"), *map(str, words)]
    environment = {**os.environ, "HOME": str(home), "KUBECONFIG": str(home / "none")}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def apply(api: ApiServer, what: Path, home: Path) -> list[str]:
    """Return kubectl's output lines: kind, name and action."""
    return kubectl(api, home, "apply", "--validate=false", "-f", what)


@pytest.mark.slow
def test_applying_twice_changes_nothing(api: ApiServer, tmp_path: Path):
    """The first run creates everything in a working order; the second run finds nothing to do.

    PodDisruptionBudgets are the exception: kubectl replaces their selectors as a whole, so it sends them again.
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
def test_a_spurious_difference_would_be_seen(api: ApiServer, tmp_path: Path, name: str, old: str, new: str):
    """Values that the server rewrites, or adds to a list that is replaced as a whole, differ each time."""
    assert name in map(called, applied())
    for path in DEPLOY.glob("*.yaml"):
        if old in (text := path.read_text()) and name.partition("/")[0] in text:
            (tmp_path / "one.yaml").write_text(text.replace(old, new))
    apply(api, tmp_path / "one.yaml", tmp_path)
    apply(api, tmp_path / "one.yaml", tmp_path)
    changed = {path.rpartition("/")[2] for path, _ in api.patches if "/poddisruptionbudgets/" not in path}
    assert changed == {name.partition("/")[2]}


OPTIONAL = sorted({path.parent for path in (DEPLOY / "optional").rglob("*.yaml")} - {DEPLOY / "optional"})


@pytest.mark.parametrize("folder", OPTIONAL, ids=lambda folder: folder.name)
def test_applying_optional_files_twice_changes_nothing(api: ApiServer, tmp_path: Path, folder: Path):
    """kubectl replaces whole lists in custom resources, so the manifests write out the defaults of their items."""
    assert {line.rpartition(" ")[2] for line in apply(api, folder, tmp_path)} == {"created"}
    assert {line.rpartition(" ")[2] for line in apply(api, folder, tmp_path)} == {"unchanged"}, api.patches


def kept(api: ApiServer) -> set[str]:
    """Return the remaining documents of deploy/, as kind/name."""
    return {called(document) for document in api.stored.values()}


def removing() -> list[str]:
    """Return the command in docs/deploy.md that removes everything except the data."""
    (line,) = re.findall(r"^kubectl (delete -f deploy/ .*?)(?: +#.*)?$", (ROOT / "docs/deploy.md").read_text(), re.M)
    return shlex.split(line)


DATA = {"Namespace/everybody-dance", "PersistentVolumeClaim/actors", "PersistentVolumeClaim/footage"}


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A folder whose deploy/ has only a few of our files, because kubectl takes a second for thirty."""
    (tmp_path / "deploy").mkdir()
    for name in ("00-namespace.yaml", "15-volumes.yaml", "25-normalize.yaml"):
        shutil.copy(DEPLOY / name, tmp_path / "deploy")
    return tmp_path


def test_removing_the_deployment_keeps_actors_and_footage(api: ApiServer, part: Path):
    """The documented command keeps the volumes, and applying again finds them."""
    made = apply(api, part / "deploy", part)
    assert kept(api) > DATA
    kubectl(api, part, *removing())
    assert kept(api) == DATA
    again = apply(api, part / "deploy", part)
    assert len(again) == len(made)
    assert sum(line.endswith(" unchanged") for line in again) == len(DATA)
    assert sum(line.endswith(" created") for line in again) == len(made) - len(DATA)


def test_without_the_selector_everything_goes(api: ApiServer, part: Path):
    """Deleting deploy/ deletes the volumes, as docs/deploy.md warns."""
    apply(api, part / "deploy", part)
    kubectl(api, part, "delete", "--ignore-not-found", "-f", "deploy/")
    assert kept(api) == set()


def test_the_data_and_nothing_else_is_kept():
    """Only the data in deploy/ has the label that the documented command excludes."""
    (selector,) = [word for word in removing() if word.startswith("!")]
    labelled = {called(d) for d in applied() if selector[1:] in d["metadata"].get("labels", {})}
    assert labelled == DATA
