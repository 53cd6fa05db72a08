"""Files that only their owner can read: keys that are made on first use."""

from __future__ import annotations

import os
from pathlib import Path

from serving.process.atomic_files import hidden_beside


def write_private(path: Path, data: bytes) -> bool:
    """Write a new file for its owner only. Return False, and change nothing, if another process was faster.

    The folder is created, for its owner only. Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = hidden_beside(path)
    partial.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        os.link(partial, path)  # fails if the file is there, unlike a rename
    except FileExistsError:
        return False
    finally:
        partial.unlink(missing_ok=True)
    return True
