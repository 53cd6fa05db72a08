"""`dance actors canary | promote | rollback`: which version of an actor new sessions get, in a folder of actors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from client.display import Display
from client.errors import CommandError, UsageError
from serving.actors import ActorStore
from serving.rollout import Served, promoted, rolled_back, with_canary

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
    store = _store(actors)
    store.load(name, version)  # what cannot be served is told now, and not to sessions
    _serve(store, name, with_canary(store.served(name), version, percent))


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
    store = _store(actors)
    now = store.served(name)
    if newest:
        store.load(name, store.versions(name)[-1])
        _serve(store, name, None)
        return
    version = version or (store.versions(name)[-1] if now.canary is None else now.canary.version)
    store.load(name, version)
    _serve(store, name, promoted(now, version))


def rollback(name: Name, actors: ActorsFolder = _HERE) -> None:
    """Take the canary away; without one, serve the version that was served before."""
    store = _store(actors)
    now = store.served(name)
    if now.canary is None and now.previous == 0:
        raise CommandError(f"nothing was served before version {now.version} of {name}")
    then = rolled_back(now)
    store.load(name, then.version)
    _serve(store, name, then)


def _store(folder: Path) -> ActorStore:
    if not folder.is_dir():
        raise CommandError(f"there is no actors' folder {folder}; --actors names another")
    return ActorStore(folder)


def _serve(store: ActorStore, name: str, served: Served | None) -> None:
    try:
        store.serve(name, served)
    except OSError as error:
        raise CommandError(f"{store.root / name} cannot be written: {error.strerror}") from error
    display, now = Display(), store.served(name)
    said = ", ".join(f"version {version} to {now.percent(version):g} %" for version in now.versions)
    later = " (and any newer one to come)" if served is None else ""
    display.out.print(f"{name}: {said} of the new sessions{later}; sessions that have begun keep theirs")
