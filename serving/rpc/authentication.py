"""Who calls: proven by a bearer token, or else by the caller's certificate, or else not at all."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, Protocol, runtime_checkable

import grpc
import grpc.aio
from prometheus_client import Counter

from serving.errors import Unauthenticated

ANONYMOUS: Final = "anonymous"
"""A caller that nobody asked who it is."""

REFUSALS: Final = Counter("dance_unauthenticated", "Calls that were refused for their token", ["reason"])

_HEADER: Final = "authorization"
_SCHEME: Final = "bearer "
_REFUSED_WITHIN_SECONDS: Final = 0.09

_proven: ContextVar[str] = ContextVar("client")


class TokenCheck(Protocol):
    """Knows tokens."""

    def client(self, token: str) -> str:
        """The name of the client that the token is of. Raises Unauthenticated, whose message never holds the token."""
        ...


@runtime_checkable
class Guarded(Protocol):
    """A service whose callers must show a token."""

    @property
    def token_check(self) -> TokenCheck | None:
        """None: no token is asked for."""
        ...


def client_of(context: grpc.aio.ServicerContext) -> str:
    """The name of the caller of the call that is being served.

    `token:NAME` and `jwt:SUBJECT` where tokens are asked for; `certificate:NAME`, the certificate's first alternative
    name or its common name, where only certificates are; otherwise `anonymous`. The kinds are told apart so that no
    issuer of one can take a name of another. To be called in the task that serves the call, or in one that it started.
    """
    proven = _proven.get(None)
    if proven is not None:
        return proven
    names = context.peer_identities() or ()
    return f"certificate:{next(iter(names)).decode(errors='replace')}" if names else ANONYMOUS


class IdentityInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets no call through, of any kind or service, without a token that is known; see `client_of`.

    The token is read from the metadata `authorization: Bearer TOKEN`. Goes behind `ErrorInterceptor`.
    """

    def __init__(self, check: TokenCheck) -> None:
        self._check = check

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        kind = next(
            kind
            for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
            if getattr(handler, kind) is not None
        )
        return handler._replace(**{kind: self._checked(getattr(handler, kind), kind.startswith("stream_"))})

    def _checked(self, behaviour: Callable[..., Any], streams_requests: bool) -> Callable[..., Any]:
        async def prove(requests: Any, context: grpc.aio.ServicerContext) -> None:
            try:
                _proven.set(self._check.client(_bearer_token(context)))
            except Unauthenticated as error:
                REFUSALS.labels(error.reason).inc()
                if streams_requests:
                    await _let_arrive(requests)
                raise

        if inspect.isasyncgenfunction(behaviour):

            async def checked_stream(requests: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
                await prove(requests, context)
                async for response in behaviour(requests, context):
                    yield response

            return checked_stream

        async def checked(requests: Any, context: grpc.aio.ServicerContext) -> Any:
            await prove(requests, context)
            return await behaviour(requests, context)

        return checked


def _bearer_token(context: grpc.aio.ServicerContext) -> str:
    given = [value for key, value in context.invocation_metadata() or () if key == _HEADER]
    if not given:
        raise Unauthenticated("missing", "a token is needed: the metadata 'authorization: Bearer TOKEN'")
    if len(given) > 1:
        raise Unauthenticated("malformed", "one token is needed, the metadata has several 'authorization'")
    value = given[0] if isinstance(given[0], str) else ""
    token = value[len(_SCHEME) :].strip()
    if value[: len(_SCHEME)].lower() != _SCHEME or not token:
        raise Unauthenticated("malformed", "the metadata 'authorization' must be 'Bearer TOKEN'")
    return token


_arriving: set[asyncio.Task[None]] = set()


async def _let_arrive(requests: AsyncIterator[Any]) -> None:
    """Reads for a moment: a client whose requests are still on their way would be told INTERNAL by grpc instead."""

    async def read() -> None:
        try:
            async for _ in requests:
                pass
        except Exception:
            return  # the call has ended; its refusal says why

    # The read is not cancelled, which would leak memory in grpcio: it ends with the call.
    task = asyncio.create_task(read(), name="requests of a refused call")
    _arriving.add(task)
    task.add_done_callback(_arriving.discard)
    await asyncio.wait({task}, timeout=_REFUSED_WITHIN_SECONDS)
