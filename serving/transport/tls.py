"""Transport security: certificates and keys from PEM files, for servers and their callers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final, TypeVar

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from prometheus_client import Gauge

from serving.errors import BadSettings
from serving.process.reloaded_files import ReloadedFiles
from serving.transport.addresses import hosts_of

_log = logging.getLogger(__name__)

Checked = TypeVar("Checked")

NOT_AFTER: Final = Gauge(
    "dance_tls_certificate_not_after_seconds", "When a certificate expires, in seconds since 1970", ["shown_to"]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerTls:
    """A server's certificate and key.

    certificate: its own, followed by the intermediate ones. key: not encrypted. client_ca: the signers of the
    certificates that callers must present; None if callers need none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelTls:
    """What a caller requires of a server's certificate, and the certificate that it presents itself.

    ca: must have signed the server's certificate, which must be for the name or address that is called.
    certificate, key: the caller's own, for a server that requires one; both or neither.
    """

    ca: Path
    certificate: Path | None = None
    key: Path | None = None


def server_tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> ServerTls | None:
    """Build a `ServerTls` from its settings; None if none is set. Raises ValueError for an incomplete combination."""
    if certificate is not None and key is not None:
        return ServerTls(certificate=certificate, key=key, client_ca=client_ca)
    if certificate is not None or key is not None or client_ca is not None:
        raise ValueError("tls_certificate and tls_key belong together, and tls_client_ca needs both")
    return None


def channel_tls(prefix: str, ca: Path | None, certificate: Path | None, key: Path | None) -> ChannelTls | None:
    """Build a `ChannelTls` from its settings; None if none is set. Raises ValueError, naming them with `prefix`."""
    if (certificate is None) != (key is None):
        raise ValueError(f"{prefix}certificate and {prefix}key belong together")
    if ca is None:
        if certificate is not None:
            raise ValueError(f"{prefix}certificate needs {prefix}ca, which verifies the other side")
        return None
    return ChannelTls(ca=ca, certificate=certificate, key=key)


def is_loopback(host: str) -> bool:
    """Whether a server at `host` can be reached from this machine only."""
    bare = host.removeprefix("[").removesuffix("]")
    if bare == "localhost":
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False


def is_local(address: str) -> bool:
    """Whether `address` is certainly on this machine; see `serving.rpc.channels.open_channel`."""
    return all(map(is_loopback, hosts_of(address)))


def server_credentials(tls: ServerTls) -> grpc.ServerCredentials:
    """Return credentials that are read again when their files change; open connections are not affected.

    Raises BadSettings for files that are missing, contain no certificate or key, or do not match.
    """
    paths = [tls.certificate, tls.key, *([tls.client_ca] if tls.client_ca else [])]
    files = ReloadedFiles("tls_certificate", paths, _server_configuration)
    given = files.current()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        newest = files.current()
        if newest is given:
            return None
        given = newest
        return newest

    return grpc.dynamic_ssl_server_credentials(given, renewed, tls.client_ca is not None)


def channel_credentials(tls: ChannelTls) -> grpc.ChannelCredentials:
    """Return credentials for one channel, from the files as they are now. Raises BadSettings, as above."""
    roots = _read("the CA's file", tls.ca)
    _checked(tls.ca, lambda: _certificates(roots, "the CA's file"))
    if tls.certificate is None or tls.key is None:
        return grpc.ssl_channel_credentials(roots)
    chain, key = _read("the certificate", tls.certificate), _read("the key", tls.key)
    own = _checked(tls.certificate, lambda: checked_pair(chain, key))
    NOT_AFTER.labels("servers").set(own.not_valid_after_utc.timestamp())
    return grpc.ssl_channel_credentials(roots, key, chain)


def _server_configuration(contents: Sequence[bytes]) -> grpc.ServerCertificateConfiguration:
    chain, key, *client_ca = contents
    own = checked_pair(chain, key)
    if client_ca:
        _certificates(client_ca[0], "tls_client_ca")
    NOT_AFTER.labels("callers").set(own.not_valid_after_utc.timestamp())
    if own.not_valid_after_utc < datetime.now(UTC):
        _log.error("tls_certificate has expired on %s: callers will refuse it", own.not_valid_after_utc.isoformat())
    return grpc.ssl_server_certificate_configuration([(key, chain)], client_ca[0] if client_ca else None)


def checked_pair(chain: bytes, key: bytes) -> x509.Certificate:
    """Return the first certificate of the chain. Raises ValueError unless the key belongs to it."""
    own = _certificates(chain, "the certificate")[0]
    try:
        private = load_pem_private_key(key, password=None)
    except TypeError:
        raise ValueError("the key is encrypted; a key without a password is needed") from None
    except ValueError:
        raise ValueError("the key contains no private key in PEM") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if own.public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
        raise ValueError("the certificate and the key do not match")
    return own


def _certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError(f"{what} contains no certificate in PEM") from None


def _read(what: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSettings(str(path), f"{what} cannot be read: {error.strerror}") from None


def _checked(path: Path, check: Callable[[], Checked]) -> Checked:
    try:
        return check()
    except ValueError as error:
        raise BadSettings(str(path), str(error)) from None
