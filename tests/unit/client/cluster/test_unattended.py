"""A program starts a Job, follows it, finds it again after a restart, and cancels it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from client.cluster.options import ClusterAccess, ClusterTraining
from client.cluster.unattended import JobRun
from client.errors import CommandError
from client.training.unattended import TrainingLog
from tests.unit.client.cluster.conftest import Site, runs_on, simple
from tests.unit.client.cluster.fake_cluster import FakeCluster
from training.options import FootageRequest, TrainRequest


def run_of(site: Site, log: TrainingLog, submission: str = "making-1") -> JobRun:
    footage = FootageRequest(files=[Path("/footage/making/1/footage.mp4")])
    training = TrainRequest(footage=footage, actor="me", consent="mine", preset="quick-256", minutes=0.5)
    access = ClusterAccess(kubeconfig=site.served.kubeconfig)
    asked = ClusterTraining(training=training, access=access, gpus=0)
    return JobRun(asked, Path("/footage/making/1/work"), submission, log.line)


def test_a_job_is_followed_to_its_end_with_the_rights_of_a_submitter(site):
    """It trains on the footage in the volume, in the work folder that was named, and its log is read."""
    site.cluster.scenario = simple
    log = TrainingLog()
    assert run_of(site, log).run() == 0
    assert log.versions == [1]
    assert not site.cluster.errors
    (job,) = site.cluster.jobs.values()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert "--work=/footage/making/1/work" in container["args"]
    assert "--actors=/actors" in container["args"]
    assert container["args"][-1] == "/footage/making/1/footage.mp4"


def test_a_job_of_an_ended_process_is_found_again(site):
    """The same submission follows the Job that is there, and creates no other one."""
    site.cluster.scenario = simple
    assert run_of(site, TrainingLog()).run() == 0
    log = TrainingLog()
    assert run_of(site, log).run() == 0
    assert log.versions == [1]
    assert len(site.cluster.jobs) == 1
    assert [name.split("-")[-1] for name in site.cluster.pods] == ["0"]


def test_a_training_that_fails_returns_its_exit_code(site):
    """With the reason in the log, so that a program can tell footage from accidents."""

    async def refused(cluster: FakeCluster, job: str) -> None:
        pod = await cluster.pod_of(job)
        await cluster.runs(pod)
        await cluster.says(pod, "prepared: refused: poses: a person in 0 of 9 frames; film one person")
        await cluster.says(pod, "error: footage.mp4 is not worth training on")
        await cluster.ends(pod, 42)
        await cluster.finishes(job, "Failed", "PodFailurePolicy", "exit code 42")

    site.cluster.scenario = refused
    log = TrainingLog()
    assert run_of(site, log).run() == 42
    assert log.findings["poses"].level == "refused"
    assert log.failure == "footage.mp4 is not worth training on"


def test_a_cancelled_job_is_gone_when_cancel_returns(site):
    """Its pods have ended by then, so their files can be deleted; another one's Job of that name is left alone."""
    site.cluster.scenario = runs_on
    code, _ = site.trains(runs_on, "--detach")
    assert code == 0
    run_of(site, TrainingLog()).cancel()
    (job,) = site.cluster.jobs.values()
    assert "deletionTimestamp" not in job["metadata"]
    submission = job["metadata"]["annotations"]["everybody-dance/submission"]
    replace(run_of(site, TrainingLog()), submission=submission).cancel()
    assert site.cluster.jobs == {}


def test_another_training_of_the_actor_is_not_disturbed(site):
    """The run is refused, with the name of the Job."""
    code, _ = site.trains(runs_on, "--detach")
    assert code == 0
    with pytest.raises(CommandError, match="train-me is on the cluster already"):
        run_of(site, TrainingLog()).run()
