"""A fake cluster, and `dance` to use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from client.__main__ import run
from tests.unit.client.cluster.fake_cluster import FakeCluster, Scenario, Served


@dataclass
class Site:
    """A fake cluster, and `dance` to use it."""

    cluster: FakeCluster
    served: Served
    capsys: pytest.CaptureFixture[str]

    def dance(self, *words: str) -> int:
        """Run `dance`, and return its exit code."""
        code = run([*words, "--kubeconfig", str(self.served.kubeconfig)])
        assert not self.cluster.errors
        return code

    def trains(self, scenario: Scenario, *more: str) -> tuple[int, list[str]]:
        """Train on footage in the volume; the exit code, and the lines on stderr."""
        self.cluster.scenario = scenario
        words = ["train", "--actor", "me", "--consent", "ours", "--on", "kubernetes", *more]
        code = self.dance(*words, *([] if "--footage-path" in more else ["--footage-path", "me.mp4"]))
        return code, self.capsys.readouterr().err.splitlines()


@pytest.fixture
def site(root: Path, tmp_path: Path, monkeypatch, capsys) -> Iterator[Site]:
    monkeypatch.setattr("client.cluster.kubernetes_api.pause", real_pause(0.01))
    volume = tmp_path / "volume"
    volume.mkdir()
    cluster = FakeCluster(root, volume)
    with Served(cluster, tmp_path) as served:
        yield Site(cluster, served, capsys)


def real_pause(seconds: float) -> Callable[[float], None]:
    from client.cluster.kubernetes_api import pause

    return lambda asked_seconds: pause(seconds)


async def simple(cluster: FakeCluster, job: str) -> None:
    """One pod that trains and publishes."""
    pod = await cluster.pod_of(job)
    await cluster.runs(pod)
    await cluster.says(pod, "body 50.0 % | 10 done | 2.0 pictures/s", "body: a note", "body 100.0 % | 20 done")
    await cluster.says(pod, "me version 1 is published in /actors/me/1, and new sessions get it")
    await cluster.ends(pod, 0)
    await cluster.finishes(job, "Complete")


async def runs_on(cluster: FakeCluster, job: str) -> None:
    """One pod that trains until the Job is deleted."""
    pod = await cluster.pod_of(job)
    await cluster.runs(pod)
    await cluster.says(pod, "body 1.0 % | 1 done")
    await cluster.sees(lambda: "deletionTimestamp" in cluster.jobs[job]["metadata"])
    await cluster.says(pod, "interrupted: a checkpoint was written; the same command goes on")
    await cluster.ends(pod, 75)
    await cluster.becomes(cluster.jobs, job, None)
