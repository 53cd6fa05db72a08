"""The overlays build on exactly what `kubectl apply -f deploy/` applies."""

from __future__ import annotations

import pytest

from tests.unit.deploy.manifests import (
    DEPLOY,
    OVERLAYS,
    ROOT,
    applied,
    called,
    deployment,
    files_of_deploy,
    kustomized,
    overlays,
    read,
)


def test_the_base_lists_every_file():
    """The Kustomization lists every file that `-f deploy/` applies, so no overlay misses one."""
    (base,) = read(DEPLOY / "Kustomization")
    assert base["resources"] == [path.name for path in files_of_deploy()]


def test_both_ways_apply_the_same():
    """`kubectl apply -f deploy/` and `kubectl apply -k deploy/` apply the same documents."""
    assert sorted(kustomized(DEPLOY), key=called) == sorted(applied(), key=called)


@pytest.mark.parametrize("folder", sorted(path.parent for path in (DEPLOY / "optional").rglob("Kustomization")))
def test_optional_files_are_listed_too(folder):
    """A Kustomization in deploy/optional lists all manifests of its folder."""
    (listed,) = read(folder / "Kustomization")
    there = {path.name for path in folder.glob("*.yaml")}
    assert set(listed["resources"]) == there


def test_every_variation_is_used_and_says_what_it_is():
    """Each component is in an overlay, and each overlay starts with the command that applies it."""
    used = set()
    for name in overlays():
        path = OVERLAYS / name / "kustomization.yaml"
        assert path.read_text().startswith(f"# kubectl apply -k overlays/{name}: ")
        (overlay,) = read(path)
        assert overlay["resources"][0] == "../../deploy"
        used |= {component.rpartition("/")[2] for component in overlay["components"]}
    assert used == {path.name for path in (OVERLAYS / "components").iterdir()}


@pytest.mark.parametrize("name", overlays())
def test_an_overlay_changes_something(name: str):
    """Every patch has a target; a patch with a renamed target would silently do nothing."""
    assert deployment(name) != deployment("deploy")
    for component in read(OVERLAYS / name / "kustomization.yaml")[0]["components"]:
        folder = (OVERLAYS / name / component).resolve()
        for patch in read(folder / "kustomization.yaml")[0].get("patches", []):
            patched = _targets(folder, patch)
            left = {called(document) for document in [*applied(), *deployment(name)]}
            assert patched <= left, f"{name}: {patched - left} is patched, but is not there"


def _targets(folder, patch) -> set[str]:
    target = patch.get("target", {})
    if "name" in target:
        return {f"{target['kind']}/{name}" for name in target["name"].split("|")}
    if "path" in patch:
        return {called(document) for document in read(folder / patch["path"])}
    return set()


def test_the_readme_describes_every_file(root):
    """deploy/README.md describes every file."""
    text = (ROOT / "deploy" / "README.md").read_text()
    files = [path for path in DEPLOY.rglob("*") if path.suffix == ".yaml" and "dashboards" not in path.parts]
    missing = [path.relative_to(DEPLOY).as_posix() for path in files if f"`{_shown(path)}`" not in text]
    missing += [name for name in overlays() if f"`overlays/{name}`" not in text]
    assert missing == []


def _shown(path) -> str:
    relative = path.relative_to(DEPLOY)
    return relative.as_posix()
