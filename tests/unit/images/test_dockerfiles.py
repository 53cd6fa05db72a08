"""Each image contains exactly what its process needs, and is locked down."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

from client.cluster import job_template
from orchestrator.settings import OrchestratorSettings
from scripts.images import EXTRAS
from services.face.settings import FaceSettings
from services.generator.settings import GeneratorSettings
from services.normalize.settings import NormalizeSettings
from services.pose.mediapipe.model_files import ALL_FILES, BROWSER_FILES
from services.pose.settings import PoseSettings
from serving.process.settings import from_environment
from serving.rpc.server import VERSION
from tests.unit.images.dockerfiles import Dockerfile, imported_files
from web.browser_pose import bundle
from web.dances.clips import sample_dances
from web.settings import WebSettings

ENTRIES = {
    "pose": "services.pose.__main__",
    "normalize": "services.normalize.__main__",
    "face": "services.face.__main__",
    "orchestrator": "orchestrator.__main__",
    "agent": "services.generator.__main__",
    "triton": "services.generator.model",
    "triton-cpu": "services.generator.__main__",
    "training": "training.__main__",
    "web": "web.__main__",
}
SETTINGS = {
    "pose": (PoseSettings, "POSE_", 50052),
    "normalize": (NormalizeSettings, "NORMALIZE_", 50053),
    "face": (FaceSettings, "FACE_", 50054),
    "orchestrator": (OrchestratorSettings, "ORCHESTRATOR_", 50050),
    "agent": (GeneratorSettings, "GENERATOR_", 50055),
    "triton-cpu": (GeneratorSettings, "GENERATOR_", 50055),
    "web": (WebSettings, "WEB_", 8080),
}


@pytest.fixture(params=EXTRAS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of an image."""
    return str(request.param)


@pytest.fixture
def dockerfile(root: Path, name: str) -> Dockerfile:
    """The instructions of the image."""
    return Dockerfile(root, name)


def test_build_and_image_have_the_same_base_with_an_exact_tag(dockerfile: Dockerfile):
    """One argument names both bases, so the virtual environment finds the Python that made it."""
    assert dockerfile.stages["build"][0] == ("FROM", "${BASE} AS build")
    assert dockerfile.origin == "${BASE}"
    assert dockerfile.base in ("python:3.11-slim-bookworm", "nvcr.io/nvidia/tritonserver:26.04-py3")


def test_only_what_the_process_needs_is_installed_in_tested_versions(root: Path, name: str, dockerfile: Dockerfile):
    """The build installs the extras of the image at locked versions; the image has no compiler and no pip."""
    known = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS[name].split(",")) <= set(known)
    assert ("ARG", "EXTRAS") in dockerfile.stages["build"]
    builds = " ".join(rest for word, rest in dockerfile.stages["build"] if word == "RUN")
    assert "PIP_CONSTRAINT=/app/requirements.lock" in builds
    assert '--editable ".[${EXTRAS:?' in builds
    assert "--from=build /opt/venv /opt/venv" in dockerfile.all("COPY")
    shipped = " ".join(dockerfile.all("RUN"))
    assert not re.search(r"\b(pip|gcc|g\+\+|build-essential|python3?-dev|curl|git)\b", shipped)


def test_an_image_has_mediapipes_networks_without_its_wheel(root: Path, name: str, dockerfile: Dockerfile):
    """Images that estimate poses copy exactly the files that the engine reads, and the licence; none has the wheel."""
    networks = [rest for rest in dockerfile.all("COPY") if "networks " in rest]
    if name == "web":  # its visitors' browsers estimate
        folder = "/opt/venv/lib/python3.11/site-packages/mediapipe"
        assert networks == [f"--from=browser-networks /browser-networks {folder}"]
    elif name not in ("pose", "training"):
        assert not networks
    else:
        assert networks == ["--from=networks /networks /opt/venv/lib/python3.11/site-packages/mediapipe"]
        ((_, fetched),) = [one for one in dockerfile.stages["networks"] if one[0] == "RUN"]
        assert sorted(re.findall(r"\S+\.tflite", fetched)) == sorted(file.path for file in ALL_FILES)
        assert "--no-deps --constraint requirements.lock" in fetched
        assert "/wheel/mediapipe-*.dist-info/LICENSE /networks/LICENSE" in fetched
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = EXTRAS[name].split(",")
    for extra in wanted:
        wanted += [other for one in extras[extra] for other in re.findall(r"everybody-dance\[(\w+)\]", one)]
    assert not any(one.startswith(("mediapipe", "opencv-contrib")) for extra in wanted for one in extras[extra])


def test_the_page_has_all_its_files(root: Path):
    """Its image has every static file, the pose finder's program, the sample dances and the Job that trains."""
    dockerfile = Dockerfile(root, "web")
    wanted = [bundle.FOLDER / name for name in bundle.PROGRAM]
    wanted += [job_template.TEMPLATE, *(sample.path for sample in sample_dances().values())]
    wanted += [path for path in (root / "web" / "page").rglob("*") if path.is_file()]
    ignored = re.compile(r"(^|/)(README\.md|Dockerfile[^/]*|[^/]*\.pyc)$")
    for path in wanted:
        name = path.relative_to(root).as_posix()
        assert any(name == source or name.startswith(f"{source}/") for source in dockerfile.copied), name
        assert not ignored.search(name) or path.name == "README.md", name


def test_browsers_get_exactly_the_networks_that_they_read(root: Path):
    """The stage for the page's image has them and their licence, from the same wheel."""
    (origin, (_, fetched)) = Dockerfile(root, "pose").stages["browser-networks"]
    assert origin == ("FROM", "networks AS browser-networks")
    assert sorted(re.findall(r"\w+/\w+\.(?:tflite|txt)", fetched)) == sorted(file.path for file in BROWSER_FILES)
    assert "/networks/LICENSE /browser-networks/LICENSE" in fetched


def test_everything_that_is_imported_is_copied(root: Path, name: str, dockerfile: Dockerfile):
    """The image contains the process's module, the health command, and every file of ours that they import."""
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
    """Every copied path exists, and .dockerignore lets it in."""
    lines = (root / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    for source in [*dockerfile.copied, "pyproject.toml", "requirements.lock"]:
        assert (root / source).exists()
        assert any(source == one or source.startswith(f"{one}/") for one in allowed), source
    assert "*" in lines
    assert not any(fnmatch.fnmatch(secret, one) for secret in ("actors", "work", "out", ".git") for one in allowed)


def test_no_image_runs_as_root_or_writes_bytecode(dockerfile: Dockerfile):
    """The last user is numeric, so a cluster can check it, and the build has compiled the bytecode."""
    assert dockerfile.all("USER")[-1] == "10001:10001"
    words = [word for word, _ in dockerfile.own]
    assert "RUN" not in words[len(words) - words[::-1].index("USER") :]
    assert dockerfile.environment["HOME"] == "/tmp"
    assert dockerfile.environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert any("compileall" in rest for rest in dockerfile.all("RUN"))


def test_an_image_has_labels_and_a_health_command(name: str, dockerfile: Dockerfile):
    """Every image has the labels of the Open Container Initiative, and a health command unless it is a job."""
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', " ".join(dockerfile.all("LABEL"))))
    assert labels["title"].startswith("Everybody Dance")
    assert labels["description"]
    assert labels["licenses"] == "Apache-2.0"
    assert (labels["version"], labels["revision"]) == ("${VERSION}", "${REVISION}")
    assert f"VERSION={VERSION}" in dockerfile.all("ARG")
    health = dockerfile.all("HEALTHCHECK")[-1]
    assert health == "NONE" if name == "training" else '["python", "-m", "serving.rpc.health_probe", ' in health


@pytest.mark.parametrize("served", SETTINGS)
def test_the_settings_of_an_image_are_settings(root: Path, served: str):
    """The process can read the image's environment, and the image exposes exactly the ports that it sets."""
    settings, prefix, port = SETTINGS[served]
    dockerfile = Dockerfile(root, served)
    read = from_environment(settings, prefix, {**dockerfile.environment, f"{prefix}INSECURE": "true"})
    assert (read.host, read.port, read.health_port, read.metrics_port) == ("0.0.0.0", port, 9090, 9464)
    (exposed,) = dockerfile.all("EXPOSE")
    ports = {value for key, value in dockerfile.environment.items() if key.startswith(prefix) and key.endswith("PORT")}
    assert set(exposed.split()) == ports
