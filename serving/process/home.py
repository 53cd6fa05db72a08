"""A home and a name for a user who has neither, such as an arbitrary uid in a container.

Some libraries (OpenVINO, matplotlib, torch, kubernetes) look up `~` and the user's name when they are imported, and
fail without them.
"""

from __future__ import annotations

import pwd
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

_NAMES: Final = ("LOGNAME", "USER", "LNAME", "USERNAME")


def provide_home(environment: MutableMapping[str, str], uid: int) -> Path | None:
    """Set HOME and the user's name if the user `uid` has none; return the new home, or None if HOME was there.

    The home is in the folder for temporary files and always has the same name, so that libraries find their caches
    again. A folder there that belongs to another user is not used.
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
