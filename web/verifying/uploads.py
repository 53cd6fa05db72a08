"""A request with a file: its body goes to the disk as it arrives, and its work ends when its visitor leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request

from web.access.refusals import Refused

_PIECE_BYTES: Final = 2**20
ResultT = TypeVar("ResultT")


def check_announced(request: Request, most_bytes: int) -> int:
    """Return how many bytes a request announces; 0 if it does not say. Raises Refused 413 for more than `most_bytes`.

    So that most files that are too large are refused before they are sent.
    """
    length = request.headers.get("content-length", "")
    announced = int(length) if length.isdecimal() and len(length) < 19 else 0
    if announced > most_bytes:
        raise _too_large(most_bytes)
    return announced


async def write_body(request: Request, file: Path, sidecar: Path, sidecar_bytes: int, most_bytes: int) -> None:
    """Write the first `sidecar_bytes` of a request's body to `sidecar`, if there are any, and the rest to `file`.

    Raises Refused 413 for more than `most_bytes`, 400 for a connection that was lost or a body without a file, OSError.
    """
    left, size = sidecar_bytes, 0
    with ExitStack() as closing:
        to_sidecar = closing.enter_context(sidecar.open("wb")) if sidecar_bytes else None
        to_file = closing.enter_context(file.open("wb"))
        async for piece in _pieces(request):
            size += len(piece)
            if size > most_bytes:
                raise _too_large(most_bytes)
            if to_sidecar is not None and left:
                await asyncio.to_thread(to_sidecar.write, piece[:left])
            await asyncio.to_thread(to_file.write, piece[left:])
            left -= min(left, len(piece))
    if size <= sidecar_bytes:
        raise Refused(400, "bad_request", "The body has no file to check.")


async def while_there(request: Request, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Return what `work` returns. If the visitor leaves, cancel it, wait for its end, and raise Refused.

    Only after the body has arrived.
    """
    working, leaving = asyncio.create_task(work), asyncio.create_task(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise _lost()
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait({working, leaving})


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces that are worth a thread's while."""
    gathered = bytearray()
    try:
        async for part in request.stream():
            gathered += part
            if len(gathered) >= _PIECE_BYTES:
                yield bytes(gathered)
                gathered.clear()
    except ClientDisconnect as error:
        raise _lost() from error
    yield bytes(gathered)


def _lost() -> Refused:
    return Refused(400, "connection_lost", "The connection was lost before all bytes arrived, or before the answer.")


def _too_large(most_bytes: int) -> Refused:
    return Refused(413, "file_too_large", f"At most {most_bytes} bytes are checked.")
