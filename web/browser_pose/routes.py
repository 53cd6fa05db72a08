"""The routes of the pose finder: its tables and its files."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from web.access.refusals import Refused
from web.browser_pose.bundle import PoseBundle
from web.browser_pose.tables import joint_tables

_FOR_GOOD: Final = "public, max-age=31536000, immutable"


def routes(bundle: PoseBundle) -> list[BaseRoute]:
    """Return `GET /api/skeleton`, and the files of `bundle` below `/pose/files`.

    The files have their hash in their address and may be kept for good; the tables are asked for again at each visit.
    """
    tables = json.dumps(joint_tables(bundle), separators=(",", ":")).encode()

    async def skeleton(request: Request) -> Response:
        return Response(tables, media_type="application/json", headers={"Cache-Control": "no-cache"})

    async def file(request: Request) -> Response:
        found = bundle.files.get(request.path_params["name"])
        if found is None or found.version != request.path_params["version"]:
            raise Refused(404, "pose_file_gone", "The pose finder has no such file: load the page again.")
        headers = {"Cache-Control": _FOR_GOOD}
        if found.shrinks:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in request.headers.get("accept-encoding", ""):
                content = await asyncio.to_thread(lambda: found.compressed)
                headers["Content-Encoding"] = "gzip"
                return Response(content, media_type=found.media_type, headers=headers)
        return FileResponse(found.path, media_type=found.media_type, headers=headers)

    return [
        Route("/api/skeleton", skeleton, methods=["GET"]),
        Route("/pose/files/{version}/{name}", file, methods=["GET"]),
    ]
