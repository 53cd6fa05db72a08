"""Where this user's own keys are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import typer

from provenance.watermark.server_key import known_key_ids, make_key_file

_APPLICATION: Final = "everybody-dance"
_SERVER_KEY: Final = "server.key"


def user_folder() -> Path:
    """Return the folder of this user's keys: $XDG_CONFIG_HOME/everybody-dance, usually below ~/.config."""
    return Path(typer.get_app_dir(_APPLICATION))


def own_server_key() -> Path:
    """Return the key file that watermarks of servers on this machine name; it is made on first use. Raises OSError."""
    path = user_folder() / _SERVER_KEY
    make_key_file(path)
    return path


def own_server_key_ids() -> list[int]:
    """Return the ids of this machine's server keys; none where no server ever ran. Raises BadSettings."""
    path = user_folder() / _SERVER_KEY
    return known_key_ids(path, setting=_SERVER_KEY) if path.exists() else []
