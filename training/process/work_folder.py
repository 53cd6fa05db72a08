"""One training at a time in a work folder: two would write the same caches and checkpoints."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from serving.errors import BadInput, WorkFolderBusy
from serving.process.atomic_files import why_unwritable

_LOCK_FILE: Final = ".lock"


def check_writable(folder: Path, option: str) -> None:
    """Raises BadInput where a folder that a training writes to at its end cannot be made or written."""
    reason = why_unwritable(folder, is_folder=True)
    if reason is not None:
        raise BadInput(option, f"the folder {folder} cannot be written: {reason}")


@contextmanager
def locked(work_root: Path) -> Iterator[None]:
    """Holds the work folder, which is made where it is missing; the system lets go of it when the process dies.

    Raises WorkFolderBusy, at once, while another training holds it, and BadInput where it cannot be written.
    """
    check_writable(work_root, "--work")
    work_root.mkdir(parents=True, exist_ok=True)
    with (work_root / _LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkFolderBusy(
                "work", f"another training is at work in {work_root}: wait for its end, or choose another --work folder"
            ) from error
        yield
