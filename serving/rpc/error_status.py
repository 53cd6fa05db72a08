"""Our errors as gRPC statuses: written by the server's interceptor, and their details read again by clients."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from serving.errors import AtCapacity, BadInput, DanceError, NoConsent, first_error
from serving.observability import logs
from serving.rpc.handler_wrapping import AroundCalls

_log = logging.getLogger(__name__)
_RETRY_AFTER_SECONDS: Final = 2
_CONSENT: Final = "CONSENT"
"""The type of the violation in a status about a consent; its subject is the reason."""
_MOST_TEXT_BYTES: Final = 1000
"""The text is sent twice, and non-ASCII characters take three times as long; gRPC refuses metadata above 8 kB."""

# Python's traceback; what pybind11 appends to an exception, as Triton's Python backend forwards it; a line of either.
_TRACEBACK: Final = re.compile(
    r"\s*(?:Traceback \(most recent call last\):|\n\s*At:\s*\n|\n\s*File \"[^\"\n]*\", line \d+"
    r"|\n\s*/[^\n]*\(\d+\): \w+).*",
    re.DOTALL,
)
_FILE_URL: Final = re.compile(r"""\bfile:(?://[^\s/'"`]*)?/+""", re.IGNORECASE)
_QUOTED_PATH: Final = re.compile(
    r"""(?P<quote>['"])(?P<scheme>[a-z-]+:(?!//))?/[^'"\n]*/(?P<name>[^'"/\n]+)/?(?P=quote)"""
)
# At least two parts: "/metrics" reveals nothing. No URL, and nothing that follows a word, such as "image/png". A
# folder's name may hold any mark, but a mark before the next "/" may also end one of several paths: "(/a/b),/c/d".
_PATH: Final = re.compile(
    r"""(?:(?<![\w./\\-])/|(?<![\w./\\:-])//+)
        (?:(?:[^\s/'"`]|(?<=\w)'(?=\w))+(?<![,;:(<\[{])/+)+
        (?P<name>[^\s/'"`,;:()<>\[\]{}]*)""",
    re.VERBOSE,
)


def without_paths(text: str) -> str:
    """Cut `text` at a traceback, and reduce every absolute path to its last part.

    Callers get the reason without this machine's folders and our lines of code; the server's log keeps the whole text.
    A path with a space is recognised as a whole only in quotes.
    """
    without_traceback = _TRACEBACK.sub("", text)
    without_urls = _FILE_URL.sub("file:/", without_traceback)
    quoted = _QUOTED_PATH.sub(r"\g<quote>\g<scheme>\g<name>\g<quote>", without_urls)
    return _PATH.sub(lambda path: path["name"] or "…", quoted)


def status_of(error: DanceError) -> status_pb2.Status:
    """Return the error's status, with `google.rpc` details: the field of bad input, what is wrong with a consent, and
    when to retry."""
    details: list[Message] = []
    text = _caller_text(error).encode()[:_MOST_TEXT_BYTES].decode(errors="ignore")
    if isinstance(error, BadInput):
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=text)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, NoConsent):
        violation_of = error_details_pb2.PreconditionFailure.Violation
        details.append(
            error_details_pb2.PreconditionFailure(violations=[violation_of(type=_CONSENT, subject=error.reason)])
        )
    if isinstance(error, AtCapacity):
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=_RETRY_AFTER_SECONDS)))
    packed = []
    for detail in details:
        message = AnyMessage()
        message.Pack(detail)
        packed.append(message)
    return status_pb2.Status(code=error.code.value[0], message=text, details=packed)


def _caller_text(error: DanceError) -> str:
    # An error about the request quotes only what the caller sent, so it reveals nothing.
    return str(error) if isinstance(error, BadInput) else without_paths(str(error))


@dataclass(frozen=True, slots=True)
class Refusal:
    """The details of a status, as a client reads them.

    field: path of the refused value, or empty. retry_after_seconds: None if the server named no time. consent: what is
    wrong with the consent to the actor, one of `serving.errors.ConsentRefusal`; empty if nothing is.
    """

    field: str = ""
    retry_after_seconds: float | None = None
    consent: str = ""


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """Return the details of `error`; an empty Refusal if it has none, or if they do not match its status."""
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # something between the server and us replaced the status but kept its details
        return Refusal()
    field, retry_after_seconds, consent = "", None, ""
    for detail in () if status is None else status.details:
        bad_request, retry_info = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        failed = error_details_pb2.PreconditionFailure()
        if detail.Unpack(bad_request) and bad_request.field_violations:
            field = bad_request.field_violations[0].field
        elif detail.Unpack(retry_info):
            retry_after_seconds = max(0.0, retry_info.retry_delay.ToTimedelta().total_seconds())
        elif detail.Unpack(failed) and failed.violations and failed.violations[0].type == _CONSENT:
            consent = failed.violations[0].subject
    return Refusal(field, retry_after_seconds, consent)


class ErrorInterceptor(AroundCalls):
    """Turns a DanceError into its status, for all four kinds of calls; any other error is logged and is INTERNAL."""

    @asynccontextmanager
    async def around(
        self, details: grpc.HandlerCallDetails, request: Any, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[None]:
        """See `AroundCalls`."""
        try:
            yield
        except Exception as error:
            _end(context, error, details.method)


def _end(context: grpc.aio.ServicerContext, error: Exception, method: str) -> None:
    """Set the status that the call ends with when its handler returns; the client gets no response then.

    `context.abort` would raise an exception that forms a reference cycle with the call's state.
    """
    if isinstance(error, grpc.aio.AbortError):
        raise error
    ours = first_error(error)
    if isinstance(ours, DanceError):
        if _caller_text(ours) != str(ours):
            _log.warning("%s failed; its caller gets this text without paths: %s", method, ours)
        status = rpc_status.to_status(status_of(ours))
        context.set_trailing_metadata(status.trailing_metadata)
        context.set_code(status.code)
        context.set_details(status.details)
        return
    _log.exception("%s failed", method, exc_info=error)
    session = logs.SESSION.get()
    where = f" under session {session}" if session else ""
    context.set_code(grpc.StatusCode.INTERNAL)
    context.set_details(f"internal error; the server's log has the details{where}")
