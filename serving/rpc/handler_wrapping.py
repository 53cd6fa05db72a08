"""The base class of our interceptors, which run code around calls of all four kinds."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import grpc
import grpc.aio

_KINDS: Final = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class AroundCalls(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Runs every call inside `around`. If that swallows an exception, the call returns nothing more."""

    @abstractmethod
    def around(
        self, details: grpc.HandlerCallDetails, request: Any, context: grpc.aio.ServicerContext
    ) -> AbstractAsyncContextManager[None]:
        """Return the context of one call. request: the request, or the iterator of requests."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        behaviours = {kind: getattr(handler, kind) for kind in _KINDS if getattr(handler, kind) is not None}
        return handler._replace(
            **{kind: self._wrapped(handler_call_details, behaviour) for kind, behaviour in behaviours.items()}
        )

    def _wrapped(self, details: grpc.HandlerCallDetails, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isasyncgenfunction(behaviour):

            async def stream(request: Any, context: grpc.aio.ServicerContext) -> Any:
                async with self.around(details, request, context):
                    async for response in behaviour(request, context):
                        yield response

            return stream

        async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
            async with self.around(details, request, context):
                return await behaviour(request, context)

        return call
