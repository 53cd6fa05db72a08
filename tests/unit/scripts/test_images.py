"""The command that builds, pushes and loads images, with an engine that only records its commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts import images

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


@pytest.fixture(autouse=True)
def only_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """docker is installed; podman and buildah are not."""
    monkeypatch.setattr("shutil.which", lambda program: "/usr/bin/docker" if program == "docker" else None)


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
def commands() -> list[list[str]]:
    """The commands that the engine received."""
    return []


def test_push_builds_pushes_and_names_the_images_in_the_manifests(checkout, commands):
    """`push` does all of it; other images, and names that only look like one of ours, stay."""
    registry = "registry.example:5000/me"
    words = ["push", "pose", "--registry", f"{registry}/"]
    assert images.main(words, lambda command: commands.append(list(command)), checkout) == 0
    there = f"{registry}/everybody-dance-pose:0.1.0"
    assert [words[1] for words in commands] == ["build", "tag", "push"]
    assert {"--build-arg=EXTRAS=pose", "--build-arg=VERSION=0.1.0"} <= set(commands[0])
    assert commands[0][-5:] == ["--target", "pose", "--tag", "everybody-dance/pose:0.1.0", "."]
    assert commands[1:] == [["docker", "tag", "everybody-dance/pose:0.1.0", there], ["docker", "push", there]]
    manifest = (checkout / "deploy" / "30-pose.yaml").read_text()
    assert f"image: {there}\n" in manifest
    assert f'image: "{registry}/everybody-dance-triton-cpu:0.1.0"\n' in manifest
    assert "{name: everybody-dance-training, namespace: everybody-dance}" in manifest
    assert "image: prom/prometheus:v3.0.0" in manifest
    kustomization = (checkout / "overlays" / "cpu-only" / "Kustomization").read_text()
    assert f"name: {registry}/everybody-dance-triton\n" in kustomization
    assert f"newName: {registry}/everybody-dance-triton-cpu\n" in kustomization


@pytest.mark.parametrize("registry", ["localhost:5000", "docker.io/me", "registry.example/a/b-c/d_e"])
def test_names_can_be_replaced_and_restored(checkout, registry):
    """The same registry changes nothing, another one replaces it, and none restores the plain names."""
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
def test_every_image_is_loaded_into_a_cluster(checkout, commands, command, loads):
    """Each image is saved, loaded and deleted again."""
    assert images.main(command, lambda words: commands.append(list(words)), checkout) == 0
    assert [words[:2] for words in commands[::2]] == [["docker", "save"]] * len(images.EXTRAS)
    assert all(words[: len(loads)] == loads for words in commands[1::2])
    assert not any(Path(words[3]).exists() for words in commands[::2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "nose"], "unknown image nose; the images are pose, normalize"),
        (["push", "--registry", "https://registry.example"], "--registry 'https://registry.example' is invalid"),
        (["push", "--registry", "registry.example/Me"], "expected host[:port][/path] in lower case"),
        (["push", "--registry", ""], "--registry '' is invalid"),
        (["build", "--engine", "podman"], "podman is not installed"),
    ],
)
def test_mistakes_are_reported_before_anything_is_done(checkout, commands, capsys, words, message):
    """The command prints one line and runs nothing."""
    assert images.main(words, lambda words: commands.append(list(words)), checkout) == 1
    assert message in capsys.readouterr().err
    assert commands == []


def test_a_build_that_fails_is_one_line(checkout, capsys):
    """After a failed build, nothing is pushed and no manifest changes."""

    def fails(words: Sequence[str]) -> None:
        raise images.Mistake("`docker build ...` failed with exit code 1")

    assert images.main(["push", "--registry", "registry.example"], fails, checkout) == 1
    assert capsys.readouterr().err == "error: `docker build ...` failed with exit code 1\n"
    assert "everybody-dance/pose:0.0.9" in (checkout / "deploy" / "30-pose.yaml").read_text()
