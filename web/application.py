"""The gateway's routes, as one ASGI application."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from client.errors import ServerError
from serving.errors import DanceError
from serving.observability import logs
from web.access.bodies import BodyLimits
from web.access.headers import OriginCheck, SecurityHeaders
from web.access.orchestrator import Orchestrator
from web.access.refusals import Refused, refusal_response, refused_by_server
from web.access.tickets import Tickets
from web.access.visitors import Visitors
from web.live.session import LiveSessions

_log = logging.getLogger(__name__)

PAGE: Final = Path(__file__).parent / "page"
_MOST_TOKEN_CHARACTERS: Final = 2**14
_LONGER_BODIES: Final = {"/api/verify": 600.0}
"""Seconds for a whole file in one body, on a slow line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the application is made of.

    config: what `GET /api/config` says. serves: whether `GET /healthz` answers 200. routes: those of the other parts,
    which come before the page's files.
    """

    orchestrator: Orchestrator
    visitors: Visitors
    tickets: Tickets
    live: LiveSessions
    config: Callable[[], dict[str, Any]]
    serves: Callable[[], bool]
    origins: Sequence[str] = ()
    routes: Sequence[BaseRoute] = ()


def application(parts: Parts) -> ASGIApp:
    """Build the application: the page's files, its interface below /api/, and /healthz for a load balancer."""

    async def config(request: Request) -> JSONResponse:
        return JSONResponse(parts.config())

    async def visit(request: Request) -> Response:
        """Begin a visit; a token is accepted if the orchestrator accepts it.

        Without sign-in, tokens are ignored: an orchestrator that checks none accepts all, and a visitor could take a
        new one for each request, to be counted as another user.
        """
        token = _bearer_token(request) if parts.visitors.needs_token else ""
        if token:
            async with parts.orchestrator.client_for(token) as client:
                await client.actors()  # raises UNAUTHENTICATED for a token that is not valid
        response = JSONResponse({"needs_token": parts.visitors.needs_token, "signed_in": bool(token)})
        parts.visitors.arrive(request, token, response)
        return response

    async def leave(request: Request) -> Response:
        response = Response(status_code=204)
        parts.visitors.leave(parts.visitors.of(request), response)
        return response

    async def ticket(request: Request) -> JSONResponse:
        issued = parts.tickets.issue(parts.visitors.of(request))
        return JSONResponse({"ticket": issued, "valid_seconds": parts.tickets.valid_seconds})

    async def healthz(request: Request) -> PlainTextResponse:
        return PlainTextResponse("serving" if parts.serves() else "not serving", 200 if parts.serves() else 503)

    routed = Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/api/config", config),
            Route("/api/visit", visit, methods=["POST"]),
            Route("/api/leave", leave, methods=["POST"]),
            Route("/api/ticket", ticket, methods=["POST"]),
            WebSocketRoute("/api/live", parts.live.serve),
            *parts.routes,
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ],
        exception_handlers={
            Refused: _refused,
            ServerError: _server_error,
            DanceError: _dance_error,
            HTTPException: _http_error,
            Exception: _unexpected,
        },
    )
    # Around Starlette, which answers an unexpected error outside its own middleware.
    return SecurityHeaders(OriginCheck(BodyLimits(routed, longer=_LONGER_BODIES), parts.origins))


def _bearer_token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    if not token:
        return ""
    if scheme.lower() != "bearer" or len(token) > _MOST_TOKEN_CHARACTERS or not token.isascii() or " " in token:
        raise Refused(400, "bad_token", "The token must be sent as: Authorization: Bearer TOKEN, in ASCII.")
    return token


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return refusal_response(error)


async def _server_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServerError)
    _log.warning("the orchestrator failed", extra=logs.facts(because=error))
    return await _refused(request, refused_by_server(error))


async def _dance_error(request: Request, error: Exception) -> Response:
    return await _refused(request, Refused(400, "refused", str(error)))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "not_found", 405: "method"}
    return await _refused(request, Refused(error.status_code, words.get(error.status_code, "http"), error.detail))


async def _unexpected(request: Request, error: Exception) -> Response:
    # Starlette raises the error again, and uvicorn logs it.
    return refusal_response(Refused(500, "internal", "Something went wrong here; it has been logged."))
