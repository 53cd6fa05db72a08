"""The Job's template, the Jobs rendered from it, and the files in deploy/jobs."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from client.cluster.job_template import TEMPLATE, on_cluster, read_template, render, upload_pod
from client.cluster.job_watcher import LogPlace
from client.cluster.options import ClusterAccess, ClusterTraining, job_name
from client.errors import CommandError
from serving.process.exit_codes import EXIT_FINAL, EXIT_INTERRUPTED
from training.options import FootageRequest, TrainRequest

VERSIONS = ("1.31", "1.34", "1.37")
FOOTAGE = FootageRequest(files=[Path("/footage/me.mp4")])
TRAINING = on_cluster(
    TrainRequest(footage=FOOTAGE, actor="me", preset="fine-512", consent="who agreed, to what"), FOOTAGE, 1
)
EXAMPLE = ClusterTraining(training=TRAINING, access=ClusterAccess())


def test_the_template_is_what_is_rendered_for_its_own_example():
    """`kubectl create -f deploy/jobs/train.yaml` and `dance train --on kubernetes` make the same Job."""
    assert render(read_template(), EXAMPLE) == read_template()


def test_the_other_files_are_made_from_the_template(root: Path):
    """The generated files are up to date."""
    command = [sys.executable, "scripts/generate_job_manifests.py", "--check"]
    checked = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "asked", [{}, {"gpus": 0}, {"gpus": 8}, {"nodes": 3}, {"nodes": 2, "gpus": 0}, {"image": "registry/training:1"}]
)
def test_every_variant_is_valid(version, asked):
    """Every variant matches the published schema, without unknown fields."""
    request = replace(EXAMPLE, **asked)
    for document in (render(read_template(), request), upload_pod(read_template(), request, 60)):
        kubernetes_validate.validate(document, version, strict=True)


def test_rendering_leaves_the_template_alone():
    """A template can be rendered many times."""
    template = read_template()
    before = copy.deepcopy(template)
    render(template, replace(EXAMPLE, nodes=2, gpus=0, image="other:1"))
    assert template == before


def test_the_failure_policy_knows_the_trainings_exit_codes():
    """42 ends the Job, 75 and disruptions do not count, and a configuration error outranks a disruption."""
    spec = read_template()["spec"]
    first, second, third = spec["podFailurePolicy"]["rules"]
    assert (first["action"], first["onExitCodes"]["values"]) == ("FailJob", [EXIT_FINAL])
    assert (second["action"], second["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (third["action"], third["onExitCodes"]["values"]) == ("Ignore", [EXIT_INTERRUPTED])
    assert spec["podReplacementPolicy"] == "Failed"


def test_several_pods_meet_at_the_first_one():
    """torchrun's environment sets rank, number and meeting point of the pods, by the name of the headless Service."""
    job = render(read_template(), replace(EXAMPLE, nodes=3, gpus=4))
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert environment["PET_NNODES"] == "3"
    assert environment["PET_NPROC_PER_NODE"] == "4"
    assert environment["PET_MASTER_ADDR"] == "train-me-0.training"
    assert container["command"] == ["python", "-m", "training.torchrun", "-m", "training"]
    assert (job["spec"]["parallelism"], job["spec"]["completions"], job["spec"]["backoffLimit"]) == (3, 3, 9)
    service = yaml.safe_load((TEMPLATE.parents[1] / "60-training-service.yaml").read_text())
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert (service["metadata"]["name"], service["spec"]["clusterIP"]) == (spec["subdomain"], "None")
    assert service["spec"]["publishNotReadyAddresses"] is True


def test_one_pod_with_several_gpus_trains_by_torchrun_without_a_rendezvous():
    """The processes of one pod connect on loopback."""
    job = render(read_template(), replace(EXAMPLE, gpus=2))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    names = {one["name"] for one in container["env"]}
    assert {"PET_NNODES", "PET_NPROC_PER_NODE"} <= names
    assert "PET_MASTER_ADDR" not in names
    assert "completionMode" not in job["spec"]


def test_names_of_jobs_are_names_of_hosts():
    """Every actor's id maps to a different name, short enough for a pod of an Indexed Job."""
    actors = ["me", "a_b", "a-b", "x-", "x_", "x", "9", "n" * 63, "n" * 62, "n" * 62 + "-"]
    names = [job_name(actor) for actor in actors]
    assert len(set(names)) == len(actors)
    assert names[0] == "train-me"
    for name in names:
        assert len(f"{name}-10") <= 63
        assert name.replace("-", "").isalnum()
        assert not name.endswith("-")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not one YAML"),
        ("kind: Pod", "must be a Job"),
        ("- 1", "must be a Job"),
        ("a: !!python/name:os.system", "is not one YAML"),
    ],
)
def test_a_template_that_is_none_is_refused(tmp_path, text, message):
    """The error is one line with the file's name, and nothing in the file is run."""
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(CommandError, match=message):
        read_template(tmp_path / "mine.yaml")
    with pytest.raises(CommandError, match="cannot be read"):
        read_template(tmp_path / "none.yaml")


def test_a_users_template_keeps_what_is_his(tmp_path):
    """Selectors, tolerations and pull secrets of the user's cluster stay, even without a GPU."""
    template = read_template()
    spec = template["spec"]["template"]["spec"]
    spec["nodeSelector"]["pool"] = "batch"
    spec["tolerations"].append({"key": "batch", "operator": "Exists"})
    spec["imagePullSecrets"] = [{"name": "registry"}]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(template))
    mine = read_template(tmp_path / "mine.yaml")
    rendered = render(mine, replace(EXAMPLE, gpus=0))["spec"]["template"]["spec"]
    assert rendered["nodeSelector"] == {"pool": "batch"}
    assert rendered["tolerations"] == [{"key": "batch", "operator": "Exists"}]
    assert upload_pod(mine, EXAMPLE, 60)["spec"]["imagePullSecrets"] == [{"name": "registry"}]


def test_a_bare_template_is_enough(tmp_path):
    """Even a Job without labels, ports, environment and limits can be rendered for many pods with GPUs."""
    template = read_template()
    del template["metadata"]["labels"], template["spec"]["template"]["metadata"]
    (container,) = template["spec"]["template"]["spec"]["containers"]
    for key in ("ports", "env", "resources", "securityContext"):
        del container[key]
    del template["spec"]["template"]["spec"]["subdomain"]
    job = render(template, replace(EXAMPLE, nodes=2, gpus=2))
    kubernetes_validate.validate(job, VERSIONS[-1], strict=True)
    kubernetes_validate.validate(upload_pod(template, EXAMPLE, 60), VERSIONS[-1], strict=True)
    assert job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"]


def test_lines_of_a_log_are_told_apart_by_their_times():
    """Times with fractions of any length and zones compare correctly; lines with equal times are counted."""
    place = LogPlace()
    read = place.reader()
    first = ["2026-05-04T03:00:00.1Z a", "2026-05-04T03:00:00.100000001Z b", "2026-05-04T03:00:00.100000001Z c"]
    assert [read(line) for line in first] == ["a", "b", "c"]
    again = place.reader()
    assert [again(line) for line in first] == [None, None, None]
    assert again("2026-05-04T05:00:00.100000001+02:00 d") == "d"
    assert again("2026-05-04T03:00:01Z ") == ""
    assert again("unable to read the log") == "unable to read the log"
