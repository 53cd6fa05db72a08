"""`dance actors canary | promote | rollback`: which version of an actor new sessions get, in a folder of actors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from client.errors import CommandError, UsageError
from client.terminal.display import Display
from serving.actors import rollout_cli
from serving.actors.store import ActorStore

ActorsFolder = Annotated[Path, typer.Option("--actors", envvar="DANCE_ACTORS", help="Folder of the actors.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The actor.")]
_HERE: Final = Path("actors")


def canary(
    name: Name,
    version: Annotated[int, typer.Option(min=1, help="The version to be tried.")],
    percent: Annotated[float, typer.Option(help="Of the new sessions that get it, above 0 and below 100.")],
    actors: ActorsFolder = _HERE,
) -> None:
    """Serve a version to some of the new sessions, beside the one that the others get."""
    if not 0 < percent < 100:
        raise UsageError(f"--percent must lie between 0 and 100, got {percent:g}; `dance actors promote` serves all")
    _told(actors, lambda store: rollout_cli.canary(store, name, version, percent))


def promote(
    name: Name,
    version: Annotated[int, typer.Option(min=0, help="Default: the canary, or without one the newest.")] = 0,
    newest: Annotated[
        bool, typer.Option("--newest", help="Serve the newest, and any that is published later.")
    ] = False,
    actors: ActorsFolder = _HERE,
) -> None:
    """Serve a version to all new sessions."""
    if newest and version:
        raise UsageError("--newest and --version exclude each other")
    if newest:
        _told(actors, lambda store: rollout_cli.follow_newest(store, name))
    else:
        _told(actors, lambda store: rollout_cli.promote(store, name, version))


def rollback(name: Name, actors: ActorsFolder = _HERE) -> None:
    """Take the canary away; without one, serve the version that was served before."""
    _told(actors, lambda store: rollout_cli.rollback(store, name))


def _told(folder: Path, change: Callable[[ActorStore], str]) -> None:
    if not folder.is_dir():
        raise CommandError(f"there is no actors' folder {folder}; --actors names another")
    try:
        Display().out.print(change(ActorStore(folder)))
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be written: {error.strerror}") from error
