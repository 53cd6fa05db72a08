"""Every image builds, and its process handles a frame as the user that Kubernetes runs it as.

Each build takes minutes and some gigabytes of disk; `-k normalize` builds one image. The base is made again each time,
unless DANCE_IMAGES_STORE names a folder that keeps it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from client.local_stack.processes import ManagedProcess, ProcessSpec
from services.generator.triton.process import TritonPorts, TritonServer
from serving.actors.store import ActorStore
from tests.faults.dancer import dance, pictures_of
from tests.faults.deployment import HOST, START_SECONDS, Deployment, free_ports
from tests.images.buildah import Buildah, missing
from tests.pipeline.chain import publish_actor, stack_of
from tests.pipeline.web.gateway import Visitor
from tests.tiny_actors import publish_tiny
from tests.unit.images.dockerfiles import Dockerfile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(missing() != "", reason=f"images cannot be built here: {missing()}"),
]

OURS = "docker.io/library/python:3.11-slim-bookworm"
FRAMES = 6
DANCE_SECONDS = 300.0
UID = 10001
PROCESSES = {
    "pose": "pose", "normalize": "normalize", "face": "face", "triton-cpu": "generator", "orchestrator": "orchestrator",
}  # fmt: skip
"""The process of a deployment that each image replaces."""

DRAWS = """\
import sys
from pathlib import Path
import numpy as np
import torch
from dance.v1 import frame_pb2
from services.generator.actor_network import Painter
from serving.actors.store import ActorStore
actor = ActorStore(Path(sys.argv[1])).load("tiny")
blank = np.full((actor.crop.out_height_px, actor.crop.out_width_px, 3), 255, np.uint8)
(painted,) = Painter.open(actor, device="cpu", threads=1, precision="f32").paint([(blank, blank)])
print("drew", painted.frame.shape, torch.__version__)
"""
TRAINS = """\
import sys
from pathlib import Path
from training.job import JobSettings, train_actor
from training.presets import quick_256
clip, work = Path(sys.argv[1]), Path(sys.argv[2])
stores = {"store_root": work / "a", "work_root": work / "w"}
asked = {"pictures": 2, "consent": "drawn by ourselves", "footage_anyway": True}
published = train_actor(JobSettings(footage=clip, actor="inside", preset=quick_256(), **asked, **stores))
print("published", published.id, published.version)
"""


@pytest.fixture(scope="module")
def store() -> Iterator[Buildah]:
    """A store that contains the base. It is removed at the end, unless DANCE_IMAGES_STORE names a folder for it."""
    kept = os.environ.get("DANCE_IMAGES_STORE")
    buildah = Buildah(Path(kept or tempfile.mkdtemp(prefix="dance-images-")))
    try:
        if not buildah.has(OURS):
            buildah.make_base(OURS)
        yield buildah
    finally:
        if not kept:
            buildah.remove()


@dataclass
class Built:
    """An image, a container of it, and a folder that the user inside can read."""

    store: Buildah
    name: str
    dockerfile: Dockerfile
    container: str
    folder: Path

    @property
    def writable(self) -> Path:
        """A folder that the user inside can write."""
        path = self.folder / "writable"
        path.mkdir(exist_ok=True)
        path.chmod(0o777)
        return path

    def command(self, *words: str, environment: Mapping[str, str] | None = None) -> list[str]:
        """Return the command line that runs `words` inside."""
        volumes = [f"{self.folder}:{self.folder}:ro", f"{self.writable}:{self.writable}:rw"]
        return self.store.inside(self.container, words, environment or {}, volumes)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `words` inside to their end."""
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=1800, check=False)

    @property
    def entry_point(self) -> tuple[str, ...]:
        """The command that the image runs."""
        (words,) = self.dockerfile.all("ENTRYPOINT")
        return tuple(json.loads(words))


@pytest.fixture
def built(request: pytest.FixtureRequest, store: Buildah, root: Path) -> Iterator[Built]:
    """The image that the test names; it is removed with its containers after the test."""
    name = request.param
    dockerfile = Dockerfile(root, name)
    image = f"everybody-dance/{name}:0.2.0"
    arguments = {} if dockerfile.base in OURS else {"BASE": OURS}  # the parts that work without NVIDIA's base
    seconds = store.build(root, name, image, **arguments)
    folder = Path(tempfile.mkdtemp(prefix="dance-inside-"))
    folder.chmod(0o755)
    try:
        container = store.container(image)
        print(f"{name}: built in {seconds:.0f} s, {store.size_bytes(container) / 1e6:.0f} MB")
        assert_closed(store, image, container, dockerfile)
        yield Built(store, name, dockerfile, container, folder)
        assert_untouched(store, container)
    finally:
        store.remove_images(image)
        shutil.rmtree(folder, ignore_errors=True)


def assert_closed(store: Buildah, image: str, container: str, dockerfile: Dockerfile) -> None:
    """Check the image's configuration, and that it contains nothing it should not."""
    config = store.config(image)
    assert config["User"] == "10001:10001"
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == "0.2.0"
    assert labels["org.opencontainers.image.title"].startswith("Everybody Dance")
    health = config["Healthcheck"]["Test"]
    assert health == ["NONE"] or health[:4] == ["CMD", "python", "-m", "serving.rpc.health_probe"]
    root = store.root_of(container)
    programs = {
        path.name for folder in ("usr/bin", "usr/local/bin", "opt/venv/bin") for path in (root / folder).glob("*")
    }
    assert not programs & {"cc", "gcc", "g++", "c++", "clang", "make", "pip", "pip3"}
    assert not (root / "machine").exists() or not list((root / "machine").iterdir())
    ours = {path.name for path in (root / "app").iterdir()}
    assert ours == {"LICENSE"} | {source.split("/")[0] for source in dockerfile.copied}


def assert_untouched(store: Buildah, container: str) -> None:
    """Check that processes inside wrote only to /tmp, so a read-only root file system is enough."""
    root = store.root_of(container)
    search = ["find", str(root), "-xdev", "-uid", str(UID), "-type", "f", "-not", "-path", f"{root}/tmp/*"]
    found = subprocess.run(search, capture_output=True, text=True, check=True)
    assert found.stdout == ""


def actors_in(folder: Path) -> Path:
    """Make a folder of actors with one tiny actor."""
    (folder / "parts").mkdir()
    publish_tiny(ActorStore(folder / "actors"), folder / "parts", "tiny", bias=3)
    return folder / "actors"


async def danced(deployment: Deployment, root: Path) -> None:
    """Check that frames of the sample clip come back as pictures."""
    answers, _, _ = await dance(deployment.address, pictures_of(root / "samples" / "source_clip.mp4", FRAMES))
    assert [answer.sequence for answer in answers] == list(range(FRAMES))
    assert [answer.WhichOneof("result") for answer in answers].count("picture") >= FRAMES - 1


def first_inside(pid: int) -> psutil.Process:
    """Return the process itself, for signals: buildah, which has this pid, does not forward them."""
    family = psutil.Process(pid).children(recursive=True)
    return next(one for one in family if one.uids().real == UID and not one.cmdline()[0].startswith("buildah"))


@pytest.mark.parametrize(("built", "name"), list(PROCESSES.items()), indirect=["built"])
async def test_a_service_works_inside_its_image(built: Built, name: str, root: Path):
    """It works in a pipeline whose other processes run outside, reports its health, and shuts down cleanly."""
    prefix = name.upper()

    def inside(environment: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(built.command(*built.entry_point, environment={f"{prefix}_HOST": HOST, **environment}))

    async with Deployment(built.folder, actors_in(built.folder), inside={name: inside}) as deployment:
        began_s = time.monotonic()
        await danced(deployment, root)
        print(f"{built.name}: {FRAMES} frames in {time.monotonic() - began_s:.1f} s")
        health_port = deployment.ports[f"{name}_health"]
        assert built.run("python", "-m", "serving.rpc.health_probe", f"{HOST}:{health_port}").returncode == 0
        (closed,) = free_ports(1)
        sick = built.run("python", "-m", "serving.rpc.health_probe", f"{HOST}:{closed}")
        assert sick.returncode == 1
        assert "UNAVAILABLE" in sick.stderr + sick.stdout
        first_inside(deployment.victims(name)[0].pid).terminate()
        assert await deployment.exit_code(name) == 0


@pytest.mark.parametrize("built", ["web"], indirect=True)
async def test_the_page_works_inside_its_image(built: Built):
    """It serves its files and the networks for browsers, dances the sample clip, and shuts down cleanly."""
    publish_actor(built.folder, "anna", face=False)
    port, health_port, metrics_port = free_ports(3)
    own = {"HOST": HOST, "PORT": port, "HEALTH_PORT": health_port, "METRICS_PORT": metrics_port, "DRAIN_SECONDS": 5}
    own |= {"DATA_FOLDER": built.writable, "DISK_KEPT_BYTES": 0}
    async with stack_of(built.folder) as stack, Visitor(f"http://{HOST}:{port}") as visitor:
        environment = {f"WEB_{name}": str(value) for name, value in {**own, "SERVER": stack.address}.items()}
        command = tuple(built.command(*built.entry_point, environment=environment))
        process = ManagedProcess(ProcessSpec("web", command, {}), built.folder / "web.log")
        await process.start()
        try:
            await process.ready(START_SECONDS)
            await visitor.arrive()
            assert b"<html" in await visitor.ask("GET", "/")
            bundle = (await visitor.ask("GET", "/api/skeleton"))["bundle"]
            for file in bundle["files"]:
                assert len(await visitor.ask("GET", f"/{file['url']}")) == file["size_bytes"]
            made = await visitor.ask("POST", "/api/dances", json={"actor": "anna", "source": {"sample": "steps"}})
            async with asyncio.timeout(DANCE_SECONDS):
                while (state := (await visitor.ask("GET", f"/api/dances/{made['id']}"))["state"]) != "done":
                    assert state not in ("failed", "cancelled")
                    await asyncio.sleep(0.5)
            assert b"ftyp" in (await visitor.ask("GET", f"/api/dances/{made['id']}/result"))[:12]
            assert built.run("python", "-m", "serving.rpc.health_probe", f"{HOST}:{health_port}").returncode == 0
            first_inside(process.pid).terminate()
            assert await process.exit_code() == 0
        finally:
            process.kill()


@pytest.mark.parametrize("built", ["agent"], indirect=True)
async def test_the_agent_works_beside_a_triton(built: Built, root: Path):
    """Triton runs outside and shares the repository; the agent loads the actor that a session needs."""
    repository, actors = built.writable / "models", actors_in(built.folder)
    repository.mkdir()
    repository.chmod(0o777)
    grpc_port, metrics_port = free_ports(2)
    ports = TritonPorts(grpc=grpc_port, metrics=metrics_port)
    triton = TritonServer(repository, built.folder / "triton.log", ports=ports, exit_seconds=1)
    key = built.writable / "repository-key"

    def inside(environment: Mapping[str, str]) -> tuple[str, ...]:
        key.write_text(triton.repository_key)
        return tuple(built.command(*built.entry_point, environment={"GENERATOR_HOST": HOST, **environment}))

    address = f"{HOST}:{grpc_port}"
    async with (
        triton,
        Deployment(
            built.folder,
            actors,
            inside={"generator": inside},
            GENERATOR_TRITON_ADDRESS=address,
            GENERATOR_REPOSITORY_ROOT=str(repository),
            GENERATOR_TRITON_REPOSITORY_KEY_FILE=str(key),
            ORCHESTRATOR_TRITON_ADDRESS=address,
        ) as deployment,
    ):
        await danced(deployment, root)


@pytest.mark.parametrize("built", ["triton"], indirect=True)
def test_the_model_draws_inside_tritons_image(built: Built):
    """With our base instead of NVIDIA's, the stub's isolated interpreter finds our packages and draws."""
    actors = actors_in(built.folder)
    (built.folder / "draws.py").write_text(DRAWS)
    drew = built.run("python3", "-I", str(built.folder / "draws.py"), str(actors))
    assert drew.returncode == 0, drew.stderr
    assert drew.stdout.startswith("drew (32, 32, 3) 2.")


@pytest.mark.parametrize("built", ["training"], indirect=True)
def test_training_works_inside_its_image(built: Built, root: Path):
    """Two pictures of training go through every phase and publish an actor, before the training and after it."""
    shutil.copyfile(root / "samples" / "source_clip.mp4", built.folder / "clip.mp4")
    (built.folder / "trains.py").write_text(TRAINS)
    trained = built.run("python", str(built.folder / "trains.py"), str(built.folder / "clip.mp4"), str(built.writable))
    assert trained.returncode == 0, trained.stderr[-3000:]
    assert "published inside 2" in trained.stdout
    store = ActorStore(built.writable / "a")  # the first version was drawn before any training
    assert [store.load("inside", version).version for version in (1, 2)] == [1, 2]
