"""The gateway's port: uvicorn, without its own signal handling, so that the process drains like all others."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from serving.errors import BadSettings
from serving.observability import logs
from serving.process.reloaded_files import ReloadedFiles
from serving.transport.tls import ServerTls, checked_pair
from web.settings import WebSettings

_BACKLOG: Final = 128
_RENEW_SECONDS: Final = 5.0
_MOST_QUEUED_MESSAGES: Final = 4
_log: Final = logging.getLogger(__name__)


class UvicornListener:
    """Serves an ASGI application. The port is bound at once.

    Raises BadSettings for a port that is in use, and for a certificate or key that cannot be used.
    """

    def __init__(self, application: ASGIApp, settings: WebSettings) -> None:
        self._tls = settings.tls()
        self._context = None if self._tls is None else _context(self._tls)
        self._socket = _bound(settings.host, settings.port)
        self.port = int(self._socket.getsockname()[1])
        proxies = [proxy.strip() for proxy in settings.trusted_proxies.split(",") if proxy.strip()]
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
            ws="websockets-sansio",
            ws_max_size=settings.max_message_bytes,
            ws_max_queue=_MOST_QUEUED_MESSAGES,
            ws_per_message_deflate=False,  # JPEGs do not shrink, and 1.7 kB of a pose are not worth the time
            ssl_context_factory=None if self._context is None else self._ssl_context,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None

    def _ssl_context(self, config: uvicorn.Config, default: Any) -> ssl.SSLContext:
        assert self._context is not None
        return self._context

    async def start(self) -> None:
        """Serve requests. Raises what ended the server, if it does not start."""
        self._serving = asyncio.create_task(self._server.serve([self._socket]), name="uvicorn")
        await asyncio.wait(
            {self._serving, started := asyncio.create_task(self._server.has_started.wait())},
            return_when=asyncio.FIRST_COMPLETED,
        )
        started.cancel()
        if self._serving.done():
            self._serving.result()
        if self._tls is not None and self._context is not None:
            self._renewing = asyncio.create_task(_renew(self._tls, self._context), name="certificate")

    async def stop(self, grace_seconds: float) -> None:
        """Accept no more connections; requests get `grace_seconds`, and WebSockets are closed with code 1012."""
        if self._renewing is not None:
            self._renewing.cancel()
        if self._serving is None:
            self._socket.close()
            return
        # Read when the shutdown begins; whole seconds are all that uvicorn knows.
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_seconds))
        self._server.should_exit = True
        with suppress(asyncio.CancelledError):
            await asyncio.wait({self._serving})


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serving.rpc.server`, which drains before it stops the port."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and say so."""
        await super().startup(sockets)
        self.has_started.set()


def _bound(host: str, port: int) -> socket.socket:
    bare = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((bare, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise BadSettings("port", f"cannot listen on {host}:{port}; is it in use?") from error
    return bound


def _context(tls: ServerTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, tls)
    return context


def _load(context: ssl.SSLContext, tls: ServerTls) -> None:
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise BadSettings("tls_certificate", f"the certificate and its key cannot be used: {error}") from error


async def _renew(tls: ServerTls, context: ssl.SSLContext) -> None:
    """Load a renewed certificate into the context: new connections use it, open ones go on."""

    def parse(contents: Sequence[bytes]) -> object:
        checked_pair(contents[0], contents[1])
        return object()

    paths: list[Path] = [tls.certificate, tls.key]
    files = ReloadedFiles("tls_certificate", paths, parse)
    in_use = files.current()
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        newest = files.current()
        if newest is not in_use:
            try:
                _load(context, tls)
            except BadSettings as error:  # the files changed once more meanwhile: look again
                _log.error("the renewed certificate is not in use", extra=logs.facts(because=error))
                continue
            in_use = newest
