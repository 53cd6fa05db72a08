"""What the cards show.

`GET /api/actors` lists one card for each actor, with the version that a new session gets.
`GET /api/actors/ACTOR/VERSION/preview` is a short moving picture of it; with `?still=1` one that does not move.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from client.connection.types import ActorListing
from motion.frame import FrameSize
from serving.actors.actor_id import checked_actor_id
from web.access.orchestrator import Orchestrator
from web.access.visitors import Visitors
from web.actors.previews import Previews


def routes(orchestrator: Orchestrator, visitors: Visitors) -> list[BaseRoute]:
    """Return the routes. The list has one entry for each actor: `{"actor", "version", "unavailable", "preset", …}`."""

    async def actors(request: Request) -> JSONResponse:
        async with orchestrator.client(visitors.of(request)) as client:
            listed = orchestrator.consents.shown(await client.actors())
        return JSONResponse({"actors": [_card(versions) for versions in _by_actor(listed)]})

    previews = Previews(orchestrator)

    async def preview(request: Request) -> Response:
        asked = request.path_params
        actor = checked_actor_id(asked["actor"], field="actor")
        still = request.query_params.get("still") == "1"
        found = await previews.of(visitors.of(request), actor, asked["version"], still=still)
        # A version never changes, but it can be withdrawn: a browser keeps it for a moment, and nothing between does.
        return Response(found.data, media_type=found.media_type, headers={"Cache-Control": "private, max-age=60"})

    return [Route("/api/actors", actors), Route("/api/actors/{actor}/{version:int}/preview", preview)]


def _by_actor(listed: list[ActorListing]) -> list[list[ActorListing]]:
    by_actor: dict[str, list[ActorListing]] = {}
    for actor in listed:
        by_actor.setdefault(actor.actor, []).append(actor)
    return list(by_actor.values())


def _card(versions: list[ActorListing]) -> dict[str, Any]:
    """Return the card of one actor, whose versions come newest first."""
    usable = [version for version in versions if not version.unavailable]
    # Old servers do not say which version they serve: then it is the newest.
    shown = max(usable, key=lambda version: version.served_percent, default=versions[0])
    return {
        "actor": shown.actor,
        "version": shown.version,
        "unavailable": shown.unavailable,
        "preset": shown.preset,
        "size": _size(shown.stage_size),
        "smaller_sizes": [_size(size) for size in shown.smaller_sizes],
        "bytes": shown.size_bytes,
        "wardrobe": None if shown.wardrobe is None else list(shown.wardrobe.facings),
        "bare_warp": shown.bare_warp,
        "consent": shown.consent,
        "consent_ended": shown.consent_record is not None and bool(shown.consent_record.ended_because),
        "trained_at_s": shown.trained_at_s,
        "scores": shown.scores,
        "preview": shown.has_preview,
    }


def _size(size: FrameSize | None) -> list[int] | None:
    return None if size is None else [size.width_px, size.height_px]
