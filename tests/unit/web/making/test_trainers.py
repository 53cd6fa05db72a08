"""Trainings as child processes, and as Jobs on a cluster."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from client.cluster.options import ClusterAccess
from client.training.unattended import UnattendedTraining
from tests.unit.client.cluster.conftest import Site, runs_on, simple, site
from tests.unit.web.dances.conftest import PATIENCE_SECONDS
from web.making.trainers import TrainerHere, TrainerOnCluster, TrainingBroke

__all__ = ["site"]

SPEAKS = """
import sys
print("body 50.0 % | 10 pictures done", flush=True)
print("prepared: warning: hands: left in 20%; show them", file=sys.stderr, flush=True)
print("the last line has no end", end="", flush=True)
sys.exit(42)
"""
WAITS = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("a checkpoint was written", flush=True), sys.exit(75)))
print("ready", flush=True)
signal.pause()
"""


def training(folder: Path) -> UnattendedTraining:
    return UnattendedTraining(
        actor="me",
        consent="mine",
        footage=(Path("/footage/making/footage-000.mp4"),),
        preset="quick-256",
        minutes=0.5,
        frame_rate=15.0,
        actors=folder / "actors",
        work=folder / "work",
        device="cpu",
    )


@pytest.fixture
def program(monkeypatch):
    """Run this program in place of a training."""

    def run(source: str) -> None:
        command = (sys.executable, "-c", source)
        monkeypatch.setattr(UnattendedTraining, "command", lambda self: command)

    return run


async def test_a_process_is_heard_to_its_last_line(program, tmp_path):
    """Both of its outputs, while it runs, and its exit code."""
    program(SPEAKS)
    lines: list[str] = []
    assert await TrainerHere().run(training(tmp_path), "1", lines.append) == 42
    assert sorted(lines) == [
        "body 50.0 % | 10 pictures done",
        "prepared: warning: hands: left in 20%; show them",
        "the last line has no end",
    ]


async def test_a_cancelled_process_is_asked_to_end_and_has_ended(program, tmp_path):
    """By SIGTERM, so that it can go on from a checkpoint; it is gone when the cancellation is done."""
    program(WAITS)
    ready = asyncio.Event()
    run = asyncio.create_task(TrainerHere().run(training(tmp_path), "1", lambda line: ready.set()))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await ready.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert "a checkpoint was written" in (tmp_path / "work" / "training.log").read_text()


async def test_a_killed_process_has_an_exit_code(program, tmp_path):
    """Such as one that ran out of memory: neither published nor final, so it is tried again."""
    program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert await TrainerHere().run(training(tmp_path), "1", lambda line: None) == -signal.SIGKILL


async def test_a_program_that_is_not_there_is_one_error(monkeypatch, tmp_path):
    """Its launcher's exit code, which is neither published nor final."""
    monkeypatch.setattr(UnattendedTraining, "command", lambda self: (str(tmp_path / "none"),))
    assert await TrainerHere().run(training(tmp_path), "1", lambda line: None) == 1


def on_cluster(site: Site) -> TrainerOnCluster:
    access = ClusterAccess(kubeconfig=site.served.kubeconfig)
    return TrainerOnCluster(access, image="registry/training:2", gpus=0, patience_seconds=1.0)


async def test_a_job_is_heard_as_a_process_is(site):
    """Its lines arrive on the event loop, and it trains in the work folder of the making."""
    site.cluster.scenario = simple
    lines: list[str] = []
    assert await on_cluster(site).run(training(Path("/footage/making")), "making-1", lines.append) == 0
    assert "me version 1 is published in /actors/me/1, and new sessions get it" in lines
    (job,) = site.cluster.jobs.values()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry/training:2"
    assert "--work=/footage/making/work" in container["args"]


async def test_a_job_outlives_the_gateway_and_is_cancelled_by_name(site):
    """Ending `run` leaves it alone; `cancel` deletes it, and waits for its pods."""
    site.cluster.scenario = runs_on
    trainer, asked = on_cluster(site), training(Path("/footage/making"))
    heard = asyncio.Event()
    run = asyncio.create_task(trainer.run(asked, "making-1", lambda line: heard.set()))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await heard.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert len(site.cluster.jobs) == 1
    await trainer.cancel(asked, "making-1")
    assert site.cluster.jobs == {}


async def test_a_cluster_that_refuses_is_one_error(site):
    """Also with its reason."""
    code, _ = site.trains(runs_on, "--detach")
    assert code == 0
    with pytest.raises(TrainingBroke, match="train-me is on the cluster already"):
        await on_cluster(site).run(training(Path("/footage/making")), "making-1", lambda line: None)
