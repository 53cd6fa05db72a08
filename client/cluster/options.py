"""The options of trainings on a cluster. Nothing here imports the Kubernetes client, which is slow."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import typer

from training.options import TrainRequest

NAMESPACE: Final = "everybody-dance"
PATIENCE_SECONDS: Final = 600.0
_LONGEST_NAME: Final = 52
"""Pods of an Indexed Job have the host name <name>-<index>, of at most 63 characters."""

PatienceOption = Annotated[
    float, typer.Option("--patience", min=0, metavar="SECONDS", help="How long to retry when the cluster is lost.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterAccess:
    """Which namespace of which cluster to use; None takes kubeconfig's own."""

    namespace: Annotated[
        str,
        typer.Option(
            "--namespace", "-n", envvar="DANCE_NAMESPACE", help="Namespace in the cluster; deploy/ uses the default."
        ),
    ] = NAMESPACE
    context: Annotated[
        str | None, typer.Option("--context", help="Context in kubeconfig; default: its current one.")
    ] = None
    kubeconfig: Annotated[
        Path | None,
        typer.Option("--kubeconfig", help="Default: KUBECONFIG, ~/.kube/config, then the pod's own rights."),
    ] = None

    def command(self, *words: str) -> str:
        """A `dance jobs` command line with the same access."""
        options = [] if self.namespace == NAMESPACE else ["--namespace", self.namespace]
        options += [] if self.kubeconfig is None else ["--kubeconfig", str(self.kubeconfig)]
        options += [] if self.context is None else ["--context", self.context]
        return shlex.join(["dance", "jobs", *words, *options])


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterTraining:
    """A training to run on a cluster.

    training: with the footage's local paths; with `footage_path`, its keypoints are folders in the footage volume.
    footage_path: the files' paths in the cluster's footage volume, absolute or relative to it; without any, the footage
    is uploaded. name: of the Job; empty derives one from the actor.
    """

    training: TrainRequest
    access: ClusterAccess
    name: str = ""
    gpus: Annotated[int, typer.Option("--gpus", min=0, help="GPUs per pod; 0 trains on CPUs.")] = 1
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Number of pods that train together.")] = 1
    footage_path: Annotated[
        list[str],
        typer.Option(
            "--footage-path",
            metavar="PATH",
            help="A file in the cluster's volume, in place of FOOTAGE; repeat it for each file.",
        ),
    ] = field(default_factory=list)
    image: Annotated[
        str | None,
        typer.Option("--image", envvar="DANCE_TRAINING_IMAGE", help="Training image; default: the template's."),
    ] = None
    template: Annotated[
        Path | None, typer.Option("--template", help="A Job like deploy/jobs/train.yaml, which is the default.")
    ] = None
    detach: Annotated[bool, typer.Option("--detach", help="Do not watch the Job.")] = False
    patience_seconds: PatienceOption = PATIENCE_SECONDS

    @property
    def job_name(self) -> str:
        """`name`, or one derived from the actor, so that only one training at a time trains an actor."""
        return self.name or job_name(self.training.actor)


def job_name(actor: str) -> str:
    """The name of the Job that trains `actor`; unique per actor."""
    word = re.sub(r"[^a-z0-9]+", "-", actor).strip("-")
    name = f"train-{word}"
    if word != actor or len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 7].rstrip('-')}-{sha256(actor.encode()).hexdigest()[:6]}"
    return name
