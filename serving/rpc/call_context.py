"""What a call between our processes carries beside its messages: the session, the frame's number, the trace.

orchestrator                                   stage
CarryingChannel(channel): metadata     ──►     ContextInterceptor: context variables of the call
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import grpc
import grpc.aio

from serving.observability import logs, tracing

SESSION_METADATA: Final = "dance-session"
SEQUENCE_METADATA: Final = "dance-sequence"

Metadata = tuple[tuple[str, str], ...]


def outgoing_metadata(*, whole_session: bool) -> Metadata:
    """What a call that is made here and now has to carry.

    whole_session: the call is a stream that outlives the frame which opens it, so it carries no frame.
    """
    carried: list[tuple[str, str]] = []
    if session := logs.SESSION.get():
        carried.append((SESSION_METADATA, session))
    sequence = logs.SEQUENCE.get()
    if sequence is not None and not whole_session:
        carried.append((SEQUENCE_METADATA, str(sequence)))
    carried.extend(tracing.outgoing(whole_session=whole_session))
    return tuple(carried)


async def session_of(call: Any) -> str:
    """The session's id that a server told with its initial metadata; empty where it told none. For clients."""
    told = await call.initial_metadata()
    return next((str(value) for key, value in told or () if key == SESSION_METADATA), "")


class CarryingChannel:
    """A channel for generated stubs whose calls carry `outgoing_metadata`.

    Not a client interceptor: grpcio puts a queue and two tasks in front of every stream that has one.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def unary_unary(self, *args: Any, **named: Any) -> Callable[..., Any]:
        """See grpc.aio.Channel; likewise the next three."""
        return _carrying(self._channel.unary_unary(*args, **named), whole_session=False)

    def unary_stream(self, *args: Any, **named: Any) -> Callable[..., Any]:
        return _carrying(self._channel.unary_stream(*args, **named), whole_session=True)

    def stream_unary(self, *args: Any, **named: Any) -> Callable[..., Any]:
        return _carrying(self._channel.stream_unary(*args, **named), whole_session=True)

    def stream_stream(self, *args: Any, **named: Any) -> Callable[..., Any]:
        return _carrying(self._channel.stream_stream(*args, **named), whole_session=True)


def _carrying(method: Callable[..., Any], *, whole_session: bool) -> Callable[..., Any]:
    def call(*args: Any, metadata: Iterable[tuple[str, str]] | None = None, **named: Any) -> Any:
        carried = (*(metadata or ()), *outgoing_metadata(whole_session=whole_session))
        return method(*args, metadata=carried, **named)

    return call


class ContextInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Sets a call's context variables from what it carries, so that all log records of the call have them.

    Comes behind `ErrorInterceptor`, so that a call's span has the error that ended it. A session's id that is none (a
    stranger may send anything) is passed over.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """See grpc.aio.ServerInterceptor. grpcio runs the handler in the same context."""
        carried = dict(handler_call_details.invocation_metadata or ())
        session = carried.get(SESSION_METADATA, "")
        if isinstance(session, str) and logs.is_session_id(session):
            logs.SESSION.set(session)
        sequence = carried.get(SEQUENCE_METADATA, "")
        if isinstance(sequence, str) and sequence.isdecimal() and len(sequence) <= 20:
            logs.SEQUENCE.set(int(sequence))
        handler = await continuation(handler_call_details)
        if handler is None or not tracing.carries_trace(carried):
            return handler
        return _traced(handler, handler_call_details.method, carried)


def _traced(handler: grpc.RpcMethodHandler, method: str, carried: dict[str, Any]) -> grpc.RpcMethodHandler:
    changes: dict[str, Any] = {}
    for kind in ("unary_unary", "stream_unary", "unary_stream", "stream_stream"):
        behaviour = getattr(handler, kind)
        if behaviour is None:
            continue
        if inspect.isasyncgenfunction(behaviour):
            changes[kind] = _traced_stream(behaviour, method, carried)
        else:
            changes[kind] = _traced_call(behaviour, method, carried)
    return handler._replace(**changes)


def _traced_call(behaviour: Callable[..., Any], method: str, carried: dict[str, Any]) -> Callable[..., Any]:
    async def traced(request: Any, context: grpc.aio.ServicerContext) -> Any:
        with tracing.serving_call(method, carried):
            return await behaviour(request, context)

    return traced


def _traced_stream(behaviour: Callable[..., Any], method: str, carried: dict[str, Any]) -> Callable[..., Any]:
    async def traced(request: Any, context: grpc.aio.ServicerContext) -> Any:
        with tracing.serving_call(method, carried):
            async for response in behaviour(request, context):
                yield response

    return traced
