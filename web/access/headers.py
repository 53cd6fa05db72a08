"""What every response and every request of the page must have: headers, and an origin that may ask."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from typing import Final

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
    """Adds the security headers to every response; over HTTPS, under a name, also Strict-Transport-Security."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                # A browser would apply it to all ports of localhost, also to other programs without a certificate.
                if scope.get("scheme") == "https" and not _is_safe_host(Headers(scope=scope).get("host", "")):
                    headers["strict-transport-security"] = _ONE_YEAR
                if "cache-control" not in headers:
                    headers["cache-control"] = "no-store" if scope["path"].startswith("/api/") else "no-cache"
            await send(message)

        await self._application(scope, receive, with_headers)


class OriginCheck:
    """Refuses what another site's page asks for in a visitor's browser, with 403.

    A WebSocket, and a request that changes something, must come from the page's own origin or from one of `allowed`.
    Reading needs no check, because a browser does not show the answer to another site.

    Over plain HTTP, another site can let its own name point to this machine, and is then the page's origin for the
    browser. So the interface is served only under names that another site cannot choose: localhost, an address in
    numbers, and the hosts of `allowed`. Over HTTPS the certificate makes sure of that.
    """

    def __init__(self, application: ASGIApp, allowed: Collection[str]) -> None:
        self._application = application
        self._allowed = frozenset(allowed)
        self._hosts = frozenset(origin.partition("://")[2] for origin in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            REFUSALS.labels(refusal.word).inc()
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.word})
        else:
            await refusal_response(refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refused | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin", "")
        secure = scope["scheme"] in ("https", "wss")
        if scope["path"].startswith("/api/") and not (secure or host in self._hosts or _is_safe_host(host)):
            text = f"The page is not served as {host!r}: open it as localhost, or add its origin to WEB_ORIGINS."
            return Refused(403, "host", text)
        checked = scope["type"] == "websocket" or scope["method"] not in _READS
        if not checked or origin in self._allowed or (host and origin == f"{'https' if secure else 'http'}://{host}"):
            return None
        return Refused(403, "origin", "This request comes from another site's page: open this page itself.")


def _is_safe_host(host: str) -> bool:
    """Whether a Host header, with or without a port, names no host that a stranger can let point here."""
    name = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
