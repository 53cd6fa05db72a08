"""The failures of the command line; each has a message of one line and an exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten
from typing import Final

from grpc import StatusCode
from grpc.aio import AioRpcError

from serving.errors import BadInput, DanceError
from serving.process import exit_codes
from serving.rpc.channels import goes_through_proxy
from serving.rpc.error_status import Refusal, refusal_of
from serving.transport.proxies import proxy_for

_SIGNS_OF_A_CUT: Final = ("RST_STREAM", "Internal error from Core")
"""Details of an INTERNAL status that is not the server's own: a proxy's reset, and gRPC's error for a request that was
still being written when the call ended, which hides the call's own status."""

EXIT_NOTHING_USEFUL: Final = 1
EXIT_USAGE: Final = 2
EXIT_STOPPED: Final = exit_codes.EXIT_INTERRUPTED
EXIT_INTERRUPTED: Final = 130


class CommandError(DanceError):
    """The command produced nothing useful, for the reason in the message. Exit code 1."""

    exit_code: int = EXIT_NOTHING_USEFUL


class UsageError(CommandError):
    """The command line is invalid. Exit code 2."""

    exit_code = EXIT_USAGE


class UnwritableVideo(CommandError):
    """An output file cannot be written, or must not be."""


class ServerError(CommandError):
    """The server refused, failed, was silent or cannot be reached.

    status: gRPC's code, None if the failure has none. retryable: a retry may help. retry_after_seconds: the delay that
    the server requested, if any. field: path of the refused value, or empty. consent: what is wrong with the consent to
    the actor, one of `serving.errors.ConsentRefusal`; empty if nothing is.
    """

    def __init__(
        self,
        message: str,
        status: StatusCode | None = None,
        *,
        retryable: bool = False,
        retry_after_seconds: float | None = None,
        field: str = "",
        consent: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.consent = consent
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.field = field


class ServerDraining(ServerError):
    """The server is shutting down in an orderly way.

    checkpoint: to resume at `next_sequence`, the first frame without an answer; empty if there were no answers yet.
    """

    def __init__(self, message: str, checkpoint: bytes, next_sequence: int) -> None:
        super().__init__(message, StatusCode.UNAVAILABLE, retryable=True)
        self.checkpoint = checkpoint
        self.next_sequence = next_sequence


class NoBodyFound(CommandError):
    """The clip shows no whole body; nothing is wrong with the server."""


class Interrupted(CommandError):
    """Ctrl-C or SIGTERM. Exit code 130."""

    exit_code = EXIT_INTERRUPTED


class Stopped(CommandError):
    """SIGTERM to a job that the same command continues. Exit code 75 tells a scheduler to start it again."""

    exit_code = EXIT_STOPPED


class StackFailed(CommandError):
    """A process of the local stack did not start, or ended on its own.

    log_tail: the last lines of its log, shown below the message.
    """

    def __init__(self, message: str, log_tail: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.log_tail = log_tail


class ClusterError(CommandError):
    """The Kubernetes API refused, failed or cannot be reached.

    status: HTTP's, None if there was no answer. retryable: a retry may help.
    """

    def __init__(self, message: str, status: int | None = None, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable


class JobFailed(CommandError):
    """A training on a cluster ended without an actor. Its exit code is also ours."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def _through_proxy(address: str) -> str:
    choice = proxy_for(address, os.environ)
    if choice is None or not goes_through_proxy(address):
        return ""
    return f" through the proxy {choice.proxy}, which {choice.variable} names"


@contextmanager
def server_errors(address: str) -> Iterator[None]:
    """Turn gRPC's errors into ServerError, with the server's own message, or say that no server answers."""
    try:
        yield
    except AioRpcError as error:
        code = error.code()
        details = " ".join((error.details() or code.name).split())
        message = f"the connection to {address} was lost ({details})" if _is_cut(code, details) else details
        distrust = _distrust(details) if code is StatusCode.UNAVAILABLE else ""
        if code is StatusCode.UNAVAILABLE and not details.startswith("stage "):
            reason = shorten(distrust or details, 120, placeholder=" ...")
            message = f"no server answers at {address}{_through_proxy(address)} ({reason})"
        refusal = refusal_of(error)
        raise ServerError(
            message,
            code,
            retryable=not distrust and _worth_a_retry(code, details, refusal),
            retry_after_seconds=refusal.retry_after_seconds,
            field=refusal.field,
            consent=refusal.consent,
        ) from error
    except BadInput as error:
        raise ServerError(f"{address} broke the contract: {error}") from error


def _distrust(details: str) -> str:
    """Return what is wrong with a server's certificate; gRPC buries it at the end of a long line."""
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return "its certificate has expired, or is not signed by --tls-ca"
    if "Hostname Verification" in details:
        return "its certificate is for another name or address"
    return ""


def _worth_a_retry(code: StatusCode, details: str, refusal: Refusal) -> bool:
    if code is StatusCode.RESOURCE_EXHAUSTED:
        return refusal.retry_after_seconds is not None  # without one, a message was too large
    return code in (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED) or _is_cut(code, details)


def _is_cut(code: StatusCode, details: str) -> bool:
    return code is StatusCode.INTERNAL and any(sign in details for sign in _SIGNS_OF_A_CUT)
