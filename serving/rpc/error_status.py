"""The one place where our errors become gRPC statuses."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from serving.errors import AtCapacity, BadInput, DanceError
from serving.observability import logs
from serving.rpc.discretion import without_paths

_log = logging.getLogger(__name__)
_RETRY_AFTER_SECONDS = 2
_MOST_TEXT_BYTES = 1000
"""It travels twice, and three times as long where it is not ASCII; above 8 kB gRPC makes RESOURCE_EXHAUSTED of it."""


def status_of(error: DanceError) -> status_pb2.Status:
    """The status of one of our errors, with `google.rpc` details: the field of bad input, when to try again."""
    details = []
    text = _told(error).encode()[:_MOST_TEXT_BYTES].decode(errors="ignore")
    if isinstance(error, BadInput):
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=text)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, AtCapacity):
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=_RETRY_AFTER_SECONDS)))
    packed = []
    for detail in details:
        message = AnyMessage()
        message.Pack(detail)
        packed.append(message)
    return status_pb2.Status(code=error.code.value[0], message=text, details=packed)


def _told(error: DanceError) -> str:
    # What is said of the request itself holds the caller's own words.
    return str(error) if isinstance(error, BadInput) else without_paths(str(error))


class ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Turns DanceError into its status, for all four kinds of calls; anything else is logged and becomes INTERNAL."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        method = handler_call_details.method
        changes: dict[str, Any] = {}
        for kind in ("unary_unary", "stream_unary"):
            if getattr(handler, kind):
                changes[kind] = _guarded_unary(getattr(handler, kind), method)
        for kind in ("unary_stream", "stream_stream"):
            if getattr(handler, kind):
                changes[kind] = _guarded_stream(getattr(handler, kind), method)
        return handler._replace(**changes)


def _guarded_unary(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def guarded(request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return await behaviour(request, context)
        except Exception as error:
            _end(context, error, method)

    return guarded


def _guarded_stream(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    if not inspect.isasyncgenfunction(behaviour):
        return _guarded_unary(behaviour, method)  # writes by context.write() and returns once

    async def guarded(request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            async for response in behaviour(request, context):
                yield response
        except Exception as error:
            _end(context, error, method)

    return guarded


def _end(context: grpc.aio.ServicerContext, error: Exception, method: str) -> None:
    """Says with which status the call ends when its handler returns; of what it returns, clients see nothing.

    Not by `context.abort`: what that raises and the call's state hold each other, until the collector comes by.
    """
    if isinstance(error, grpc.aio.AbortError):
        raise error
    grouped = _single(error)
    if isinstance(grouped, DanceError):
        if _told(grouped) != str(grouped):
            _log.warning("%s failed, of which its caller is told a part: %s", method, grouped)
        status = rpc_status.to_status(status_of(grouped))
        context.set_trailing_metadata(status.trailing_metadata)
        context.set_code(status.code)
        context.set_details(status.details)
        return
    _log.exception("%s failed", method, exc_info=error)
    session = logs.SESSION.get()
    where = f" under session {session}" if session else ""
    context.set_code(grpc.StatusCode.INTERNAL)
    context.set_details(f"internal error; the server's log has the details{where}")


def _single(error: BaseException) -> BaseException:
    """The first of our errors in a (nested) exception group, which task groups raise; else the error itself."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    ours, _ = error.split(DanceError)
    first: BaseException = ours or error
    while ours is not None and isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
