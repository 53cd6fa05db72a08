"""A client that goes away during a write leaves nothing in asyncio's log."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from grpc._cython import cygrpc

from serving.rpc import server_stream
from serving.rpc.server_stream import ResponseWriter


def forgotten_by(session: Callable[[], Coroutine[Any, Any, None]]) -> list[str]:
    """Return the unretrieved exceptions that asyncio reports after running `session`."""
    told: list[str] = []

    async def listened() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))
        await session()

    asyncio.run(listened())
    gc.collect()
    return told


def test_a_write_that_fails_while_its_session_is_cancelled_is_looked_at() -> None:
    """A reset that fails the write and cancels the session causes no "Task exception was never retrieved"."""

    async def session() -> None:
        async def write(response: str) -> None:
            sending.cancel()
            raise ConnectionResetError("the client has gone")

        writer = ResponseWriter(write, 60.0)
        sending = asyncio.create_task(writer.send("answer", 0))
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert await writer.idle()

    assert forgotten_by(session) == []


async def test_a_write_that_fails_by_itself_is_raised() -> None:
    """The failure of a write is raised by `send`."""

    async def write(response: str) -> None:
        raise ValueError("no such field")

    with pytest.raises(ValueError, match="no such field"):
        await ResponseWriter(write, 60.0).send("answer", 0)


async def test_a_write_to_a_client_that_has_gone_waits_for_the_cancellation() -> None:
    """grpcio fails the write just before it cancels the call; the session ends as cancelled, without a traceback."""

    async def write(response: str) -> None:
        asyncio.get_running_loop().call_later(0.01, sending.cancel)
        raise cygrpc.ExecuteBatchError('Failed "execute_batch": SendMessageOperation')

    sending = asyncio.create_task(ResponseWriter(write, 60.0).send("answer", 0))
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_a_write_that_grpcio_refuses_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no cancellation follows, `send` raises the failure."""
    monkeypatch.setattr(server_stream, "_CANCELLED_WITHIN_SECONDS", 0.01)

    async def write(response: str) -> None:
        raise cygrpc.ExecuteBatchError("too large")

    with pytest.raises(cygrpc.ExecuteBatchError, match="too large"):
        await ResponseWriter(write, 60.0).send("answer", 0)
