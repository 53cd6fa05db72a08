"""Temporary folders and shared memory that are locked while their maker lives, so that what killed processes left goes.

The kernel gives a lock back when its process ends, however it ends. So a lock says who lives between containers too,
whose process ids mean nothing to each other, and between machines that share a folder. The lock is on a file, not on
the folder itself: locks on folders of NFS count on one machine only.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from serving.errors import BadSettings

_log = logging.getLogger(__name__)

Purpose = Literal["triton", "generator", "socket"]

SHARED_MEMORY: Final = Path("/dev/shm")
SOCKET_FOLDER_BYTES: Final = 100
"""A socket path may have 107 bytes (unix(7)); `/grpc` has five, and Triton puts `:0` behind it."""
FOLDER_BYTES: Final = 200
"""Triton makes longer paths below it, and those must stay below Linux's 4096 and file systems' own limits."""

_LOCK: Final = "lock"
_FOLDER_OF_OURS: Final = re.compile(r"dance-(?:triton|generator|socket)-[0-9a-f]{16}")
_REGION_OF_OURS: Final = re.compile(r"(?P<prefix>dance_[0-9a-f]{16}_).+")
_PLAIN: Final = re.compile(r"/[A-Za-z0-9._/-]*")
_ATTEMPTS: Final = 5


class PrivateFolder:
    """A folder that only this user can enter, locked until `remove`, or until this process ends.

    Makes the folder in `within`. Raises OSError. As a context manager it is removed on leaving.
    """

    def __init__(self, purpose: Purpose, within: Path) -> None:
        for _ in range(_ATTEMPTS):
            self.path = within / _folder_name(purpose)
            self.path.mkdir(mode=0o700)
            try:
                with _opened(self.path) as folder:
                    self._lock = _locked(folder, _LOCK)
            except FileNotFoundError:
                continue
            except OSError:
                shutil.rmtree(self.path, ignore_errors=True)
                raise
            if self._lock is not None:
                return
        raise OSError("what is made there is removed at once")

    def remove(self) -> None:
        """Removes it with all that is in it, and nothing that links in it lead to."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            _remove(self.path, lock)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


class Regions:
    """All shared memory of one Triton: the names that begin with `prefix`, another one for each start.

    Locked until `remove`, or until this process ends. Raises OSError.
    """

    def __init__(self) -> None:
        for _ in range(_ATTEMPTS):
            self.prefix = f"dance_{secrets.token_hex(8)}_"
            with _opened(SHARED_MEMORY) as folder:
                self._lock = _locked(folder, f"{self.prefix}{_LOCK}")
            if self._lock is not None:
                return
        raise OSError("what is made there is removed at once")

    def sizes_bytes(self) -> dict[str, int]:
        """Name and size of each region."""
        found = {}
        for region in SHARED_MEMORY.glob(f"{self.prefix}*"):
            with suppress(FileNotFoundError):  # Triton was faster
                found[region.name] = region.stat().st_size
        found.pop(f"{self.prefix}{_LOCK}", None)
        return found

    def remove(self) -> None:
        """Removes all regions."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            try:
                for region in SHARED_MEMORY.glob(f"{self.prefix}*"):
                    region.unlink(missing_ok=True)
            finally:
                os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def places() -> tuple[Path, ...]:
    """Where folders of ours may lie, the first choice first: the folder for temporary files, then the system's."""
    system = (Path("/tmp"), Path("/var/tmp"), SHARED_MEMORY)
    try:
        return (Path(tempfile.gettempdir()), *system)
    except FileNotFoundError:  # it has tried some, and could write in none
        return system


def is_plain(path: Path) -> bool:
    """Whether Triton can be given a path: absolute, of ASCII letters, digits and `._-/`."""
    return _PLAIN.fullmatch(str(path)) is not None


def plain_folder(
    purpose: Purpose, most_bytes: int = FOLDER_BYTES, among: Sequence[Path] | None = None
) -> PrivateFolder:
    """A private folder with a plain path of at most `most_bytes`.

    among: folders in which it may lie, by default `places`; the first that will do serves. Raises BadSettings where
    none will.
    """
    most_in_place = most_bytes - len(f"/{_folder_name(purpose)}")
    reasons: dict[Path, str] = {}
    for place in dict.fromkeys(places() if among is None else among):
        if not is_plain(place):
            reasons[place] = "is not plain"
        elif len(str(place)) > most_in_place:
            reasons[place] = f"is longer than {most_in_place} letters"
        else:
            try:
                return PrivateFolder(purpose, place)
            except OSError as error:
                reasons[place] = error.strerror or str(error)
    tried = ", ".join(f"{place} ({reason})" for place, reason in reasons.items())
    raise BadSettings(
        "TMPDIR",
        f"Triton needs a folder that can be written and whose path is plain: at most {most_in_place} of A-Z, a-z, 0-9, "
        f"'.', '_', '-' and '/'. None of these will do: {tried}. Set TMPDIR to one that does",
    )


def sweep() -> list[Path]:
    """Removes what processes of this user left that were killed, with a Triton of theirs or alone; returns it.

    What belongs to a process that lives, or to another user, stays. Never raises: a start goes on without it.
    """
    swept: list[Path] = []
    try:
        for place in dict.fromkeys(places()):
            swept += _sweep_folders(place)
        swept += _sweep_regions()
    except Exception:
        _log.exception("did not remove all that killed processes had left")
    if swept:
        _log.info("removed what killed processes had left: %s", ", ".join(map(str, swept)))
    return swept


def _sweep_folders(place: Path) -> list[Path]:
    swept = []
    for name in _own_names(place, _FOLDER_OF_OURS):
        path = place / name[0]
        with suppress(OSError):  # not a folder, or its owner is removing it, or no lock can be had there
            with _opened(path, os.O_NOFOLLOW) as folder:
                lock = _locked(folder, _LOCK) if os.fstat(folder).st_uid == os.geteuid() else None
            if lock is not None:
                _remove(path, lock)
                swept.append(path)
    return swept


def _sweep_regions() -> list[Path]:
    swept = []
    regions = _own_names(SHARED_MEMORY, _REGION_OF_OURS)
    for prefix in sorted({name["prefix"] for name in regions}):
        with suppress(OSError), _opened(SHARED_MEMORY) as folder:
            lock = _locked(folder, f"{prefix}{_LOCK}")
            if lock is None:
                continue
            try:
                for name in _own_names(SHARED_MEMORY, _REGION_OF_OURS):
                    if name["prefix"] == prefix:
                        with suppress(FileNotFoundError):  # its Triton, which was still ending, was faster
                            os.unlink(name[0], dir_fd=folder)
                            swept.append(SHARED_MEMORY / name[0])
            finally:
                os.close(lock)
    return swept


def _own_names(place: Path, ours: re.Pattern[str]) -> list[re.Match[str]]:
    """What in `place` has such a name and belongs to this user."""
    found = []
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            name = ours.fullmatch(entry.name)
            if name is not None:
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                        found.append(name)
    return found


@contextmanager
def _opened(folder: Path, flags: int = 0) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(folder: int, name: str) -> int | None:
    """Makes a file in an open folder, or opens it, and locks it. No child inherits the lock.

    Returns a descriptor that holds the lock until it is closed; None where another has the lock, or has removed the
    file in the meantime. Raises OSError.
    """
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    held = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        held = stat.S_ISREG(found.st_mode) and os.path.samestat(os.fstat(descriptor), found)
    except (BlockingIOError, FileNotFoundError):
        pass
    finally:
        if not held:
            os.close(descriptor)
    return descriptor if held else None


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
    with suppress(OSError):
        folder.rmdir()  # NFS keeps a file as long as it is open, and with it the folder


def _folder_name(purpose: Purpose) -> str:
    return f"dance-{purpose}-{secrets.token_hex(8)}"
