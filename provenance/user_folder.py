"""Where this user's own keys and certificates are kept, each made on first use."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from provenance.credentials.certificate import Identity, read_identity, self_made_identity
from provenance.credentials.signing import ContentCredentials
from provenance.watermark.server_key import known_key_ids, make_key_file
from serving.errors import BadSettings

_APPLICATION: Final = "everybody-dance"
_SERVER_KEY: Final = "server.key"
_SIGNING: Final = "signing"


def user_folder() -> Path:
    """Return the folder of this user's keys: $XDG_CONFIG_HOME/everybody-dance, usually below ~/.config."""
    import typer  # it knows the place on each system

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


def own_credentials(certificate: Path | None, key: Path | None, note: Callable[[str], None]) -> ContentCredentials:
    """Return what signs this user's files: the given certificate, or a self-made one. note: is told when one is made.

    Raises BadSettings as `own_identity` does, and CannotSign for a certificate that cannot sign.
    """
    was_there = (user_folder() / _SIGNING).exists()
    credentials = ContentCredentials(own_identity(certificate, key))
    if credentials.identity.is_self_made and not was_there:
        note(f"made a certificate for Content Credentials, which nothing vouches for: {user_folder()}")
    return credentials


def own_identity(certificate: Path | None, key: Path | None) -> Identity:
    """Return who signs: the given certificate, or this user's self-made one.

    Raises BadSettings for only one of the two files, and for files that cannot be read or written.
    """
    if (certificate is None) != (key is None):
        raise BadSettings("--certificate", "and --certificate-key belong together: name both or neither")
    if certificate is not None and key is not None:
        return read_identity(certificate, key, setting="--certificate")
    folder = user_folder() / _SIGNING
    try:
        return self_made_identity(folder, socket.gethostname())
    except OSError as error:
        reason = f"{folder} cannot be written: {error.strerror}"
        raise BadSettings("--certificate", f"{reason}; name a certificate") from error
