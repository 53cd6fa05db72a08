"""A training on a cluster is followed to its end, whatever happens to its pods and connections."""

from __future__ import annotations

import pytest

from tests.unit.client.cluster.conftest import simple
from tests.unit.client.cluster.fake_cluster import FakeCluster


@pytest.mark.parametrize("code", [1, 42, 137])
def test_the_exit_code_is_the_jobs(site, code):
    """The command ends with the training's exit code and the cluster's reason."""

    async def fails(cluster: FakeCluster, job: str) -> None:
        pod = await cluster.pod_of(job)
        await cluster.runs(pod)
        await cluster.says(pod, "error: it is broken")
        await cluster.ends(pod, code)
        reason = "PodFailurePolicy" if code == 42 else "BackoffLimitExceeded"
        await cluster.finishes(job, "Failed", reason, "the cluster's words")

    found, said = site.trains(fails)
    assert found == code
    assert "error: it is broken" in said
    assert said[-1] == f"error: train-me failed with exit code {code}: the cluster's words"


def test_a_log_that_breaks_goes_on_without_a_line_twice(site):
    """With three breaks, one among lines of the same time, each line is shown once and in order."""

    async def broken(cluster: FakeCluster, job: str) -> None:
        pod = await cluster.pod_of(job)
        await cluster.runs(pod)
        await cluster.says(pod, "line 0", "line 1")
        await cluster.read(pod, 2)
        await cluster.cuts_logs()
        await cluster.says(pod, "line 2")
        await cluster.says(pod, "line 3", same_time=True)
        await cluster.read(pod, 4)
        await cluster.cuts_logs()
        await cluster.says(pod, "line 4", same_time=True)
        await cluster.says(pod, "line 5")
        await cluster.read(pod, 6)
        await cluster.cuts_logs()
        await cluster.ends(pod, 0)
        await cluster.finishes(job, "Complete")

    code, said = site.trains(broken)
    assert code == 0
    assert [line for line in said if line.startswith("line")] == [f"line {n}" for n in range(6)]
    assert site.cluster.calls["get pods/log"] >= 4
    assert "connected again" in said


def test_a_log_out_of_reach_is_told_once_and_given_up_when_its_pod_has_ended(site):
    """When a node is lost, the cluster answers but its kubelet does not."""

    async def node_lost(cluster: FakeCluster, job: str) -> None:
        pod = await cluster.pod_of(job)
        cluster.lost_logs.add(pod)
        await cluster.runs(pod)
        await cluster.sees(lambda: cluster.calls["get pods/log"] >= 3)
        await cluster.ends(pod, 137, disrupted="DeletionByTaintManager")
        await cluster.sees(lambda: cluster.calls["get pods/log"] >= 5)
        await simple(cluster, job)

    code, said = site.trains(node_lost)
    assert code == 0
    assert [line.split(":")[0] for line in said].count("reconnecting") == 1
    assert "the rest of the log of train-me-0-0 is lost" in said
    assert "me version 1 is published in /actors/me/1, and new sessions get it" in said


def test_an_api_server_that_is_away_is_waited_for(site):
    """Overload and broken connections are reported once, and watching resumes when the cluster answers again."""

    async def away(cluster: FakeCluster, job: str) -> None:
        cluster.faults += [503, None, 429]
        pod = await cluster.pod_of(job)
        await cluster.sees(lambda: not cluster.faults)
        await cluster.runs(pod)
        await cluster.ends(pod, 0)
        await cluster.finishes(job, "Complete")

    code, said = site.trains(away)
    assert code == 0
    assert [line.split(":")[0] for line in said].count("reconnecting") == 1
    assert "connected again" in said


def test_patience_ends(site):
    """The command gives up on a lost cluster after --patience, and says how to watch again."""

    async def gone(cluster: FakeCluster, job: str) -> None:
        cluster.faults += [None] * 1000

    code, said = site.trains(gone, "--patience", "0")
    site.cluster.faults.clear()
    assert code == 1
    assert "The training continues: dance jobs watch train-me" in said[-1]


def test_a_pod_that_no_node_takes_says_why(site):
    """The scheduler's reason is shown once, then the training."""
    words = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."

    async def pending(cluster: FakeCluster, job: str) -> None:
        pod = await cluster.pod_of(job)
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
        looks = cluster.calls["list pods"]
        await cluster.is_(pod, {"phase": "Pending", "conditions": [condition]})
        await cluster.sees(lambda: cluster.calls["list pods"] >= looks + 3)
        await cluster.runs(pod)
        await cluster.ends(pod, 0)
        await cluster.finishes(job, "Complete")

    code, said = site.trains(pending)
    assert code == 0
    told = [line for line in said if words in line]
    assert told == [f"waiting: train-me-0-0: no node accepts it (Unschedulable: {words})"]


def test_an_image_that_cannot_be_had_says_so(site):
    """The kubelet's reason is shown."""

    async def no_image(cluster: FakeCluster, job: str) -> None:
        pod = await cluster.pod_of(job)
        waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "everybody-dance/training:0.2.0"'}
        status = {"name": "training", "state": {"waiting": waiting}}
        looks = cluster.calls["list pods"]
        await cluster.is_(pod, {"phase": "Pending", "containerStatuses": [status]})
        await cluster.sees(lambda: cluster.calls["list pods"] >= looks + 2)
        await cluster.finishes(job, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline")

    code, said = site.trains(no_image)
    assert code == 1
    assert 'waiting: train-me-0-0: ImagePullBackOff: Back-off pulling image "everybody-dance/training:0.2.0"' in said
    assert "active longer than specified deadline" in said[-1]


def test_a_job_that_makes_no_pod_says_why(site):
    """If a quota or a policy refuses pods, the reason comes from the Job's events."""

    async def no_pods(cluster: FakeCluster, job: str) -> None:
        about = {"kind": "Job", "name": job}
        cluster.events.append({"involvedObject": about, "reason": "FailedCreate", "message": "exceeded quota: gpus"})
        looks = cluster.calls["list events"]
        await cluster.sees(lambda: cluster.calls["list events"] >= looks + 2)
        await simple(cluster, job)

    code, said = site.trains(no_pods)
    assert code == 0
    assert said.count("waiting: FailedCreate: exceeded quota: gpus") == 1


def test_an_eviction_is_told_and_the_next_pod_is_followed(site):
    """The eviction does not count, and the log continues with the next pod's."""

    async def evicted(cluster: FakeCluster, job: str) -> None:
        first = await cluster.pod_of(job)
        await cluster.runs(first)
        await cluster.says(first, "body 10.0 % | 1 done")
        await cluster.read(first, 1)
        await cluster.ends(first, 75, disrupted="EvictionByEvictionAPI")
        second = await cluster.pod_of(job)
        looks = cluster.calls["list pods"]
        await cluster.sees(lambda: cluster.calls["list pods"] >= looks + 2)
        await cluster.runs(second)
        await cluster.says(second, "body 20.0 % | 2 done")
        await cluster.ends(second, 0)
        await cluster.finishes(job, "Complete")

    code, said = site.trains(evicted)
    assert code == 0
    assert said.index("body 10.0 % | 1 done") < said.index("body 20.0 % | 2 done")
    (told,) = [line for line in said if "removed by" in line]
    assert told == (
        "train-me-0-0 was removed by the cluster (EvictionByEvictionAPI: node drained); this does not count, and the "
        "next pod continues"
    )


def test_a_pod_that_is_deleted_while_it_is_followed_is_no_end(site):
    """Its log is lost with it, and the next pod's log is shown."""

    async def deleted(cluster: FakeCluster, job: str) -> None:
        first = await cluster.pod_of(job)
        await cluster.runs(first)
        await cluster.says(first, "body 10.0 % | 1 done")
        await cluster.read(first, 1)
        await cluster.becomes(cluster.pods, first, None)
        await cluster.cuts_logs()
        await simple(cluster, job)

    code, said = site.trains(deleted)
    assert code == 0
    assert "me version 1 is published in /actors/me/1, and new sessions get it" in said
