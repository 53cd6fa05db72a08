"""The options of trainings on a cluster, and `dance jobs`; the Kubernetes client, which is slow, is imported late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from client.errors import CommandError, UsageError
from client.terminal.display import Display

if TYPE_CHECKING:
    from client.cluster.jobs import ClusterAccess


class Where(Enum):
    """Where a training runs."""

    HERE = "here"
    KUBERNETES = "kubernetes"


_ONLY_HERE: Final = ("actors", "work", "device")
_ONLY_ON_A_CLUSTER: Final = (
    *("gpus", "nodes", "footage_path", "image", "template", "namespace", "kube_context", "kubeconfig"),
    *("detach", "patience"),
)
DEFAULT_NAMESPACE: Final = "everybody-dance"
DEFAULT_PATIENCE_SECONDS: Final = 600.0

On = Annotated[Where, typer.Option("--on", help="Where to train; kubernetes makes a Job of it.")]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", envvar="DANCE_NAMESPACE", help="Of the cluster's; deploy/ is made for this.")
]
Context = Annotated[str | None, typer.Option("--context", help="Of kubeconfig; default: its current one.")]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Default: KUBECONFIG, ~/.kube/config, then the pod's own rights.")
]
Image = Annotated[
    str | None, typer.Option("--image", envvar="DANCE_TRAINING_IMAGE", help="Of training; default: the template's.")
]
Gpus = Annotated[int, typer.Option("--gpus", min=0, help="Of each pod; 0 trains on CPUs.")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Pods that train together.")]
FootagePath = Annotated[
    list[str] | None,
    typer.Option(
        "--footage-path", metavar="PATH", help="A file in the cluster's volume, in place of FOOTAGE; once for each."
    ),
]
Template = Annotated[Path | None, typer.Option("--template", help="A Job like deploy/jobs/train.yaml, the default.")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not watch the Job.")]
Patience = Annotated[
    float, typer.Option("--patience", min=0, metavar="SECONDS", help="How long a lost cluster is tried again.")
]
JobName = Annotated[str, typer.Argument(metavar="NAME", help="The Job's name, or its actor's.")]

jobs_app = typer.Typer(help="Trainings on a cluster: list, watch, cancel.", no_args_is_help=True, rich_markup_mode=None)


def check_options(context: typer.Context, on: Where) -> None:
    """Raises UsageError for an option on the command line that means nothing where the training runs."""
    for name in _ONLY_HERE if on is Where.KUBERNETES else _ONLY_ON_A_CLUSTER:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = {"kube_context": "context"}.get(name, name).replace("_", "-")
            wants = "is not for" if on is Where.KUBERNETES else "is for"
            raise UsageError(f"--{option} {wants} --on kubernetes")


@contextmanager
def cluster_client() -> Iterator[None]:
    """Says which package to install where the Kubernetes client is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(f"a cluster needs {error.name}: in a checkout, pip install -e '.[deploy]'") from error


def cluster_access(namespace: str, context: str | None, kubeconfig: Path | None) -> ClusterAccess:
    """Raises CommandError where the Kubernetes client is not installed."""
    with cluster_client():
        from client.cluster.jobs import ClusterAccess
    return ClusterAccess(namespace=namespace, context=context, kubeconfig=kubeconfig)


@jobs_app.command("list")
def list_command(
    namespace: Namespace = DEFAULT_NAMESPACE, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """List the trainings of a cluster, with how they stand."""
    access = cluster_access(namespace, context, kubeconfig)
    from client.cluster.jobs import list_jobs

    list_jobs(access, Display())


@jobs_app.command("watch")
def watch_command(
    name: JobName,
    patience: Patience = DEFAULT_PATIENCE_SECONDS,
    namespace: Namespace = DEFAULT_NAMESPACE,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show a training's progress and log to its end. Exit code: the training's own. Ctrl-C does not end it."""
    access = cluster_access(namespace, context, kubeconfig)
    from client.cluster.jobs import watch_job

    watch_job(name, access, patience, Display())


@jobs_app.command("cancel")
def cancel_command(
    name: JobName, namespace: Namespace = DEFAULT_NAMESPACE, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """End a training. Its checkpoint stays, and the same `dance train` goes on from it."""
    access = cluster_access(namespace, context, kubeconfig)
    from client.cluster.jobs import cancel_job

    cancel_job(name, access, Display())
