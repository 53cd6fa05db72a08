"""A home and a name for a user who has neither, as a container's arbitrary uid on a host that does not know it.

Libraries look for `~` and for the user's name when they are imported (OpenVINO, matplotlib, torch, kubernetes) and fail
where there is none.
"""

from __future__ import annotations

import pwd
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

_NAMES: Final = ("LOGNAME", "USER", "LNAME", "USERNAME")


def provide_home(environment: MutableMapping[str, str], uid: int) -> Path | None:
    """Sets HOME, and the user's name, where the user `uid` has none; returns the folder, or None where nothing lacked.

    The folder lies in that for temporary files and stays the same, so that what libraries keep there is found again.
    A folder that somebody else has made there is not taken.
    """
    known = _known(uid)
    if not known and not any(environment.get(name) for name in _NAMES):
        environment["LOGNAME"] = f"uid{uid}"
    if environment.get("HOME") or known:
        return None
    folder = Path(tempfile.gettempdir()) / f"dance-home-{uid}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != uid:
            raise PermissionError
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="dance-home-"))
    environment["HOME"] = str(folder)
    return folder


def _known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
