"""How a server is reached: where it is, by what it is known, and by what the user is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from client.errors import CommandError, UsageError
from motion.documents import BadDocument, read_bounded
from serving.transport.addresses import checked_address
from serving.transport.tls import ChannelTls, channel_tls, is_local

_MOST_TOKEN_BYTES: Final = 2**14
"""More than gRPC takes with a call, by default."""


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """A server, and what is shown to it.

    address: host:port. tls: None is plaintext. token_file: holds the user's token, and nothing else. insecure:
    plaintext is wanted, also to another machine; but never a token in it. Raises UsageError.
    """

    address: str
    tls: ChannelTls | None = None
    token_file: Path | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if self.tls is not None:
            if self.insecure:
                raise UsageError("--insecure is plaintext, --tls-ca is not: one of them")
            return
        if is_local(self.address):
            return
        if self.token_file is not None:
            raise UsageError(
                f"a token is not sent to {self.address} in plaintext: --tls-ca names who signs its certificate"
            )
        if not self.insecure:
            raise UsageError(
                f"{self.address} is another machine: --tls-ca names who signs its certificate, --insecure is plaintext"
            )

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call. The file is read each time, since a token may be renewed. Raises CommandError."""
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
        """`stub`, with `metadata` in all of its calls."""
        return stub if self.token_file is None else _StubWithMetadata(stub, self)


class _StubWithMetadata:
    def __init__(self, stub: Any, access: ServerAccess) -> None:
        self._stub = stub
        self._access = access

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._stub, name)
        return lambda *arguments, **more: method(*arguments, metadata=self._access.metadata(), **more)


def named_server(
    address: str | None,
    *,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    token_file: Path | None,
    insecure: bool,
) -> ServerAccess | None:
    """The server of the command line; None where it names none. Raises UsageError for what does not fit together."""
    if address is None:
        given = {"--tls-ca": ca, "--tls-certificate": certificate, "--tls-key": key, "--token-file": token_file}
        for option, value in given.items():
            if value is not None:
                raise UsageError(f"{option} is for a server that runs elsewhere: --server names it")
        return None
    try:
        checked_address(address)
    except ValueError as error:
        raise UsageError(f"--server: {error}") from error
    try:
        tls = channel_tls("--tls-", ca, certificate, key)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return ServerAccess(address, tls, token_file, insecure)
