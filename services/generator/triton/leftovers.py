"""Temporary folders and shared memory, locked while their process lives, so that leftovers can be found and removed.

The kernel releases a lock when its process ends, in whatever way. So locks also work between containers, which do not
share process ids, and between machines that share a folder. The lock is on a file in the folder, because NFS locks on
folders are local to one machine.
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
from typing import Final, Literal, Self

from serving.errors import BadSettings

_log = logging.getLogger(__name__)

Purpose = Literal["triton", "generator", "socket"]

SHARED_MEMORY: Final = Path("/dev/shm")
SOCKET_FOLDER_BYTES: Final = 100
"""A socket path may have 107 bytes (unix(7)); `/grpc` has five, and Triton appends `:0`."""
FOLDER_BYTES: Final = 200
"""Triton creates longer paths inside, which must stay below Linux's 4096 bytes and the file systems' own limits."""

_LOCK: Final = "lock"
_FOLDER_OF_OURS: Final = re.compile(r"dance-(?:triton|generator|socket)-[0-9a-f]{16}")
_REGION_OF_OURS: Final = re.compile(r"(?P<prefix>dance_[0-9a-f]{16}_).+")
_PLAIN: Final = re.compile(r"/[A-Za-z0-9._/-]*")
_ATTEMPTS: Final = 5


class PrivateFolder:
    """A folder in `within` that only this user can enter, locked until `remove` or until this process ends.

    Raises OSError. As a context manager it is removed on exit.
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
        raise OSError("files created there are removed at once")

    def remove(self) -> None:
        """Remove the folder and its contents, but not the targets of links in it."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            _remove(self.path, lock)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *error: object) -> None:
        self.remove()


class Regions:
    """All shared memory of one Triton: the names that begin with `prefix`, which is new at each start.

    Locked until `remove` or until this process ends. Raises OSError.
    """

    def __init__(self) -> None:
        for _ in range(_ATTEMPTS):
            self.prefix = f"dance_{secrets.token_hex(8)}_"
            with _opened(SHARED_MEMORY) as folder:
                self._lock = _locked(folder, f"{self.prefix}{_LOCK}")
            if self._lock is not None:
                return
        raise OSError("files created there are removed at once")

    def sizes_bytes(self) -> dict[str, int]:
        """Return name and size of each region."""
        found = {}
        for region in SHARED_MEMORY.glob(f"{self.prefix}*"):
            with suppress(FileNotFoundError):  # Triton has just removed it
                found[region.name] = region.stat().st_size
        found.pop(f"{self.prefix}{_LOCK}", None)
        return found

    def remove(self) -> None:
        """Remove all regions."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            try:
                for region in SHARED_MEMORY.glob(f"{self.prefix}*"):
                    region.unlink(missing_ok=True)
            finally:
                os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def places() -> tuple[Path, ...]:
    """Return the parent folders to try, in order: the folder for temporary files, then the system's."""
    system = (Path("/tmp"), Path("/var/tmp"), SHARED_MEMORY)
    try:
        return (Path(tempfile.gettempdir()), *system)
    except FileNotFoundError:  # none of its candidates is writable
        return system


def is_plain(path: Path) -> bool:
    """Whether Triton can handle a path: absolute, of ASCII letters, digits and `._-/`."""
    return _PLAIN.fullmatch(str(path)) is not None


def plain_folder(
    purpose: Purpose, most_bytes: int = FOLDER_BYTES, among: Sequence[Path] | None = None
) -> PrivateFolder:
    """Create a private folder with a plain path of at most `most_bytes`, in the first suitable parent.

    among: the parent folders to try, by default `places`. Raises BadSettings if none is suitable.
    """
    most_in_place = most_bytes - len(f"/{_folder_name(purpose)}")
    reasons: dict[Path, str] = {}
    for place in dict.fromkeys(places() if among is None else among):
        if not is_plain(place):
            reasons[place] = "is not plain"
        elif len(str(place)) > most_in_place:
            reasons[place] = f"is longer than {most_in_place} characters"
        else:
            try:
                return PrivateFolder(purpose, place)
            except OSError as error:
                reasons[place] = error.strerror or str(error)
    tried = ", ".join(f"{place} ({reason})" for place, reason in reasons.items())
    raise BadSettings(
        "TMPDIR",
        f"Triton needs a writable folder with a plain path: at most {most_in_place} characters out of A-Z, a-z, 0-9, "
        f"'.', '_', '-' and '/'. Tried: {tried}. Set TMPDIR to such a folder",
    )


def sweep() -> list[Path]:
    """Remove the leftovers of this user's killed agents and their Tritons; return their paths.

    Files of live processes and of other users are kept. Never raises: errors must not prevent a start.
    """
    swept: list[Path] = []
    try:
        for place in dict.fromkeys(places()):
            swept += _sweep_folders(place)
        swept += _sweep_regions()
    except Exception:
        _log.exception("could not remove all files of killed processes")
    if swept:
        _log.info("removed files of killed processes: %s", ", ".join(map(str, swept)))
    return swept


def _sweep_folders(place: Path) -> list[Path]:
    swept = []
    for name in _own_names(place, _FOLDER_OF_OURS):
        path = place / name[0]
        with suppress(OSError):  # not a folder, being removed by its owner, or locks are not supported
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
                        with suppress(FileNotFoundError):  # its Triton was still stopping and removed it
                            os.unlink(name[0], dir_fd=folder)
                            swept.append(SHARED_MEMORY / name[0])
            finally:
                os.close(lock)
    return swept


def _own_names(place: Path, ours: re.Pattern[str]) -> list[re.Match[str]]:
    """Return the entries of `place` with a matching name that belong to this user."""
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
    """Open or create a file in an open folder and lock it. Child processes do not inherit the lock.

    Returns a descriptor that holds the lock until it is closed; None if another process holds the lock or has removed
    the file in the meantime. Raises OSError.
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
        folder.rmdir()  # NFS keeps an open file, and with it the folder, until it is closed


def _folder_name(purpose: Purpose) -> str:
    return f"dance-{purpose}-{secrets.token_hex(8)}"
