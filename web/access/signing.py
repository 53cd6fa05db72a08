"""The certificate with which the gateway signs the videos that it writes."""

from __future__ import annotations

import socket

from provenance.credentials.certificate import read_identity, self_made_identity
from provenance.credentials.signing import ContentCredentials
from serving.errors import BadSettings
from web.settings import WebSettings


def gateway_credentials(settings: WebSettings) -> ContentCredentials:
    """Return what signs the gateway's videos: its certificate, or one that is made on first use.

    Raises BadSettings for files that cannot be read or written, and CannotSign.
    """
    if settings.certificate is not None and settings.certificate_key is not None:
        identity = read_identity(settings.certificate, settings.certificate_key, setting="WEB_CERTIFICATE")
        return ContentCredentials(identity)
    folder = settings.data_folder.expanduser() / "signing"
    try:
        return ContentCredentials(self_made_identity(folder, socket.gethostname()))
    except OSError as error:
        raise BadSettings("WEB_DATA_FOLDER", f"{folder} cannot be written: {error.strerror}") from error
