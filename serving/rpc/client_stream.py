"""Our half of a bidi call to another server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import grpc.aio
from grpc import StatusCode

from serving.rpc.read_ahead import ReadAhead

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

LOST_STATUS: Final = (StatusCode.INTERNAL, "Internal error from Core")
"""What grpcio reports if a write met a call that the server had just ended, and the server's status was lost."""
_STATUS_POLLS: Final = 10
_STATUS_POLL_SECONDS: Final = 0.01


class ClientStream(Generic[RequestT, ResponseT]):
    """One open call: requests out, responses read ahead. `close` it at the end.

    call: as the stub's method returns it. depth: how many responses may wait to be received. name: of its task.
    """

    def __init__(self, call: Any, *, depth: int, name: str) -> None:
        self.call = call
        self._responses: ReadAhead[ResponseT] = ReadAhead(self._read, depth=depth, name=f"{name} responses")

    async def _read(self) -> ResponseT:
        try:
            response = await self.call.read()
        except grpc.aio.AioRpcError as error:
            raise await self._status(error) from None
        if response is grpc.aio.EOF:
            raise StopAsyncIteration
        read: ResponseT = response
        return read

    async def _status(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """Return the server's own status, where grpcio first reports another one.

        A write that meets a call which the server has just ended makes grpcio report INTERNAL, "Internal error from
        Core". The server's status replaces it a moment later, except where responses had not been read yet: these are
        lost then, and the status with them.
        """
        if (error.code(), error.details()) != LOST_STATUS:
            return error
        for _ in range(_STATUS_POLLS):
            code, details = await self.call.code(), await self.call.details()
            if (code, details) != LOST_STATUS:
                trailing = await self.call.trailing_metadata()
                return grpc.aio.AioRpcError(code, error.initial_metadata(), trailing, details)
            await asyncio.sleep(_STATUS_POLL_SECONDS)
        return error

    @property
    def ended(self) -> bool:
        """Whether the server has ended the call, with or without an error."""
        return self._responses.task.done()

    async def send(self, request: RequestT) -> bool:
        """Send a request; False if the call has ended, in which case `receive` reports why.

        grpcio ends the call if this is cancelled.
        """
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self.call.write(request)
            return True
        return False

    async def half_close(self) -> None:
        """End our half of the stream: no more requests will be sent."""
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self.call.done_writing()

    async def receive(self, within_seconds: float | None = None) -> ResponseT | None:
        """Return the next response; None after the last one.

        Raises AioRpcError when the call failed, TimeoutError when no response comes in time. May be cancelled.
        """
        return await self._responses.take(within_seconds)

    def fail(self, failure: Exception) -> None:
        """Make `receive` raise `failure`, after the responses that have arrived."""
        self._responses.fail(failure)

    async def close(self) -> None:
        """Cancel the call and wait for its reader."""
        self._responses.close()
        self.call.cancel()
        await asyncio.wait({self._responses.task})
