"""Each image holds what its process needs, nothing that it does not, and is closed."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

from orchestrator.settings import OrchestratorSettings
from services.face.settings import FaceSettings
from services.generator.settings import GeneratorSettings
from services.normalize.settings import NormalizeSettings
from services.pose.settings import PoseSettings
from serving.process.settings import from_environment
from serving.rpc.server import VERSION
from tests.unit.images.dockerfiles import DOCKERFILES, Dockerfile, imported_files

EXTRAS = {
    "pose": ["pose"],
    "normalize": ["normalize"],
    "face": ["face"],
    "orchestrator": ["orchestrator"],
    "agent": ["generator"],
    "triton": ["generator", "gpu"],
    "triton-cpu": ["generator", "triton"],
    "training": ["training"],
}
ENTRIES = {
    "pose": "services.pose.__main__",
    "normalize": "services.normalize.__main__",
    "face": "services.face.__main__",
    "orchestrator": "orchestrator.__main__",
    "agent": "services.generator.__main__",
    "triton": "services.generator.model",
    "triton-cpu": "services.generator.__main__",
    "training": "training.__main__",
}
SETTINGS = {
    "pose": (PoseSettings, "POSE_", 50052),
    "normalize": (NormalizeSettings, "NORMALIZE_", 50053),
    "face": (FaceSettings, "FACE_", 50054),
    "orchestrator": (OrchestratorSettings, "ORCHESTRATOR_", 50050),
    "agent": (GeneratorSettings, "GENERATOR_", 50055),
    "triton-cpu": (GeneratorSettings, "GENERATOR_", 50055),
}


@pytest.fixture(params=DOCKERFILES)
def name(request: pytest.FixtureRequest) -> str:
    """Of an image."""
    return str(request.param)


@pytest.fixture
def dockerfile(root: Path, name: str) -> Dockerfile:
    """Its Dockerfile."""
    return Dockerfile(root / DOCKERFILES[name])


def test_both_stages_have_a_base_with_an_exact_tag(dockerfile: Dockerfile):
    """One argument names it for both, so that a virtual environment finds the Python that it was made with."""
    stages = [rest for word, rest in dockerfile.instructions if word == "FROM"]
    assert stages == ["${BASE} AS build", "${BASE}"]
    assert dockerfile.base in ("python:3.11-slim-bookworm", "nvcr.io/nvidia/tritonserver:26.04-py3")


def test_only_what_the_process_needs_is_installed_in_tested_versions(root: Path, name: str, dockerfile: Dockerfile):
    """The extra of the process, and no compiler or pip in what is shipped."""
    assert dockerfile.extras == EXTRAS[name]
    known = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(dockerfile.extras) <= set(known)
    builds = " ".join(rest for word, rest in dockerfile.instructions if word == "RUN")
    assert "PIP_CONSTRAINT=/app/requirements.lock" in builds
    shipped = " ".join(dockerfile.all("RUN"))
    assert not re.search(r"\b(pip|gcc|g\+\+|build-essential|python3?-dev|curl|git)\b", shipped)


def test_everything_that_is_imported_is_copied(root: Path, name: str, dockerfile: Dockerfile):
    """The process's module and the health command, with all of ours that they import, down to the last file."""
    needed = imported_files(root, ENTRIES[name], "serving.rpc.health_probe")
    if not (root / ENTRIES[name].replace(".", "/")).with_suffix(".py").is_file():
        needed |= imported_files(root, "training.job")
    assert len(needed) > 10
    for path in needed:
        if path.startswith("services/") and name == "training" and path.count("/") == 1:
            continue
        covered = any(path == source or path.startswith(f"{source}/") for source in dockerfile.copied)
        assert covered, f"{path} is not copied"


def test_what_is_copied_is_there_and_not_ignored(root: Path, dockerfile: Dockerfile):
    """The list of what may enter an image lets it in."""
    lines = (root / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    for source in [*dockerfile.copied, "pyproject.toml", "requirements.lock"]:
        assert (root / source).exists()
        assert any(source == one or source.startswith(f"{one}/") for one in allowed), source
    assert "*" in lines
    assert not any(fnmatch.fnmatch(secret, one) for secret in ("actors", "work", "out", ".git") for one in allowed)


def test_nobody_is_root_and_nothing_is_written(dockerfile: Dockerfile):
    """The last word on users is ours, without a name that a cluster could not check; bytecode is there already."""
    assert dockerfile.all("USER")[-1] == "10001:10001"
    words = [word for word, _ in dockerfile.last_stage]
    assert "RUN" not in words[len(words) - words[::-1].index("USER") :]
    assert dockerfile.environment["HOME"] == "/tmp"
    assert dockerfile.environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert any("compileall" in rest for rest in dockerfile.all("RUN"))


def test_an_image_says_what_it_is_and_how_it_is(name: str, dockerfile: Dockerfile):
    """Labels of the Open Container Initiative, and a health command; a job has none."""
    (labels,) = dockerfile.all("LABEL")
    said = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', labels))
    assert said["title"].startswith("Everybody Dance")
    assert said["description"]
    assert said["licenses"] == "Apache-2.0"
    assert (said["version"], said["revision"]) == ("${VERSION}", "${REVISION}")
    assert f"VERSION={VERSION}" in dockerfile.all("ARG")
    (health,) = dockerfile.all("HEALTHCHECK")
    assert health == "NONE" if name == "training" else '["python", "-m", "serving.rpc.health_probe", ' in health


@pytest.mark.parametrize("served", SETTINGS)
def test_the_settings_of_an_image_are_settings(root: Path, served: str):
    """They are read as the process reads them, and its ports are those that the image exposes."""
    settings, prefix, port = SETTINGS[served]
    dockerfile = Dockerfile(root / DOCKERFILES[served])
    read = from_environment(settings, prefix, {**dockerfile.environment, f"{prefix}INSECURE": "true"})
    assert (read.host, read.port, read.health_port, read.metrics_port) == ("0.0.0.0", port, 9090, 9464)
    (exposed,) = dockerfile.all("EXPOSE")
    ports = {value for key, value in dockerfile.environment.items() if key.startswith(prefix) and key.endswith("PORT")}
    assert set(exposed.split()) == ports
