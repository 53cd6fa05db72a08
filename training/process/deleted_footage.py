"""Delete what the trainings of an actor keep in a work folder: prepared footage, checkpoints, previews and scores."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from serving.actors.store import ActorStore
from serving.errors import ActorUnusable
from training.process.work_folder import locked

_FOOTAGE_FOLDER = "footage"


def footage_folders(store: ActorStore, actor_id: str, work_root: Path) -> list[Path]:
    """Return the folders of an actor in a work folder: its training's, and those with the footage of its versions.

    Other footage may have been prepared for it as well, which nothing in the store names: see `other_footage`.
    """
    fingerprints = set()
    for version in store.versions(actor_id):
        try:
            trained = store.read(actor_id, version).trained
        except ActorUnusable:
            continue
        fingerprints.add(trained.get("footage_fingerprint"))
    prepared = [folder for folder in _prepared(work_root) if folder.name.rpartition("-preparation")[0] in fingerprints]
    return [folder for folder in (work_root / actor_id, *prepared) if folder.is_dir()]


def other_footage(work_root: Path, deleted: Iterable[Path]) -> list[Path]:
    """Return the folders of prepared footage that are not among the deleted ones."""
    gone = set(deleted)
    return [folder for folder in _prepared(work_root) if folder not in gone]


def delete_folders(folders: Iterable[Path], work_root: Path) -> None:
    """Delete folders of a work folder. Raises WorkFolderBusy while a training works there, and OSError."""
    with locked(work_root):
        for folder in folders:
            shutil.rmtree(folder)


def _prepared(work_root: Path) -> list[Path]:
    folder = work_root / _FOOTAGE_FOLDER
    return sorted(entry for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
