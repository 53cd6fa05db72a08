"""The folders that a training writes to: whether they are writable, in use by another training, or on a full disk."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from grpc import StatusCode

from motion.frame import FrameSize
from serving.errors import BadInput, DanceError, WorkFolderBusy
from serving.process.atomic_files import locked_folder, why_unwritable

PLATE_FRAMES: Final = 80
"""Frames that the plate is the median of, spread over the footage; more frames take time and improve little."""

_SIGHTING_BYTES: Final = 10_000
"""A pose, a compressed mask and the measures of a frame; measured sizes were 5 to 8 kB."""
_STAGE_BYTES_PER_PIXEL: Final = 11
"""Three bytes each for pictures, targets and label maps, one each for masks and props."""


class DiskFull(DanceError):
    """The disk has too little room for the next files; what was written so far is kept."""

    code = StatusCode.RESOURCE_EXHAUSTED


def check_writable(folder: Path, option: str) -> None:
    """Raises BadInput if a folder that a training writes to at its end cannot be created or written."""
    reason = why_unwritable(folder, is_folder=True)
    if reason is not None:
        raise BadInput(option, f"the folder {folder} cannot be written: {reason}")


@contextmanager
def locked(work_root: Path) -> Iterator[None]:
    """Lock the work folder, and create it if necessary: two trainings would overwrite each other's files.

    The system releases the lock when the process dies. Raises WorkFolderBusy immediately if another training holds it,
    and BadInput if it cannot be written.
    """
    check_writable(work_root, "--work")
    work_root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(locked_folder(work_root))
        except BlockingIOError as error:
            raise WorkFolderBusy(
                "work", f"another training is at work in {work_root}: wait for its end, or choose another --work folder"
            ) from error
        yield


def bytes_needed(frames: int, frame_size: FrameSize, width_px: int, height_px: int) -> int:
    """Approximate peak size of prepared footage; the plate's frames are removed at the end."""
    plate = min(frames, PLATE_FRAMES) * frame_size.width_px * frame_size.height_px * 3
    return plate + frames * (_SIGHTING_BYTES + width_px * height_px * _STAGE_BYTES_PER_PIXEL)


def bytes_in(folders: Iterable[Path]) -> int:
    """Size of all files in these folders; missing folders are empty."""
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def check_room(folder: Path, missing_bytes: int, what_needs: str, ways_out: str) -> str:
    """Compare the free room in `folder` with what is needed on top of what is there; returns both in words.

    what_needs: the beginning of these words, such as "preparation needs".
    Raises DiskFull, with the ways out, if the room is too small.
    """
    existing = folder
    while not existing.is_dir():
        existing = existing.parent
    missing, free = max(0, missing_bytes), shutil.disk_usage(existing).free
    said = f"{what_needs} about {_gigabytes(missing)} in {folder}; {_gigabytes(free)} are free"
    if missing > free:
        raise DiskFull(f"{said}: {ways_out}")
    return said


@contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into a DiskFull, which is one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            f"the disk of {folder} is full; what was done is kept: free some room, and the same command goes on"
        ) from error


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
