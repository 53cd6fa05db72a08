"""Bounds on the bodies of requests, which are in memory while they arrive: how many at a time, and for how long."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.access.refusals import Refused, refusal_response
from web.access.visitors import network_of

_SMALL_BYTES: Final = 64 * 1024
_RETRY_SECONDS: Final = 2.0


class BodyLimits:
    """Refuses a large body with 503 while `most` others arrive, or `most_per_address` from the same address.

    A page sends one piece after another and tries again, so that it only waits. seconds: for one body; a connection
    that takes longer counts as lost. longer: seconds for the bodies of these paths, of files that are not sent in
    pieces. Bodies of less than 64 KiB are not counted.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        most: int = 32,
        most_per_address: int = 8,
        seconds: float = 120.0,
        longer: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._application = application
        self._most = most
        self._most_per_address = most_per_address
        self._seconds = seconds
        self._longer = longer
        self._arriving: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._application(scope, receive, send)
            return
        counts, address = _is_large(Headers(scope=scope)), network_of(scope)
        if counts and (self._arriving.total() >= self._most or self._arriving[address] >= self._most_per_address):
            text = "Too many uploads arrive at the same time: try again in a moment."
            refusal = Refused(503, "full", text, retry_after_seconds=_RETRY_SECONDS)
            await refusal_response(refusal)(scope, receive, send)
            return
        until_s, arrives = asyncio.get_running_loop().time() + self._longer.get(scope["path"], self._seconds), True

        def arrived() -> None:
            nonlocal arrives
            if arrives and counts:
                self._arriving[address] -= 1
                if not self._arriving[address]:
                    del self._arriving[address]
            arrives = False

        async def bounded() -> Message:
            if not arrives:
                return await receive()
            try:
                async with asyncio.timeout_at(until_s):
                    message = await receive()
            except TimeoutError:
                message = {"type": "http.disconnect"}
            if not message.get("more_body", False):
                arrived()
            return message

        self._arriving[address] += counts
        try:
            await self._application(scope, bounded, send)
        finally:
            arrived()


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _is_large(headers: Headers) -> bool:
    length = headers.get("content-length", "")
    return not length.isdecimal() or int(length[:18]) >= _SMALL_BYTES
