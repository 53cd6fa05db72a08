"""`dance actors revoke | delete`: withdraw the consent to an actor, and delete the pictures of the person."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import DEFAULT_ACTORS, ActorsFolder
from client.errors import CommandError, UsageError
from client.local_stack.actors_folder import check_folder
from client.terminal.display import Display
from serving.actors import rollout_cli
from serving.actors.consent_history import HISTORY_FILE
from serving.actors.store import ActorStore
from training.consent_options import user_name
from training.options import DEFAULT_WORK

_REMAINS = (
    "the footage that the training read; copies of the folder, such as on other servers or in backups; videos that "
    "were made, and checkpoints, which contain a picture, on the machines of those who danced; dances, recordings and "
    "footage that the page's gateway keeps in WEB_DATA_FOLDER. A cluster's volumes are folders of their own: run this "
    "command there. A training that is running publishes the person again, unless the consent was revoked"
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The actor.")]
Version = Annotated[int, typer.Option("--version", min=0, help="Only this version. Default: the whole actor.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it, for the history; default: your user name.")]


def revoke(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why; running sessions and the history say so.")],
    version: Version = 0,
    by: By = "",
    actors: ActorsFolder = DEFAULT_ACTORS,
) -> None:
    """Revoke the consent to an actor. New sessions are refused, and running ones end at their next frame.

    The files stay; `dance actors delete` deletes them. A revoked version cannot be served again. A new training needs a
    consent that was given on this day or later.
    """
    check_folder(actors)
    try:
        said = rollout_cli.revoke(ActorStore(actors), name, version, reason=reason, by=by or user_name())
    except OSError as error:
        raise _unwritable(error, actors) from error
    Display().out.print(said)
    Display().note(f"the files are still there; `dance actors delete {name}` deletes them")


def delete(
    name: Name,
    version: Version = 0,
    footage: Annotated[
        bool, typer.Option("--footage", help="Also the prepared footage and the training's checkpoints in --work.")
    ] = False,
    work: Annotated[Path, typer.Option("--work", help="The work folder of the trainings.")] = DEFAULT_WORK,
    by: By = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    actors: ActorsFolder = DEFAULT_ACTORS,
) -> None:
    """Delete an actor's versions, and with --footage the footage.

    These are the pictures of the person; what the trainings keep goes with the footage. The history of the consents
    stays. If this is interrupted, the same command continues it.
    """
    # No other command needs it.
    from training.process.deleted_footage import delete_folders, footage_folders, other_footage

    display, by = Display(), rollout_cli.checked_by(by or user_name())
    if footage and version:
        raise UsageError("--footage goes with the whole actor, not with --version")
    check_folder(actors)
    store = ActorStore(actors)
    versions = store.versions(name)
    folders = footage_folders(store, name, work) if footage else []
    if not versions and not folders:
        if _finished(store, actors):
            display.out.print("deleted what an interrupted deletion had left")
            return
        store.load(name)  # says which actors there are
    if not yes:
        _confirm(f"Delete {_described(name, version, versions, folders)}")
    try:
        if folders:  # first: the versions say which footage it is
            delete_folders(folders, work)
        deleted = store.delete(name, version, by=by, footage=footage) if versions else ()
    except OSError as error:
        raise _unwritable(error, actors) from error
    out = display.out
    out.print(f"deleted {_described(name, version, deleted, folders)}")
    out.print(f"kept {actors / name / HISTORY_FILE}, which has no pictures")
    left = other_footage(work, folders) if footage else []
    if left:
        display.note(f"not deleted, because no version names it: prepared footage in {', '.join(map(str, left))}")
    if not footage and (work / name).is_dir():
        display.note(f"not deleted: what its trainings keep in {work}; --footage deletes that as well")
    display.note(f"not deleted, because this command cannot know of it: {_REMAINS}")


def _described(name: str, version: int, versions: tuple[int, ...] | list[int], folders: list[Path]) -> str:
    whole = (
        [f"{name} version {version}" if version else f"{name}, {rollout_cli.numbered(versions)}"] if versions else []
    )
    return " and ".join([*whole, *map(str, folders)])


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask: --yes deletes without asking")
    typer.confirm(question, abort=True, err=True)


def _finished(store: ActorStore, actors: Path) -> bool:
    try:
        return store.finish_removals()
    except OSError as error:
        raise _unwritable(error, actors) from error


def _unwritable(error: OSError, actors: Path) -> CommandError:
    return CommandError(f"{error.filename or actors} cannot be changed: {error.strerror}; the same command continues")
