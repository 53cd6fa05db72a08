"""`dance train --on kubernetes` and `dance jobs`, against an API server that is as strict as a real one."""

from __future__ import annotations

import json
import signal
import threading

import pytest

from client.__main__ import run
from tests.unit.client.cluster.conftest import runs_on, simple
from tests.unit.client.cluster.fake_cluster import FakeCluster


def test_a_training_is_shown_to_its_end(site):
    """Progress and log are shown unchanged, and the exit code is the Job's."""
    code, said = site.trains(simple)
    assert code == 0
    assert said[-4:] == [
        "body 50.0 % | 10 done | 2.0 pictures/s",
        "body: a note",
        "body 100.0 % | 20 done",
        "me version 1 is published in /actors/me/1, and new sessions get it",
    ]


def test_a_job_is_what_was_asked_for(site):
    """The options reach the Job; a dollar sign is escaped, so that Kubernetes does not expand variables."""
    more = ["--minutes", "5", "--consent", "me, $(HOME) and $$", "--image", "registry/training:2", "--gpus", "0"]
    more += ["--consent-by", "jo", "--consent-for", "private"]
    code, _ = site.trains(simple, *more, "--seed", "3", "--preset", "quick-256")
    assert code == 0
    (job,) = site.cluster.jobs.values()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry/training:2"
    assert container["args"] == [
        *(
            "--actor=me",
            "--preset=quick-256",
            "--consent-for=private",
            "--consent-by=jo",
            "--minutes=5.0",
            "--actors=/actors",
            "--work=/footage/work/me",
            "--seed=3",
        ),
        *("--device=cpu", "--consent=me, $$(HOME) and $$$$", "--", "/footage/me.mp4"),
    ]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert "nodeSelector" not in job["spec"]["template"]["spec"]


def test_several_nodes_train_together(site):
    """They form an Indexed Job, and the log of the first pod is shown."""

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


def test_a_creation_whose_answer_is_lost_is_not_made_twice(site):
    """The Job that exists is recognized as our own."""
    site.cluster.lost_answers = 1
    code, said = site.trains(simple)
    assert code == 0
    assert site.cluster.calls["create jobs"] == 2
    assert any(line.startswith("trying again: ") for line in said)


def test_an_actor_that_is_being_trained_is_not_trained_twice(site):
    """It ends with exit code 1 before anything is sent, and says how to watch or end the running training."""
    code, _ = site.trains(runs_on, "--detach")
    assert code == 0
    code, said = site.trains(runs_on)
    assert code == 1
    assert "train-me is on the cluster already. To watch it: dance jobs watch train-me" in said[-1]
    assert site.cluster.calls["create jobs"] == 1


def test_an_ended_job_gives_way_to_the_next_training(site):
    """After the end, the same command continues the training under the same name."""
    assert site.trains(simple)[0] == 0
    site.cluster.pods.clear()
    code, said = site.trains(simple)
    assert code == 0
    assert "replacing the previous train-me, which is complete" in "\n".join(said)


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_come_back(site):
    """It ends with exit code 130, and the Job stays."""

    async def interrupted(cluster: FakeCluster, job: str) -> None:
        pod = await cluster.pod_of(job)
        await cluster.runs(pod)
        await cluster.says(pod, "body 1.0 % | 1 done")
        await cluster.read(pod, 1)
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGINT)  # the waiting thread, as with a single thread

    code, said = site.trains(interrupted)
    assert code == 130
    assert "train-me continues on the cluster. To watch it: dance jobs watch train-me --kubeconfig" in said[-1]
    assert "To end it: dance jobs cancel train-me" in said[-1]
    assert "train-me" in site.cluster.jobs


def test_a_cancelled_job_ends_its_watchers(site):
    """Watchers see the last lines of the pod, and exit code 1."""

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
    """`list` shows their states; `cancel` accepts a Job's name or its actor's, and says what is kept."""
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
    """The log is shown from the beginning, and the exit code is the training's."""

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
        (["--footage-path", "/etc/passwd"], "--footage-path must be a file below /footage"),
        (["--footage-path", "../etc"], "--footage-path must be a file below /footage"),
        (["--work", "elsewhere"], "--work does not apply with --on kubernetes"),
        (["--nodes", "0"], "--nodes"),
        (["--gpus", "-1"], "--gpus"),
    ],
)
def test_options_that_make_no_sense_are_refused(site, more, message):
    """They end with exit code 2, without a request to the cluster."""
    code, said = site.trains(simple, *more)
    assert code == 2
    assert message in said[-1]
    assert not site.cluster.calls


def test_cluster_options_mean_nothing_here(site):
    """Without --on kubernetes, they are refused instead of ignored."""
    assert run(["train", "x.mp4", "--actor", "me", "--consent", "ours", "--gpus", "2"]) == 2
    assert "--gpus needs --on kubernetes" in site.capsys.readouterr().err


def test_a_misspelt_field_of_the_users_template_is_named(site, root, tmp_path):
    """A misspelt field is refused, although the Kubernetes client would silently drop it."""
    text = (root / "deploy" / "jobs" / "train.yaml").read_text().replace("backoffLimit:", "backofLimit:")
    (tmp_path / "mine.yaml").write_text(text)
    code, said = site.trains(simple, "--template", str(tmp_path / "mine.yaml"))
    assert code == 2
    assert "a Job has no field spec.backofLimit" in said[-1]


def test_the_servers_refusal_is_one_line(site, root, tmp_path):
    """An error that only the server can find is shown in its words."""
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
    """A 403 is shown in the server's words."""
    site.cluster.rights.withdraw("training-submitter")
    code, said = site.trains(simple)
    assert code == 1
    assert 'cannot get resource "jobs" in API group "batch"' in said[-1]
    assert "deploy/60-training-access.yaml says what a training needs" in said[-1]


def test_an_unknown_user_and_namespace_are_told(site):
    """401 and 403 are not retried."""
    named = json.dumps({"token": "stranger"})
    kubeconfig = site.served.kubeconfig
    kubeconfig.write_text(kubeconfig.read_text().replace("token: submitter", named.strip("{}").replace('"', "")))
    code, said = site.trains(simple)
    assert code == 1
    assert "log in again" in said[-1]


def test_a_missing_kubeconfig_is_told(site, tmp_path, capsys):
    """The error says where a cluster was looked for."""
    assert run(["jobs", "list", "--kubeconfig", str(tmp_path / "none")]) == 1
    said = capsys.readouterr().err
    assert "no cluster is known from" in said
    assert "; give --kubeconfig or --context" in said
    assert ".;" not in said
    assert said.count("\n") == 1
