"""The caller's identity: from a bearer token, else from its certificate, else anonymous."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol

import grpc
import grpc.aio
from prometheus_client import Counter

from serving.errors import Unauthenticated
from serving.rpc.handler_wrapping import AroundCalls
from serving.rpc.server_stream import RequestReader

ANONYMOUS: Final = "anonymous"
"""The name of a caller that needs no proof of identity."""

REFUSALS: Final = Counter("dance_unauthenticated", "Calls refused because of their token", ["reason"])

_HEADER: Final = "authorization"
_SCHEME: Final = "bearer "
_REFUSED_WITHIN_SECONDS: Final = 0.09

_proven: ContextVar[str] = ContextVar("client")


class TokenCheck(Protocol):
    """Checks tokens."""

    def client(self, token: str) -> str:
        """Return the client that the token belongs to. Raises Unauthenticated, whose message never contains it."""
        ...


def client_of(context: grpc.aio.ServicerContext) -> str:
    """Return the name of the caller of the current call.

    `token:NAME` or `jwt:SUBJECT` where tokens are required; `certificate:NAME`, with the certificate's first
    alternative name or its common name, where only certificates are; otherwise `anonymous`. The prefix keeps the issuer
    of one kind from taking a name of another. Call it in the task that serves the call, or in one that it started.
    """
    proven = _proven.get(None)
    if proven is not None:
        return proven
    names = context.peer_identities() or ()
    return f"certificate:{next(iter(names)).decode(errors='replace')}" if names else ANONYMOUS


class IdentityInterceptor(AroundCalls):
    """Refuses every call, of any kind and service, without a valid token; see `client_of`.

    The token is read from the metadata `authorization: Bearer TOKEN`. Comes after `ErrorInterceptor`.
    """

    def __init__(self, check: TokenCheck) -> None:
        self._check = check

    @asynccontextmanager
    async def around(
        self, details: grpc.HandlerCallDetails, request: Any, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[None]:
        """See `AroundCalls`."""
        try:
            _proven.set(self._check.client(_bearer_token(context)))
        except Unauthenticated as error:
            REFUSALS.labels(error.reason).inc()
            if hasattr(request, "__aiter__"):
                # If requests were still in transit, grpc would report INTERNAL to the client and hide the refusal.
                reader = RequestReader(request)
                await reader.drop_rest(_REFUSED_WITHIN_SECONDS)
                reader.close()
            raise
        yield


def _bearer_token(context: grpc.aio.ServicerContext) -> str:
    given = [value for key, value in context.invocation_metadata() or () if key == _HEADER]
    if not given:
        raise Unauthenticated("missing", "a token is required: send the metadata 'authorization: Bearer TOKEN'")
    if len(given) > 1:
        raise Unauthenticated("malformed", "expected one token, but the metadata has several 'authorization' entries")
    value = given[0] if isinstance(given[0], str) else ""
    token = value[len(_SCHEME) :].strip()
    if value[: len(_SCHEME)].lower() != _SCHEME or not token:
        raise Unauthenticated("malformed", "the metadata 'authorization' must be 'Bearer TOKEN'")
    return token
