"""Bodies of requests are bounded in number and in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from web.access.bodies import BodyLimits


@dataclass
class Upload:
    """One request, whose parts arrive when a test puts them into `parts`. answered: the parts of its answer."""

    parts: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    answered: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        self.answered.append(message)

    @property
    def code(self) -> str:
        """The code of its refusal; its body's length if it was taken."""
        body = b"".join(part.get("body", b"") for part in self.answered)
        return json.loads(body)["error"]["code"] if body.startswith(b"{") else body.decode()


async def _length(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        text = str(len(await Request(scope, receive).body()))
    except ClientDisconnect:
        text = "lost"
    await Response(text)(scope, receive, send)


@asynccontextmanager
async def uploading(limits: BodyLimits, address: str, length: str = "100000") -> AsyncIterator[Upload]:
    """Begin an upload; its answer is complete when the context has ended."""
    upload = Upload()
    headers = [(b"content-length", length.encode())]
    scope = {"type": "http", "method": "PUT", "path": "/", "headers": headers, "client": (address, 1)}
    asking = asyncio.create_task(limits(scope, upload.parts.get, upload.send))
    await asyncio.sleep(0)
    yield upload
    await asking


async def test_large_bodies_are_taken_a_few_at_a_time() -> None:
    """Of one address and of all; small ones are always taken; a place is free again once a body is there."""
    limits = BodyLimits(_length, most=2, most_per_address=1)
    whole: Message = {"type": "http.request", "body": b"12345", "more_body": False}
    async with uploading(limits, "10.0.0.7") as first:
        async with uploading(limits, "10.0.0.7") as second, uploading(limits, "10.0.0.7", "5") as small:
            small.parts.put_nowait(whole)
        async with uploading(limits, "10.0.0.8") as other:
            async with uploading(limits, "10.0.0.9") as third:
                pass
            other.parts.put_nowait(whole)
        async with uploading(limits, "10.0.0.9") as later:
            later.parts.put_nowait(whole)
        first.parts.put_nowait(whole)
    assert [second.code, small.code, third.code] == ["full", "5", "full"]
    assert [other.code, later.code, first.code] == ["5", "5", "5"]


async def test_a_body_that_takes_too_long_counts_as_lost() -> None:
    """A client that sends a byte now and then does not keep its place."""
    async with uploading(BodyLimits(_length, seconds=0.05), "10.0.0.7") as slow:
        slow.parts.put_nowait({"type": "http.request", "body": b"1", "more_body": True})
    assert slow.code == "lost"


async def test_a_whole_file_may_take_longer() -> None:
    """Where a file is not sent in pieces."""
    async with uploading(BodyLimits(_length, seconds=0.0, longer={"/": 60.0}), "10.0.0.7") as slow:
        slow.parts.put_nowait({"type": "http.request", "body": b"1", "more_body": True})
        slow.parts.put_nowait({"type": "http.request", "body": b"2", "more_body": False})
    assert slow.code == "2"
