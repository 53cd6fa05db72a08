"""What the command line can fail with; each is one line for a person, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten
from typing import Final

from grpc import StatusCode
from grpc.aio import AioRpcError

from serving.errors import BadInput, DanceError

EXIT_OK: Final = 0
EXIT_NOTHING_USEFUL: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


class CommandError(DanceError):
    """Nothing useful came out, and the message says why. Exit code 1."""

    exit_code: int = EXIT_NOTHING_USEFUL


class UsageError(CommandError):
    """The command line itself makes no sense. Exit code 2."""

    exit_code = EXIT_USAGE


class UnwritableVideo(CommandError):
    """An output file that cannot be written, or must not be."""


class ServerError(CommandError):
    """The server refused, failed or cannot be reached. status: gRPC's code, None where the failure has none."""

    def __init__(self, message: str, status: StatusCode | None = None) -> None:
        super().__init__(message)
        self.status = status


class NoBodyFound(CommandError):
    """A clip in which no whole body is seen: nothing is wrong with the server."""


class Interrupted(CommandError):
    """Ctrl-C or SIGTERM. Exit code 130."""

    exit_code = EXIT_INTERRUPTED


class StackFailed(CommandError):
    """A process of the local stack did not start, or ended by itself.

    log_tail: the last lines of its log, for the user to read below the message.
    """

    def __init__(self, message: str, log_tail: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.log_tail = log_tail


@contextmanager
def server_errors(address: str) -> Iterator[None]:
    """Turns gRPC's errors into ServerError, in the server's own words; says so when nobody answers at all."""
    try:
        yield
    except AioRpcError as error:
        details = " ".join((error.details() or error.code().name).split())
        if error.code() is StatusCode.UNAVAILABLE and not details.startswith("stage "):
            reason = shorten(_distrust(details) or details, 120, placeholder=" ...")
            raise ServerError(f"no server answers at {address} ({reason})", error.code()) from error
        raise ServerError(details, error.code()) from error
    except BadInput as error:
        raise ServerError(f"{address} broke the contract: {error}") from error


def _distrust(details: str) -> str:
    """What is wrong with a server's certificate, which gRPC says at the end of a long line."""
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return "its certificate has expired, or is not signed by --tls-ca"
    if "Hostname Verification" in details:
        return "its certificate is for another name or address"
    return ""
