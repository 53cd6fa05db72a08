"""Atomic writes of files and folders: written under a hidden name, then renamed into place.

Also folders that one process uses at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from motion.frame import Picture

_LONGEST_NAME_BYTES: Final = 100
"""The limit for hidden names. A longer one is replaced by its hash, so that every valid name has a hidden one."""
_LONGEST_SUFFIX_BYTES: Final = 16
_PROBE_BYTES: Final = 4096
_LOCK_FILE: Final = ".lock"


def hidden_beside(path: Path) -> Path:
    """Return where `path` is written until it is complete: a hidden name in the same folder, with the same suffix.

    The name is unique for each process of one machine. If several machines share a folder, only one may write there.
    """
    name = f".{path.stem}.{os.getpid()}.partial{path.suffix}"
    if len(os.fsencode(name)) > _LONGEST_NAME_BYTES:
        suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX_BYTES else ""
        digest = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
        name = f".{digest}.{os.getpid()}.partial{suffix}"
    return path.with_name(name)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path with the same suffix to write to; it becomes `path` on success and is removed otherwise.

    The folder is created. Raises OSError.
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
    """Yield an empty folder to write files to; they are in `folder` on success and are removed otherwise.

    A new `folder` is written beside its place and renamed. If `folder` exists (it may be a link or a mount, or its
    parent may be read-only), the new files replace those of the same names at the end, in order of their names, the one
    named `last` after all others. If one of them cannot be moved, files with new names are removed again. Raises
    OSError.
    """
    folder = _resolved(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = hidden_beside(folder / "new" if folder.is_dir() else folder)
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed process that had our process id
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
    """Move all of them; if that fails, remove those whose names are new."""
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


def _resolved(folder: Path) -> Path:
    """Resolve links, so that the name is neither `.` nor that of a link."""
    return Path(os.path.realpath(folder))  # Path.resolve raises for a loop of links.


def why_unwritable(path: Path, needed_bytes: int = 0, *, is_folder: bool = False) -> str | None:
    """Return why a file or folder of this name cannot be written or created; None if it can.

    This writes a small file and removes it again; it creates no folder. needed_bytes: free space that the disk must
    have.
    """
    if is_folder:
        path = _resolved(path)
        if os.path.lexists(path) and not os.path.isdir(path):  # noqa: PTH112
            return f"{path} is not a folder"
    # Path.exists raises for a name that is too long.
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


def write_picture(path: Path, picture: Picture) -> None:
    """Write `[H, W, 3]` uint8 RGB as a PNG file. Raises OSError."""
    import cv2  # slow to import, and most programs that write files need no pictures

    encoded, data = cv2.imencode(".png", picture[..., ::-1])
    if not encoded:
        raise OSError(f"cannot encode {path}")
    with written_whole(path) as partial:
        partial.write_bytes(data.tobytes())


def read_picture(path: Path) -> Picture:
    """Read a picture file as `[H, W, 3]` uint8 RGB. Raises OSError."""
    import cv2

    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise OSError(f"cannot read {path} as a picture")
    return np.ascontiguousarray(pixels[..., ::-1], dtype=np.uint8)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing folder while the context lasts. The system releases it when the process dies.

    Raises BlockingIOError at once if another process holds it, and OSError if the folder cannot be written.
    """
    with (folder / _LOCK_FILE).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
