"""The `dance` command line: its sub-commands, and the options of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated

import typer

from client.commands import consent, rollout
from client.commands.detect import detect_command
from client.commands.jobs import jobs_app
from client.commands.pose import evaluate_pose_command, pose_command
from client.commands.preview import preview
from client.commands.server import actors_command, doctor_command, up, web_command
from client.commands.training import evaluate_command, prepare_command, train_command
from client.commands.transfer import fit_command, transfer_command
from client.commands.verify import verify_command

app = typer.Typer(
    name="dance",
    help="Turn a video of a dancing person into a video of an actor who dances the same.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@dataclass(slots=True)
class Options:
    """The options of every sub-command."""

    debug: bool = False


options = Options()


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"dance {version('everybody-dance')}")
        raise typer.Exit


@app.callback()
def dance(
    debug: Annotated[bool, typer.Option("--debug", envvar="DANCE_DEBUG", help="Show where errors come from.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Turn a video of a dancing person into a video of an actor who dances the same."""
    options.debug = debug


for name, command in (
    ("up", up),
    ("web", web_command),
    ("transfer", transfer_command),
    ("fit", fit_command),
    ("doctor", doctor_command),
    ("prepare", prepare_command),
    ("train", train_command),
    ("evaluate", evaluate_command),
    ("verify", verify_command),
    ("pose", pose_command),
    ("evaluate-pose", evaluate_pose_command),
    ("detect", detect_command),
):
    app.command(name)(command)

actors_app = typer.Typer(rich_markup_mode=None)
actors_app.callback(invoke_without_command=True)(actors_command)
for change in (rollout.canary, rollout.promote, rollout.rollback, consent.revoke, consent.delete, preview):
    actors_app.command()(change)
app.add_typer(actors_app, name="actors")
app.add_typer(jobs_app, name="jobs")
