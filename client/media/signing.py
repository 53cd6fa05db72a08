"""Options of commands that write pictures: the Content Credentials of their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from client.terminal.display import Display
from provenance.credentials.signing import ContentCredentials
from provenance.user_folder import own_credentials
from training.options import Certificate, CertificateKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """Whether and with which certificate files are signed."""

    no_credentials: Annotated[
        bool,
        typer.Option("--no-credentials", help="Write files without Content Credentials (C2PA); the file says so."),
    ] = False
    certificate: Certificate = None
    certificate_key: CertificateKey = None

    def credentials(self, display: Display) -> ContentCredentials | None:
        """Return what signs files; None if the user wants nothing signed, which is said.

        Raises BadSettings for a certificate that cannot be read, and CannotSign for one that cannot sign.
        """
        if self.no_credentials:
            display.warn("files are written without Content Credentials (--no-credentials)")
            return None
        return own_credentials(self.certificate, self.certificate_key, display.note)
