"""`dance train --on kubernetes` and `dance jobs`, against an API server that is as strict as a real one."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from client.__main__ import run
from tests.unit.client.cluster.fake_cluster import FakeCluster, Scenario, Served


@dataclass
class Site:
    """A fake cluster, and `dance` beside it."""

    cluster: FakeCluster
    served: Served
    capsys: pytest.CaptureFixture[str]

    def dance(self, *words: str) -> int:
        """The exit code."""
        code = run([*words, "--kubeconfig", str(self.served.kubeconfig)])
        assert not self.cluster.errors
        return code

    def trains(self, scenario: Scenario, *more: str) -> tuple[int, list[str]]:
        """The exit code of a training on footage that is there, and what was said on stderr."""
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
    await cluster.says(pod, "published me version 1 in /actors/me/1")
    await cluster.ends(pod, 0)
    await cluster.finishes(job, "Complete")


def test_a_training_is_shown_to_its_end(site):
    """Progress and log come as they are, and the exit code is the Job's."""
    code, said = site.trains(simple)
    assert code == 0
    assert said[-4:] == [
        "body 50.0 % | 10 done | 2.0 pictures/s",
        "body: a note",
        "body 100.0 % | 20 done",
        "published me version 1 in /actors/me/1",
    ]


def test_a_job_is_what_was_asked_for(site):
    """The options reach the Job; a dollar in a text stays one, since Kubernetes would put variables in its place."""
    more = ["--minutes", "5", "--consent", "me, $(HOME) and $$", "--image", "registry/training:2", "--gpus", "0"]
    code, _ = site.trains(simple, *more, "--seed", "3", "--preset", "slim-512")
    assert code == 0
    (job,) = site.cluster.jobs.values()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry/training:2"
    assert container["args"] == [
        *("--actor=me", "--preset=slim-512", "--minutes=5", "--actors=/actors", "--work=/footage/work/me", "--seed=3"),
        *("--device=cpu", "--consent=me, $$(HOME) and $$$$", "--", "/footage/me.mp4"),
    ]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert "nodeSelector" not in job["spec"]["template"]["spec"]


def test_several_nodes_train_together(site):
    """An Indexed Job, whose first pod's log is shown."""

    async def together(cluster: FakeCluster, job: str) -> None:
        second, first = await cluster.pod_of(job, 1), await cluster.pod_of(job, 0)
        for pod in (second, first):
            await cluster.runs(pod)
            await cluster.says(pod, f"this is {pod}")
            await cluster.ends(pod, 0)
        await cluster.finishes(job, "Complete")

    code, said = site.trains(together, "--nodes", "2", "--gpus", "4")
    assert code == 0
    assert [line for line in said if line.startswith("this is")] == ["this is train-me-0-1"]
    (job,) = site.cluster.jobs.values()
    assert (job["spec"]["completionMode"], job["spec"]["completions"]) == ("Indexed", 2)


@pytest.mark.parametrize("code", [1, 42, 137])
def test_the_exit_code_is_the_jobs(site, code):
    """What ended the training ends this command, with the cluster's reason."""

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
    """Three breaks, one within a run of lines of the same time: each line is shown once, in order."""

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
    """The node is lost: the cluster answers, its kubelet does not."""

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
    assert "the rest of the log of train-me-0-0 cannot be had" in said
    assert "published me version 1 in /actors/me/1" in said


def test_an_api_server_that_is_away_is_waited_for(site):
    """Overload and broken connections between two looks are told once, and end when it answers again."""

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
    """A cluster that stays away is given up after --patience, and the way back is told."""

    async def gone(cluster: FakeCluster, job: str) -> None:
        cluster.faults += [None] * 1000

    code, said = site.trains(gone, "--patience", "0")
    site.cluster.faults.clear()
    assert code == 1
    assert "The training goes on: dance jobs watch train-me" in said[-1]


def test_a_creation_whose_answer_is_lost_is_not_made_twice(site):
    """The Job that is there is known as our own."""
    site.cluster.lost_answers = 1
    code, said = site.trains(simple)
    assert code == 0
    assert site.cluster.calls["create jobs"] == 2
    assert any(line.startswith("trying again: ") for line in said)


def test_an_actor_that_is_being_trained_is_not_trained_twice(site):
    """Exit code 1 before anything is sent, and how to watch or end what is there."""
    code, _ = site.trains(runs_on, "--detach")
    assert code == 0
    code, said = site.trains(runs_on)
    assert code == 1
    assert "train-me is on the cluster already. To watch it: dance jobs watch train-me" in said[-1]
    assert site.cluster.calls["create jobs"] == 1


async def runs_on(cluster: FakeCluster, job: str) -> None:
    """A pod that trains until somebody deletes the Job."""
    pod = await cluster.pod_of(job)
    await cluster.runs(pod)
    await cluster.says(pod, "body 1.0 % | 1 done")
    await cluster.sees(lambda: "deletionTimestamp" in cluster.jobs[job]["metadata"])
    await cluster.says(pod, "interrupted: a checkpoint was written; the same command goes on")
    await cluster.ends(pod, 75)
    await cluster.becomes(cluster.jobs, job, None)


def test_an_ended_job_gives_way_to_the_next_training(site):
    """The same command after the end trains further, under the same name."""
    assert site.trains(simple)[0] == 0
    site.cluster.pods.clear()
    code, said = site.trains(simple)
    assert code == 0
    assert "train-me of before, complete, gives way" in "\n".join(said)


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_come_back(site):
    """Exit code 130; the Job is still there."""

    async def interrupted(cluster: FakeCluster, job: str) -> None:
        pod = await cluster.pod_of(job)
        await cluster.runs(pod)
        await cluster.says(pod, "body 1.0 % | 1 done")
        await cluster.read(pod, 1)
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGINT)  # the one that waits, as with a single thread

    code, said = site.trains(interrupted)
    assert code == 130
    assert "train-me goes on without you. To watch it: dance jobs watch train-me --kubeconfig" in said[-1]
    assert "To end it: dance jobs cancel train-me" in said[-1]
    assert "train-me" in site.cluster.jobs


def test_a_pod_that_no_node_takes_says_why(site):
    """The scheduler's words, once, while it lasts; then the training."""
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
    assert told == [f"waiting: train-me-0-0: no node takes it (Unschedulable: {words})"]


def test_an_image_that_cannot_be_had_says_so(site):
    """The kubelet's words."""

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
    """A quota or a policy refuses pods where only the Job's events tell."""

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
    """It is not counted; the log goes on with the next pod's."""

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
    (told,) = [line for line in said if "taken away" in line]
    assert told == (
        "train-me-0-0 was taken away by the cluster (EvictionByEvictionAPI: node drained); that is not counted, the "
        "next one goes on"
    )


def test_a_pod_that_is_deleted_while_it_is_followed_is_no_end(site):
    """Its log is gone with it; the next pod's comes."""

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
    assert "published me version 1 in /actors/me/1" in said


def test_a_cancelled_job_ends_its_watchers(site):
    """They see the last words of the pod, and exit code 1."""

    async def cancelled(cluster: FakeCluster, job: str) -> None:
        pod = await cluster.pod_of(job)
        await cluster.runs(pod)
        await cluster.says(pod, "interrupted: a checkpoint was written; the same command goes on")
        await cluster.ends(pod, 75)
        await cluster.read(pod, 1)
        await cluster.becomes(cluster.jobs, job, None)

    code, said = site.trains(cancelled)
    assert code == 1
    assert said[-1] == "error: train-me was cancelled"


def test_jobs_are_listed_and_cancelled_by_their_actor(site):
    """`list` shows how they stand; `cancel` takes a Job's name or its actor's, and says what stays."""
    site.trains(runs_on, "--detach")
    assert site.dance("jobs", "list") == 0
    table = site.capsys.readouterr().out
    assert "train-me" in table
    assert "waiting" in table
    assert site.dance("jobs", "cancel", "me") == 0
    assert "train-me is cancelled; it writes its checkpoint" in site.capsys.readouterr().err
    assert site.dance("jobs", "watch", "nobody") == 1
    assert "there is no training 'nobody' in everybody-dance" in site.capsys.readouterr().err


def test_a_job_is_watched_from_anywhere(site):
    """Its log comes from the beginning, its exit code too."""

    async def until_watched(cluster: FakeCluster, job: str) -> None:
        pod = await cluster.pod_of(job)
        await cluster.runs(pod)
        await cluster.says(pod, "body 1.0 % | 1 done")
        await cluster.read(pod, 1)
        await cluster.ends(pod, 42)
        await cluster.finishes(job, "Failed", "PodFailurePolicy", "exit code 42 matches FailJob")

    site.trains(until_watched, "--detach")
    assert site.dance("jobs", "watch", "train-me") == 42
    said = site.capsys.readouterr().err
    assert "body 1.0 % | 1 done" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--footage-path", "/etc/passwd"], "--footage-path is a file below /footage"),
        (["--footage-path", "../etc"], "--footage-path is a file below /footage"),
        (["--work", "elsewhere"], "--work is not for --on kubernetes"),
        (["--nodes", "0"], "--nodes"),
    ],
)
def test_options_that_make_no_sense_are_refused(site, more, message):
    """Exit code 2, and nothing is asked of the cluster."""
    code, said = site.trains(simple, *more)
    assert code == 2
    assert message in said[-1]
    assert not site.cluster.calls


def test_cluster_options_mean_nothing_here(site):
    """Without --on kubernetes they are refused, not passed over."""
    assert run(["train", "x.mp4", "--actor", "me", "--consent", "ours", "--gpus", "2"]) == 2
    assert "--gpus is for --on kubernetes" in site.capsys.readouterr().err


def test_a_misspelt_field_of_the_users_template_is_named(site, root, tmp_path):
    """The client would drop it without a word."""
    text = (root / "deploy" / "jobs" / "train.yaml").read_text().replace("backoffLimit:", "backofLimit:")
    (tmp_path / "mine.yaml").write_text(text)
    code, said = site.trains(simple, "--template", str(tmp_path / "mine.yaml"))
    assert code == 2
    assert "a Job has no field spec.backofLimit" in said[-1]


def test_the_servers_refusal_is_one_line(site, root, tmp_path):
    """What only the server knows to be wrong comes in its words."""
    text = (
        (root / "deploy" / "jobs" / "train.yaml")
        .read_text()
        .replace("restartPolicy: Never", "restartPolicy: OnFailure")
    )
    (tmp_path / "mine.yaml").write_text(text)
    code, said = site.trains(simple, "--template", str(tmp_path / "mine.yaml"))
    assert code == 1
    assert "podFailurePolicy needs Never" in said[-1]


def test_a_missing_right_is_named_with_the_file_that_gives_it(site):
    """403 in the server's words."""
    site.cluster.rights.withdraw("training-submitter")
    code, said = site.trains(simple)
    assert code == 1
    assert 'cannot get resource "jobs" in API group "batch"' in said[-1]
    assert "deploy/60-training-access.yaml says what a training needs" in said[-1]


def test_an_unknown_user_and_namespace_are_told(site):
    """401 and 403 are no reason to try again."""
    named = json.dumps({"token": "stranger"})
    kubeconfig = site.served.kubeconfig
    kubeconfig.write_text(kubeconfig.read_text().replace("token: submitter", named.strip("{}").replace('"', "")))
    code, said = site.trains(simple)
    assert code == 1
    assert "log in again" in said[-1]


def test_a_missing_kubeconfig_is_told(site, tmp_path, capsys):
    """Where it was looked for."""
    assert run(["jobs", "list", "--kubeconfig", str(tmp_path / "none")]) == 1
    said = capsys.readouterr().err
    assert "no cluster is known from" in said
    assert said.count("\n") == 1
