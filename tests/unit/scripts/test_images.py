"""The command that builds, pushes and loads images, on an engine that only notes what it is told."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

MANIFEST = """\
metadata: {name: everybody-dance-training, namespace: everybody-dance}
spec:
  containers:
    - name: pose
      image: everybody-dance/pose:0.0.9
    - image: "everybody-dance/triton-cpu:0.1.0"
    - {name: other, image: prom/prometheus:v3.0.0}
"""
KUSTOMIZATION = """\
namespace: everybody-dance
images:
  - name: everybody-dance/triton
    newName: everybody-dance/triton-cpu
"""


@pytest.fixture
def images(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module; docker is there, podman and buildah are not."""
    spec = importlib.util.spec_from_file_location("images_script", root / "scripts" / "images.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.shutil, "which", lambda program: "/usr/bin/docker" if program == "docker" else None)
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project of version 0.1.0 with two manifests."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.1.0"\n')
    for folder, name, text in (
        ("deploy", "30-pose.yaml", MANIFEST),
        ("overlays/cpu-only", "Kustomization", KUSTOMIZATION),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_text(text)
    return tmp_path


@pytest.fixture
def told() -> list[list[str]]:
    """What the engine was told."""
    return []


def test_push_builds_pushes_and_names_the_images_in_the_manifests(images, checkout, told):
    """One command; other images, and what only looks like one, stay as they are."""
    registry = "registry.example:5000/me"
    assert (
        images.main(["push", "pose", "--registry", f"{registry}/"], lambda words: told.append(list(words)), checkout)
        == 0
    )
    there = f"{registry}/everybody-dance-pose:0.1.0"
    assert [words[1] for words in told] == ["build", "tag", "push"]
    assert told[0][-5:] == ["--file", "services/pose/Dockerfile", "--tag", "everybody-dance/pose:0.1.0", "."]
    assert told[1:] == [["docker", "tag", "everybody-dance/pose:0.1.0", there], ["docker", "push", there]]
    manifest = (checkout / "deploy" / "30-pose.yaml").read_text()
    assert f"image: {there}\n" in manifest
    assert f'image: "{registry}/everybody-dance-triton-cpu:0.1.0"\n' in manifest
    assert "{name: everybody-dance-training, namespace: everybody-dance}" in manifest
    assert "image: prom/prometheus:v3.0.0" in manifest
    kustomization = (checkout / "overlays" / "cpu-only" / "Kustomization").read_text()
    assert f"name: {registry}/everybody-dance-triton\n" in kustomization
    assert f"newName: {registry}/everybody-dance-triton-cpu\n" in kustomization


@pytest.mark.parametrize("registry", ["localhost:5000", "docker.io/somebody", "registry.example/a/b-c/d_e"])
def test_names_are_set_again_and_taken_back(images, checkout, registry):
    """The same registry changes nothing, another one takes its place, and none brings the first names back."""
    before = [path.read_text().replace("0.0.9", "0.1.0") for path in images.manifests(checkout)]
    assert len(images.set_names(checkout, "0.1.0", registry)) == 2
    assert images.set_names(checkout, "0.1.0", registry) == []
    assert len(images.set_names(checkout, "0.1.0", "other.example/team")) == 2
    assert all(registry not in path.read_text() for path in images.manifests(checkout))
    assert images.main(["names"], root=checkout) == 0
    assert [path.read_text() for path in images.manifests(checkout)] == before


@pytest.mark.parametrize(
    ("command", "loads"),
    [(["load-kind", "--cluster", "here"], ["kind", "load", "image-archive"]), (["load-k3s"], ["k3s", "ctr"])],
)
def test_every_image_is_loaded_into_a_cluster(images, checkout, told, command, loads):
    """Each is saved, loaded and thrown away again."""
    assert images.main(command, lambda words: told.append(list(words)), checkout) == 0
    assert [words[:2] for words in told[::2]] == [["docker", "save"]] * len(images.DOCKERFILES)
    assert all(words[: len(loads)] == loads for words in told[1::2])
    assert not any(Path(words[3]).exists() for words in told[::2])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["build", "nose"], "there is no image nose; there are: pose, normalize"),
        (["push", "--registry", "https://registry.example"], "--registry 'https://registry.example' is none"),
        (["push", "--registry", "registry.example/Me"], "expected host[:port][/path] in small letters"),
        (["push", "--registry", ""], "--registry '' is none"),
        (["build", "--engine", "podman"], "podman is not installed"),
    ],
)
def test_mistakes_are_told_before_anything_is_done(images, checkout, told, capsys, words, said):
    """In one line."""
    assert images.main(words, lambda words: told.append(list(words)), checkout) == 1
    assert said in capsys.readouterr().err
    assert told == []


def test_a_build_that_fails_is_one_line(images, checkout, capsys):
    """And nothing is pushed, or named, after it."""

    def fails(words: Sequence[str]) -> None:
        raise images.Mistake("`docker build ...` ended with exit code 1")

    assert images.main(["push", "--registry", "registry.example"], fails, checkout) == 1
    assert capsys.readouterr().err == "error: `docker build ...` ended with exit code 1\n"
    assert "everybody-dance/pose:0.0.9" in (checkout / "deploy" / "30-pose.yaml").read_text()
