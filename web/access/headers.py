"""What every response and every request of the page must have: headers, and an origin that may ask."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.access.refusals import REFUSALS, Refused, refusal_response

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""'wasm-unsafe-eval' lets the pose networks' WebAssembly be compiled; no text becomes JavaScript."""
_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "permissions-policy": "camera=(self), microphone=(self), fullscreen=(self), geolocation=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_ONE_YEAR: Final = "max-age=31536000"
_READS: Final = ("GET", "HEAD", "OPTIONS")


class SecurityHeaders:
    """Adds the security headers to every response; over HTTPS also Strict-Transport-Security."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if scope.get("scheme") == "https":
                    headers["strict-transport-security"] = _ONE_YEAR
                if "cache-control" not in headers:
                    headers["cache-control"] = "no-store" if scope["path"].startswith("/api/") else "no-cache"
            await send(message)

        await self._application(scope, receive, with_headers)


class OriginCheck:
    """Refuses what another site's page asks for in a visitor's browser, with 403.

    A WebSocket, and a request that changes something, must come from the page's own origin or from one of `allowed`.
    Reading needs no check, because a browser does not show the answer to another site.
    """

    def __init__(self, application: ASGIApp, allowed: Collection[str]) -> None:
        self._application = application
        self._allowed = frozenset(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        checked = scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] not in _READS)
        if not checked or self._may_ask(scope):
            await self._application(scope, receive, send)
            return
        if scope["type"] == "websocket":
            REFUSALS.labels("origin").inc()
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "origin"})
            return
        refusal = Refused(403, "origin", "This request comes from another site's page: open this page itself.")
        await refusal_response(refusal)(scope, receive, send)

    def _may_ask(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        if origin in self._allowed:
            return True
        parts = urlsplit(origin)
        secure = scope["scheme"] in ("https", "wss")
        return parts.scheme == ("https" if secure else "http") and parts.netloc == headers.get("host", "")
