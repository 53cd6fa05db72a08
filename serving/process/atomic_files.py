"""Files and folders that are whole or not there: written under a hidden name, then renamed to their place."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LONGEST_NAME_BYTES: Final = 100
"""Of a hidden name; a longer one gives way to its hash, so that every name that may be written has one."""
_LONGEST_SUFFIX_BYTES: Final = 16
_PROBE_BYTES: Final = 4096


def hidden_beside(path: Path) -> Path:
    """Where `path` is written until it is whole: in the same folder, hidden, with the same suffix.

    Its name tells processes of one machine apart; of several machines that share a folder, one alone may write there.
    """
    name = f".{path.stem}.{os.getpid()}.partial{path.suffix}"
    if len(os.fsencode(name)) > _LONGEST_NAME_BYTES:
        suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX_BYTES else ""
        digest = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
        name = f".{digest}.{os.getpid()}.partial{suffix}"
    return path.with_name(name)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path of the same suffix to write to; it becomes `path` when the block ends well and is removed otherwise.

    Its folder is made. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = hidden_beside(path)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(folder: Path, *, last: str = "") -> Iterator[Path]:
    """An empty folder to write files to; they are in `folder` when the block ends well and are removed otherwise.

    A new `folder` is written beside its place and renamed. Inside of one that is there already (it may be a link or a
    mount, or its parent not writable) the new files take the place of those of their names at the end, by name, the one
    named `last` after all others; where one cannot, those of new names are removed again. Raises OSError.
    """
    folder = _behind_links(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = hidden_beside(folder / "new" if folder.is_dir() else folder)
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed, whose number is ours now
    partial.mkdir()
    try:
        yield partial
        if folder.is_dir():
            _move(sorted(partial.iterdir(), key=lambda path: (path.name == last, path.name)), folder)
        else:
            partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move(paths: list[Path], folder: Path) -> None:
    """All of them, or none of a name that was not there before."""
    added = []
    try:
        for path in paths:
            place = folder / path.name
            is_new = not os.path.lexists(place)
            path.replace(place)
            if is_new:
                added.append(place)
    except BaseException:
        for place in added:
            place.unlink(missing_ok=True)
        raise


def _behind_links(folder: Path) -> Path:
    """Where a folder really is; its name is then neither `.` nor a link's."""
    return Path(os.path.realpath(folder))  # Path.resolve raises for links in a circle.


def why_unwritable(path: Path, needed_bytes: int = 0, *, is_folder: bool = False) -> str | None:
    """Why a file or folder of this name cannot be written, or cannot be made, in words; None where it can.

    It is tried, with a small file that is removed again; no folder is made. needed_bytes: on its disk, at least.
    """
    if is_folder:
        path = _behind_links(path)
        if os.path.lexists(path) and not os.path.isdir(path):  # noqa: PTH112
            return f"{path} is not a folder"
    # Not Path.exists, which raises for a name that is too long.
    there = path if is_folder and os.path.isdir(path) else path.parent  # noqa: PTH112
    while not os.path.exists(there):  # noqa: PTH110
        there = there.parent
    try:
        if not there.is_dir():
            return f"{there} is not a folder"
        longest_bytes = os.pathconf(there, "PC_NAME_MAX")
        for name in path.relative_to(there).parts:
            if len(os.fsencode(name)) > longest_bytes:
                return f"the name has {len(os.fsencode(name))} bytes, at most {longest_bytes} are possible there"
        probe = hidden_beside(there / "probe")
        try:
            probe.write_bytes(bytes(_PROBE_BYTES))
        finally:
            probe.unlink(missing_ok=True)
        free_bytes = shutil.disk_usage(there).free
    except OSError as error:
        return error.strerror or str(error)
    if free_bytes < needed_bytes:
        return f"about {needed_bytes / 1e9:.2g} GB are needed, {free_bytes / 1e9:.2g} GB are free"
    return None
