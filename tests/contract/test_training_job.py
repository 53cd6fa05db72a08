"""The Job of deploy/jobs as a local process, with its own command line and environment, and local folders."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from dance.v1 import agent_pb2, agent_pb2_grpc

from client.cluster.job_template import on_cluster, read_template, render
from client.cluster.options import ClusterAccess, ClusterTraining
from serving.actors.store import ActorStore
from serving.process.exit_codes import EXIT_FINAL, EXIT_INTERRUPTED
from serving.transport.proxies import NO_PROXY
from training.options import FootageRequest, TrainRequest

FOOTAGE = FootageRequest(files=[Path("/footage/uploads/footage.mp4")])
TINY = "tests.unit.training.tiny_command"
"""`python -m training` with a network so small that it is trained in a second."""


def job(**asked: Any) -> dict[str, Any]:
    """Return the Job of a training, as `dance train --on kubernetes` makes it."""
    training = TrainRequest(
        footage=FootageRequest(files=[]),
        actor="bar",
        preset="tiny",
        consent="ours, $(HOME) and all",
        publish_anyway=True,
    )
    request = ClusterTraining(training=on_cluster(training, FOOTAGE, 0), access=ClusterAccess(namespace="n"), gpus=0)
    return render(read_template(), replace(request, **asked))


class Pod:
    """Return what the kubelet would run for the Job's container, with `folder` in place of its volumes.

    The metrics' port becomes zero, because it may be in use here. module: replaces `training`.
    """

    def __init__(self, document: Mapping[str, Any], folder: Path, module: str = TINY, index: int = 0) -> None:
        (container,) = document["spec"]["template"]["spec"]["containers"]
        self.folder = folder
        for mount in container["volumeMounts"]:
            (folder / mount["mountPath"].strip("/")).mkdir(parents=True, exist_ok=True)
        (folder / "footage" / "uploads").mkdir(exist_ok=True)
        command = [sys.executable if word == "python" else word for word in container["command"]]
        command[-1] = module
        arguments = [self._here(word.replace("$$", "$")) for word in container["args"]]
        self.command = [*command, *arguments]
        # Kubernetes leaves out a variable of an optional Secret that does not exist.
        secrets = {one["name"]: one.get("valueFrom", {}).get("secretKeyRef", {}) for one in container["env"]}
        named = [one for one in container["env"] if not secrets[one["name"]].get("optional")]
        self.environment = {one["name"]: self._here(one.get("value", str(index))) for one in named}
        self.environment |= {"TRAINING_METRICS_PORT": "0", "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}

    def _here(self, word: str) -> str:
        for mount in ("/actors", "/footage", "/tmp"):
            if word.removeprefix("--work=").removeprefix("--actors=").startswith(mount):
                return word.replace(mount, str(self.folder / mount.strip("/")), 1)
        return word

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """Run the process with both outputs in one pipe, as in a log; afterwards it and its children are gone."""
        process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield process
        finally:
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                child.kill()
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def ended(self) -> tuple[int, str]:
        """Return its exit code and log."""
        with self.running() as process:
            log = process.communicate()[0]
            return process.returncode, log


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    pod = Pod(job(), tmp_path)
    (tmp_path / "footage" / "uploads" / "footage.mp4").write_bytes(b"footage")
    return pod


@pytest.mark.timeout(300)  # a second of training, after imports that are slow on a busy machine
def test_the_manifests_command_line_trains_and_publishes(pod, tmp_path):
    """The actor is in the shared actors' folder, the work in the footage volume, and the consent text is complete."""
    code, log = pod.ended()
    assert code == 0, log
    actor = ActorStore(tmp_path / "actors").load("bar")
    assert actor.consent.words == "ours, $(HOME) and all"
    assert (tmp_path / "footage" / "work" / "bar" / "bar" / "body.pt").is_file()
    assert f"bar version 1 is published in {actor.folder}, and new sessions get it" in log.splitlines()


@pytest.mark.slow
def test_the_very_command_trains_on_real_pictures(root, tmp_path):
    """`python -m training` on the sample clip finds poses, and trains and publishes a small network."""
    training = TrainRequest(
        footage=FootageRequest(files=[]),
        actor="sample",
        minutes=0.1,
        consent="nobody's",
        footage_anyway=True,
        publish_anyway=True,
    )
    asked = ClusterTraining(
        training=on_cluster(training, FootageRequest(files=[Path("/footage/uploads/clip.mp4")]), 0),
        access=ClusterAccess(namespace="n"),
        gpus=0,
    )
    pod = Pod(render(read_template(), asked), tmp_path, "training")
    (tmp_path / "footage" / "uploads" / "clip.mp4").write_bytes((root / "samples" / "source_clip.mp4").read_bytes())
    code, log = pod.ended()
    assert code == 0, log
    assert ActorStore(tmp_path / "actors").load("sample").read_plate().shape == (512, 512, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("asks", "code"), [("wrong", EXIT_FINAL), ("sigterm", EXIT_INTERRUPTED)])
def test_two_pods_meet_and_end_as_their_processes_do(tmp_path, unused_port, asks, code):
    """torchrun reads the manifest's environment, and passes on a configuration error and a checkpoint."""
    document = job(nodes=2)
    pods = [Pod(document, tmp_path, "tests.contract.torchrun_peer", index) for index in (0, 1)]
    for pod in pods:
        pod.command = [*pod.command[: pod.command.index("tests.contract.torchrun_peer") + 1], asks]
        pod.environment |= {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(unused_port)}
    with ExitStack() as stack:
        processes = [stack.enter_context(pod.running()) for pod in pods]
        for rank, process in enumerate(processes):
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert f"rank {rank} of 2\n" in lines
        if asks == "sigterm":
            for process in processes:
                process.send_signal(signal.SIGTERM)
        logs = [process.communicate()[0] for process in processes]
        assert [process.returncode for process in processes] == [code, code], logs


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pytriton") is None, reason="nvidia-pytriton is not installed")
def test_a_trained_actor_is_served_by_the_running_triton(pod, tmp_path):
    """The agent finds the new actor in the shared folder, loads it and draws a canary, without restarting Triton."""
    with (
        generator(tmp_path / "actors", tmp_path) as (process, port),
        grpc.insecure_channel(f"127.0.0.1:{port}", options=[NO_PROXY]) as line,
    ):
        stub = agent_pb2_grpc.GeneratorAgentServiceStub(line)
        asked = agent_pb2.EnsureActorRequest(actor="bar")
        with pytest.raises(grpc.RpcError) as refused:
            stub.EnsureActor(asked, timeout=60)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        (triton,) = [p for p in process.children(recursive=True) if p.name() == "tritonserver"]
        code, log = pod.ended()
        assert code == 0, log
        assert stub.EnsureActor(asked, timeout=60).actor_version == 1
        assert triton.is_running()
        assert triton in process.children(recursive=True)


@contextmanager
def generator(actors: Path, folder: Path) -> Iterator[tuple[psutil.Process, int]]:
    """Run the agent with its Triton; yield the agent and its port."""
    settings = {"ACTORS_ROOT": actors, "PORT": 0, "HEALTH_PORT": 0, "METRICS_PORT": 0, "LOAD_AT_START": "all"}
    settings |= {"PRECISION": "f32", "TRITON_EXIT_SECONDS": 1, "TRITON_LOG": folder / "triton.log"}
    environment = os.environ | {f"GENERATOR_{name}": str(value) for name, value in settings.items()}
    log = folder / "generator.log"
    with log.open("w") as file:
        process = psutil.Popen([sys.executable, "-m", "services.generator"], env=environment, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 90
        while not (ready := [line for line in log.read_text().splitlines() if line.startswith("ready ")]):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
        words = dict(word.split("=") for word in ready[0].split()[1:])
        yield process, int(words["port"])
    finally:
        process.terminate()
        try:
            process.wait(30)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def unused_port() -> int:
    """Return a free port."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
