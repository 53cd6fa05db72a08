"""Asks an ASGI application without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message


@dataclass(frozen=True, slots=True)
class Answer:
    """headers: with names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def get(application: ASGIApp, path: str, **headers: str) -> Answer:
    """Ask for `path`. headers: with underscores in place of hyphens."""
    parts: list[Message] = []

    async def send(message: Message) -> None:
        parts.append(message)

    asked = asyncio.Event()

    async def receive() -> Message:
        if asked.is_set():
            await asyncio.Event().wait()  # the client stays
        asked.set()
        return {"type": "http.request", "body": b"", "more_body": False}

    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": b"", "headers": sent,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    await application(scope, receive, send)
    answered = {name.decode().lower(): value.decode() for name, value in parts[0]["headers"]}
    return Answer(parts[0]["status"], answered, b"".join(part.get("body", b"") for part in parts[1:]))
