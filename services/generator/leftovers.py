"""Temporary folders and shared memory whose names say who made them, so that what killed processes left is removed.

Names hold the maker's process id and its namespace of process ids: containers may share `/tmp` or `/dev/shm`, and the
same number is another process in each.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from serving.errors import BadSettings

_log = logging.getLogger(__name__)

SHARED_MEMORY: Final = Path("/dev/shm")
_MADE_BY_US: Final = re.compile(r"dance-(?:triton|generator|socket)-(?P<pid>\d+)-(?P<space>\d+)-.+")
_REGION_OF_OURS: Final = re.compile(r"dance_(?P<pid>\d+)_(?P<space>\d+)_[0-9a-f]{8}_.+")
_LONGEST_FOLDER_BYTES: Final = 99
"""A socket path may have 107 bytes (unix(7)); its own name has seven, with what Triton puts behind it."""


def places() -> tuple[Path, ...]:
    """Where folders of ours may lie, the first choice first: the folder for temporary files, then the system's."""
    return (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"), SHARED_MEMORY)


def folder_prefix(purpose: str) -> str:
    """What the name of a folder of this process begins with. purpose: triton, generator or socket."""
    return f"dance-{purpose}-{os.getpid()}-{_pid_space()}-"


def private_folder(purpose: str, within: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder that this user alone can look into. purpose: triton, generator or socket."""
    return tempfile.TemporaryDirectory(prefix=folder_prefix(purpose), dir=within)


def socket_folder() -> tempfile.TemporaryDirectory[str]:
    """A private folder with a path that is short enough for a socket. Raises BadSettings where there is none."""
    for within in places():
        try:
            folder = private_folder("socket", within)
        except OSError:
            continue
        name = folder.name
        if len(os.fsencode(name)) <= _LONGEST_FOLDER_BYTES and name.isascii() and not re.search(r"\s", name):
            return folder
        folder.cleanup()
    raise BadSettings("TMPDIR", "a folder that can be written is needed, with a short ASCII path without spaces")


def region_prefix() -> str:
    """What the names of all shared memory of one Triton begin with; another one for each start."""
    return f"dance_{os.getpid()}_{_pid_space()}_{secrets.token_hex(4)}_"


def regions(prefix: str) -> dict[str, int]:
    """Name and size in bytes of all shared memory that begins so."""
    found = {}
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        with suppress(FileNotFoundError):  # Triton was faster
            found[region.name] = region.stat().st_size
    return found


def remove_regions(prefix: str) -> None:
    """Removes all shared memory that begins so."""
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


def sweep() -> list[Path]:
    """Removes what processes of this user left that were killed, with a Triton of theirs or alone; returns it.

    What belongs to a process that lives, to another user, or to another container stays.
    """
    swept = [path for place in dict.fromkeys(places()) for path in _left_in(place, _MADE_BY_US)]
    for folder in swept:
        shutil.rmtree(folder, ignore_errors=True)
    for region in _left_in(SHARED_MEMORY, _REGION_OF_OURS):
        region.unlink(missing_ok=True)
        swept.append(region)
    if swept:
        _log.info("removed what killed processes had left: %s", ", ".join(map(str, swept)))
    return swept


def _left_in(place: Path, ours: re.Pattern[str]) -> list[Path]:
    try:
        entries = list(os.scandir(place))
    except OSError:
        return []
    left = []
    for entry in entries:
        name = ours.fullmatch(entry.name)
        if name is None or int(name["space"]) != _pid_space() or psutil.pid_exists(int(name["pid"])):
            continue
        try:
            if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                left.append(Path(entry.path))
        except FileNotFoundError:
            continue
    return left


def _pid_space() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - it is a link to no path
    except OSError:
        return 0
