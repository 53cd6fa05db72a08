"""The metadata of calls between our processes: the session, the frame's number and the trace.

orchestrator                                   stage
CarryingChannel(channel): metadata     ──►     ContextInterceptor: context variables of the call
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import grpc.aio

from serving.observability import logs, tracing
from serving.rpc.handler_wrapping import AroundCalls

SESSION_METADATA: Final = "dance-session"
SEQUENCE_METADATA: Final = "dance-sequence"

Metadata = tuple[tuple[str, str], ...]


def outgoing_metadata(*, whole_session: bool) -> Metadata:
    """Return the metadata for a call made in the current context.

    whole_session: the call is a stream that outlives the frame that opens it, so it carries no frame number.
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
    """Return the session's id from the server's initial metadata, or "" without one. For clients."""
    metadata = await call.initial_metadata()
    return next((str(value) for key, value in metadata or () if key == SESSION_METADATA), "")


class CarryingChannel:
    """A channel for the stages' stubs that adds `outgoing_metadata` to every call.

    It replaces a client interceptor, for which grpcio adds a queue and two tasks to every stream.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def unary_unary(self, *args: Any, **named: Any) -> Callable[..., Any]:
        """See grpc.aio.Channel."""
        return _carrying(self._channel.unary_unary(*args, **named), whole_session=False)

    def stream_stream(self, *args: Any, **named: Any) -> Callable[..., Any]:
        """See grpc.aio.Channel."""
        return _carrying(self._channel.stream_stream(*args, **named), whole_session=True)


def _carrying(method: Callable[..., Any], *, whole_session: bool) -> Callable[..., Any]:
    def call(*args: Any, metadata: Iterable[tuple[str, str]] | None = None, **named: Any) -> Any:
        carried = (*(metadata or ()), *outgoing_metadata(whole_session=whole_session))
        return method(*args, metadata=carried, **named)

    return call


class ContextInterceptor(AroundCalls):
    """Sets context variables from a call's metadata, so that all its log records carry them.

    Comes after `ErrorInterceptor`, so that a call's span has the error that ended it. An invalid session id is ignored,
    because a caller may send anything.
    """

    @asynccontextmanager
    async def around(
        self, details: grpc.HandlerCallDetails, request: Any, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[None]:
        """See `AroundCalls`."""
        carried = dict(details.invocation_metadata or ())
        session = carried.get(SESSION_METADATA, "")
        if isinstance(session, str) and logs.is_session_id(session):
            logs.SESSION.set(session)
        sequence = carried.get(SEQUENCE_METADATA, "")
        if isinstance(sequence, str) and sequence.isdecimal() and len(sequence) <= 20:
            logs.SEQUENCE.set(int(sequence))
        with tracing.serving_call(details.method, carried):
            yield
