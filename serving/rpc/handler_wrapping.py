"""The one way in which our interceptors run code around calls of all four kinds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio

Around = Callable[[Any, grpc.aio.ServicerContext], AbstractAsyncContextManager[None]]


def wrapped(handler: grpc.RpcMethodHandler, around: Around) -> grpc.RpcMethodHandler:
    """Return a handler whose calls run inside `around(request or requests, context)`.

    If `around` swallows an exception, the call returns nothing more.
    """
    kinds = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
    behaviours = {kind: behaviour for kind in kinds if (behaviour := getattr(handler, kind)) is not None}
    return handler._replace(**{kind: _wrapped(behaviour, around) for kind, behaviour in behaviours.items()})


def _wrapped(behaviour: Callable[..., Any], around: Around) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(behaviour):

        async def stream(request: Any, context: grpc.aio.ServicerContext) -> Any:
            async with around(request, context):
                async for response in behaviour(request, context):
                    yield response

        return stream

    async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
        async with around(request, context):
            return await behaviour(request, context)

    return call
