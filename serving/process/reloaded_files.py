"""Files that are read again when they change: certificates, keys, tokens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from motion.documents import BadDocument, read_bounded
from serving.errors import BadSettings

_log = logging.getLogger(__name__)
_MOST_BYTES: Final = 4 * 2**20

Parsed = TypeVar("Parsed")
_Stamp = tuple[tuple[int, int, int] | None, ...]


class ReloadedFiles(Generic[Parsed]):
    """The value of a group of files, in their last good state.

    Changes are detected by time, size and inode, so a file renamed over another one counts as changed, and so does a
    link that points elsewhere, which is how Kubernetes renews a mounted Secret. Files that are renewed one after
    another do not match for a moment: a state that cannot be parsed is logged once, and the last good one stays. The
    log never contains the files' contents. May be used from several threads.

    setting: its name, for errors. parse: turns the files' contents into one value. It may raise ValueError, whose
    message must not quote them either. Raises BadSettings when the files cannot be read or parsed the first time.
    """

    def __init__(self, setting: str, paths: Sequence[Path], parse: Callable[[Sequence[bytes]], Parsed]) -> None:
        self._setting = setting
        self._paths = tuple(paths)
        self._parse = parse
        self._lock = threading.Lock()
        self._stamp = self._stamped()
        self._value = self._read()

    def current(self) -> Parsed:
        """Return the newest good state."""
        with self._lock:
            stamp = self._stamped()
            if stamp == self._stamp:
                return self._value
            self._stamp = stamp
            try:
                self._value = self._read()
            except BadSettings as error:
                _log.error("%s has changed but is invalid, so the earlier state stays in use: %s", self._setting, error)
            else:
                _log.info("%s was reloaded", self._setting)
            return self._value

    def _read(self) -> Parsed:
        try:
            return self._parse([_read(path) for path in self._paths])
        except OSError as error:
            raise BadSettings(self._setting, f"{error.filename} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise BadSettings(self._setting, str(error)) from None

    def _stamped(self) -> _Stamp:
        return tuple(_stamp_of(path) for path in self._paths)


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, _MOST_BYTES)
    except BadDocument as error:
        raise ValueError(f"{path} {error}") from None


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
