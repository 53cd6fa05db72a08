"""Room on the disk: how much preparation takes, and one clear error where there is none, in training too."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from grpc import StatusCode

from motion.frame import FrameSize
from serving.errors import DanceError

PLATE_FRAMES: Final = 80
"""Frames that the plate is the median of, spread over the footage; more add time and little else."""

_SIGHTING_BYTES: Final = 10_000
"""A pose, a compressed mask and the measures of a frame; 5 to 8 kB were seen."""
_STAGE_BYTES_PER_PIXEL: Final = 11
"""Pictures, targets and label maps of three bytes, masks and props of one."""


class DiskFull(DanceError):
    """There is no room, or too little, for what is to be written; what was written so far is kept."""

    code = StatusCode.RESOURCE_EXHAUSTED


def bytes_needed(frames: int, frame_size: FrameSize, width_px: int, height_px: int) -> int:
    """What preparing so many frames takes at its peak, about; the plate's frames are removed at the end."""
    plate = min(frames, PLATE_FRAMES) * frame_size.width_px * frame_size.height_px * 3
    return plate + frames * (_SIGHTING_BYTES + width_px * height_px * _STAGE_BYTES_PER_PIXEL)


def bytes_in(folders: Iterable[Path]) -> int:
    """Of all files in these folders, as far as they are there."""
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def check_room(folder: Path, missing_bytes: int, for_what: str, ways_out: str) -> str:
    """What is needed in `folder`, on top of what is there, and what is free, in words.

    Raises DiskFull where it does not suffice, with the ways out.
    """
    missing, free = max(0, missing_bytes), shutil.disk_usage(_existing(folder)).free
    said = f"about {_gigabytes(missing)} of disk are needed in {folder} for {for_what}, {_gigabytes(free)} are free"
    if missing > free:
        raise DiskFull(f"{said}: {ways_out}")
    return said


@contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """A disk that fills up inside becomes one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            f"the disk of {folder} is full; what was done is kept: free some room, and the same command goes on"
        ) from error


def _existing(folder: Path) -> Path:
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
