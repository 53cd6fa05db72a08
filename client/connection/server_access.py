"""How to reach a server: its address, the CA that verifies it, and the user's credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from client.errors import CommandError, UsageError
from motion.documents import BadDocument, read_bounded
from serving.transport.tls import ChannelTls, is_local

_MOST_TOKEN_BYTES: Final = 2**14
"""More than gRPC's default limit for metadata."""


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """A server, and the credentials presented to it.

    address: host:port. tls: None for plaintext. token_file: contains only the user's token. insecure: allow plaintext
    to another machine, though never with a token. token: the token itself, in place of its file. Raises UsageError.
    """

    address: str
    tls: ChannelTls | None = None
    token_file: Path | None = None
    insecure: bool = False
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.tls is not None:
            if self.insecure:
                raise UsageError("--insecure means plaintext and --tls-ca means TLS: give only one of them")
            return
        if is_local(self.address):
            return
        if self.token_file is not None or self.token:
            raise UsageError(
                f"a token is not sent to {self.address} in plaintext: give --tls-ca, the CA that signs its certificate"
            )
        if not self.insecure:
            raise UsageError(
                f"{self.address} is another machine: --tls-ca gives the CA that signs its certificate, "
                "--insecure allows plaintext"
            )

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call. Reads the file each time, as a token may be renewed. Raises CommandError."""
        if self.token:
            return (("authorization", f"Bearer {self.token}"),)
        if self.token_file is None:
            return ()
        try:
            token = read_bounded(self.token_file, _MOST_TOKEN_BYTES).decode("ascii").strip()
        except OSError as error:
            raise CommandError(f"the token's file {self.token_file} cannot be read: {error.strerror}") from None
        except BadDocument as error:
            raise CommandError(f"the token's file {self.token_file} {error}") from None
        except UnicodeDecodeError:
            raise CommandError(f"the token's file {self.token_file} is not ASCII") from None
        if not token or not token.isprintable() or " " in token:
            raise CommandError(f"the token's file {self.token_file} must hold one token, in ASCII, and nothing else")
        return (("authorization", f"Bearer {token}"),)

    def shown_by(self, stub: Any) -> Any:
        """Return `stub` with `metadata` in all of its calls."""
        return _StubWithMetadata(stub, self) if self.token or self.token_file is not None else stub


class _StubWithMetadata:
    def __init__(self, stub: Any, access: ServerAccess) -> None:
        self._stub = stub
        self._access = access

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._stub, name)
        return lambda *arguments, **more: method(*arguments, metadata=self._access.metadata(), **more)
