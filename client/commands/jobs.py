"""`dance jobs`: trainings on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from client.cluster.options import PATIENCE_SECONDS, ClusterAccess, PatienceOption
from client.errors import CommandError
from client.terminal.display import Display
from serving.process.option_groups import option_groups

JobName = Annotated[str, typer.Argument(metavar="NAME", help="The Job's name, or its actor's.")]

jobs_app = typer.Typer(help="Trainings on a cluster: list, watch, cancel.", no_args_is_help=True, rich_markup_mode=None)


@contextmanager
def cluster_client() -> Iterator[None]:
    """Wrap imports of the Kubernetes client. Raises CommandError, which names the package to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(f"a cluster needs {error.name}: in a checkout, pip install -e '.[deploy]'") from error


@jobs_app.command("list")
@option_groups
def list_command(access: ClusterAccess) -> None:
    """List the trainings of a cluster and their states."""
    with cluster_client():
        from client.cluster.jobs import list_jobs
    list_jobs(access, Display())


@jobs_app.command("watch")
@option_groups
def watch_command(name: JobName, *, patience: PatienceOption = PATIENCE_SECONDS, access: ClusterAccess) -> None:
    """Show a training's progress and log until it ends. The exit code is the training's. Ctrl-C does not stop it."""
    with cluster_client():
        from client.cluster.jobs import watch_job
    watch_job(name, access, patience, Display())


@jobs_app.command("cancel")
@option_groups
def cancel_command(name: JobName, access: ClusterAccess) -> None:
    """Stop a training. Its checkpoint is kept, and the same `dance train` continues from it."""
    with cluster_client():
        from client.cluster.jobs import cancel_job
    cancel_job(name, access, Display())
