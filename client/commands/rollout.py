"""`dance actors canary | promote | rollback`: set which version of an actor new sessions get, in a folder of actors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import DEFAULT_ACTORS, ActorsFolder
from client.errors import CommandError, UsageError
from client.local_stack.actors_folder import check_folder
from client.terminal.display import Display
from serving.actors import rollout_cli
from serving.actors.store import ActorStore

Name = Annotated[str, typer.Argument(metavar="NAME", help="The actor.")]


def canary(
    name: Name,
    version: Annotated[int, typer.Option(min=1, help="The version to try.")],
    percent: Annotated[float, typer.Option(help="Percentage of new sessions that get it, above 0 and below 100.")],
    actors: ActorsFolder = DEFAULT_ACTORS,
) -> None:
    """Serve a version to some of the new sessions. The others get the version that is served now."""
    if not 0 < percent < 100:
        raise UsageError(f"--percent must lie between 0 and 100, got {percent:g}; `dance actors promote` serves all")
    _change(actors, lambda store: rollout_cli.canary(store, name, version, percent))


def promote(
    name: Name,
    version: Annotated[int, typer.Option(min=0, help="Default: the canary, or without one the newest.")] = 0,
    newest: Annotated[
        bool, typer.Option("--newest", help="Serve the newest version, and any that is published later.")
    ] = False,
    actors: ActorsFolder = DEFAULT_ACTORS,
) -> None:
    """Serve a version to all new sessions."""
    if newest and version:
        raise UsageError("--newest and --version exclude each other")
    if newest:
        _change(actors, lambda store: rollout_cli.follow_newest(store, name))
    else:
        _change(actors, lambda store: rollout_cli.promote(store, name, version))


def rollback(name: Name, actors: ActorsFolder = DEFAULT_ACTORS) -> None:
    """Remove the canary, or serve the previous version again."""
    _change(actors, lambda store: rollout_cli.rollback(store, name))


def _change(folder: Path, change: Callable[[ActorStore], str]) -> None:
    check_folder(folder)
    try:
        Display().out.print(change(ActorStore(folder)))
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be written: {error.strerror}") from error
