"""Remove files of actors at once, delete them afterwards, and remember how far removed actors had counted."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from serving.process.atomic_files import written_whole

_REMOVED: Final = ".removed"
_LAST_REMOVED: Final = ".last-removed-versions"
"""Folder of the numbers that removed actors ended with, one file for each."""


class Removals:
    """What is removed from the folder of actors `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def bury(self, entries: Iterable[Path]) -> None:
        """Move files and folders out of sight, one at once each, and delete them. Those that are missing are ignored.

        Raises OSError if files stay. Those out of sight are deleted later by `finish`, which others may call meanwhile.
        """
        buried = list(entries)
        for entry in buried:
            with suppress(FileNotFoundError):
                entry.rename(self._root / f".{uuid.uuid4().hex}{_REMOVED}")
        for entry in buried:
            if os.path.lexists(entry):
                raise OSError(errno.EEXIST, "was written again while it was deleted", str(entry))
        self.finish()

    def finish(self) -> bool:
        """Delete what is left of removals, such as after a kill; return whether there was any. Raises OSError."""
        left = list(self._root.glob(f".*{_REMOVED}"))
        for entry in left:
            while os.path.lexists(entry):
                with suppress(FileNotFoundError):  # another process deletes it too
                    entry.unlink() if _is_file(entry) else shutil.rmtree(entry)
        return bool(left)

    def remember(self, actor_id: str, last: int) -> None:
        """Remember the last version of an actor that is removed with its history. Raises OSError."""
        if last > self.last_version(actor_id):
            memory = self._memory_of(actor_id)
            memory.parent.mkdir(exist_ok=True)
            with written_whole(memory) as partial:
                partial.write_text(str(last))

    def last_version(self, actor_id: str) -> int:
        """Return the last version that a removed actor of this id had; 0 if there was none."""
        try:
            return int(self._memory_of(actor_id).read_text())
        except (OSError, ValueError):
            return 0

    def _memory_of(self, actor_id: str) -> Path:
        # A hash, because an id may be the name of the person who withdrew.
        return self._root / _LAST_REMOVED / hashlib.sha256(actor_id.encode()).hexdigest()[:32]


def _is_file(path: Path) -> bool:
    return path.is_symlink() or not path.is_dir()
