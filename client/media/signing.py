"""Options of commands that write pictures: the Content Credentials of their files."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from client.errors import UsageError
from client.terminal.display import Display
from client.terminal.user_folder import user_folder
from provenance.credentials.certificate import Identity, read_identity, self_made_identity
from provenance.credentials.signing import ContentCredentials
from serving.errors import BadSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """Whether and with which certificate files are signed."""

    no_credentials: Annotated[
        bool,
        typer.Option("--no-credentials", help="Write files without Content Credentials (C2PA); the file says so."),
    ] = False
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate",
            metavar="PEM",
            envvar="DANCE_CERTIFICATE",
            help="The certificates that sign Content Credentials, yours first. Default: one that is made on first use.",
        ),
    ] = None
    certificate_key: Annotated[
        Path | None,
        typer.Option("--certificate-key", metavar="PEM", envvar="DANCE_CERTIFICATE_KEY", help="Its private key."),
    ] = None

    def credentials(self, display: Display) -> ContentCredentials | None:
        """Return what signs files; None if the user wants nothing signed, which is said.

        Raises UsageError, BadSettings for a certificate that cannot be read, and CannotSign for one that cannot sign.
        """
        if self.no_credentials:
            display.warn("files are written without Content Credentials (--no-credentials)")
            return None
        return ContentCredentials(self._identity(display))

    def _identity(self, display: Display) -> Identity:
        if (self.certificate is None) != (self.certificate_key is None):
            raise UsageError("--certificate and --certificate-key belong together: name both or neither")
        if self.certificate is not None and self.certificate_key is not None:
            return read_identity(self.certificate, self.certificate_key, setting="--certificate")
        folder = user_folder() / "signing"
        is_new = not folder.exists()
        try:
            identity = self_made_identity(folder, socket.gethostname())
        except OSError as error:
            reason = f"{folder} cannot be written: {error.strerror}"
            raise BadSettings("--certificate", f"{reason}; name a certificate, or use --no-credentials") from error
        if is_new:
            display.note(f"Content Credentials are signed with a certificate that was made now: {folder}")
        return identity
