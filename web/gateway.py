"""The gateway as a service: it starts and drains like every other process of the pipeline."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from grpc import StatusCode

from client.connection.session import DanceClient
from client.errors import ServerError
from serving.rpc.health import Health, follow
from serving.rpc.server import VERSION, Listener, ServerSettings, Service
from serving.transport.tls import is_local
from web.access.limits import Limits
from web.access.orchestrator import Orchestrator
from web.access.tickets import Tickets
from web.access.visitors import Visitors
from web.actors import routes as actors
from web.application import Parts, application
from web.browser_pose import routes as browser_pose
from web.browser_pose.bundle import PoseBundle
from web.dances import routes as dances
from web.dances.keeper import DanceKeeper
from web.live.session import LiveSessions
from web.making import routes as making
from web.making.makings import makings_of
from web.settings import WebSettings
from web.uvicorn_listener import UvicornListener
from web.verifying import routes as verifying
from web.verifying.verifier import Verifier

_WATCH_SECONDS = 5.0


class Gateway(Service):
    """Serves the page and its interface. Health is SERVING while the orchestrator answers."""

    name = "web"
    full_names = ()

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._orchestrator = Orchestrator(settings.access(), settings.stated_except())
        self._visitors = Visitors(needs_token=settings.sign_in)
        self._pose_bundle = PoseBundle()
        self._tickets = Tickets(settings.ticket_seconds)
        limits = Limits(
            "live sessions", most=settings.max_live_sessions, most_per_user=settings.max_live_sessions_per_user
        )
        self._makings = makings_of(settings) if settings.makes_actors else None
        self._dances = DanceKeeper(settings, self._orchestrator, self._visitors)
        self._verifier = Verifier(settings, self._orchestrator)
        self._live = LiveSessions(
            self._orchestrator,
            self._tickets,
            limits,
            lambda visitor, recording_id: self._dances.recording_of(visitor.id, recording_id),
            None if self._makings is None else self._makings.filming,
        )
        self._closing = AsyncExitStack()
        self._trouble = "the orchestrator was not asked yet"

    def listener(self, settings: ServerSettings) -> Listener:
        parts = Parts(
            orchestrator=self._orchestrator,
            visitors=self._visitors,
            tickets=self._tickets,
            live=self._live,
            config=self._config,
            serves=lambda: not self._trouble,
            origins=self._settings.allowed_origins(),
            routes=[
                *actors.routes(self._orchestrator, self._visitors),
                *browser_pose.routes(self._pose_bundle),
                *making.routes(self._makings, self._visitors),
                *dances.routes(self._dances),
                *verifying.routes(self._verifier, self._visitors),
            ],
        )
        return UvicornListener(application(parts), self._settings)

    async def warm_up(self) -> None:
        if self._makings is not None:
            await self._closing.enter_async_context(self._makings)
        await self._closing.enter_async_context(self._dances.running())
        self._closing.enter_context(self._verifier.running())

    @property
    def ready_at_start(self) -> bool:
        return False

    async def keep_health(self, health: Health) -> None:
        orchestrator = self._orchestrator
        async with orchestrator.client_without_token() if self._settings.sign_in else orchestrator.client() as client:
            await follow(health, lambda: self._check(client), every_seconds=_WATCH_SECONDS)

    async def _check(self, client: DanceClient) -> str:
        sign_in = self._settings.sign_in
        try:
            await client.actors()
            # Any token would do, and a visitor could take a new one for each request.
            self._trouble = "sign_in is on, but the orchestrator accepts calls without a token" if sign_in else ""
        except ServerError as error:
            refused = error.status is StatusCode.UNAUTHENTICATED
            self._trouble = "" if sign_in and refused else str(error)
        return self._trouble

    async def drain(self) -> None:
        self._trouble = "draining"
        # uvicorn cuts WebSockets off when it stops, so their pages are told before.
        await self._live.drain(self._settings.drain_seconds)

    async def close(self) -> None:
        await self._closing.aclose()

    def _config(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "version": VERSION,
            "needs_token": settings.sign_in,
            "server_is_here": is_local(settings.server),
            "max_message_bytes": settings.max_message_bytes,
            "makes_actors": settings.makes_actors,
            "verify_bytes": settings.max_verify_bytes,
        }
