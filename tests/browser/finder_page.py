"""A page with nothing but the pose finder, for its tests and its benchmark."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import uvicorn
from playwright.async_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from motion.frame import Picture
from motion.pose import Pose
from web.browser_pose.bundle import PoseBundle
from web.browser_pose.routes import routes

_PAGE: Final = Path(__file__).resolve().parents[2] / "web" / "page"
_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'"
)
_START: Final = """async options => {
    const {PoseFinder} = await import('/pose/finder.js');
    window.tables = await (await fetch('/api/skeleton')).json();
    const progress = [];
    window.finder = await PoseFinder.start(window.tables, {...options, onProgress: (...bytes) => progress.push(bytes)});
    return {processor: window.finder.processor, choice: window.finder.choice, progress};
}"""
_FIND: Final = """async ([name, at_ms]) => {
    const picture = await createImageBitmap(await (await fetch('/pictures/' + name)).blob());
    const began = performance.now();
    const found = await window.finder.find(picture, picture.width, picture.height, at_ms);
    const all_ms = performance.now() - began;
    picture.close();
    return {...found, joints: found.joints && Array.from(found.joints), all_ms};
}"""


class FinderPage:
    """A page that has loaded the finder's module. pictures: what the server shows below `/pictures`, as PNG."""

    def __init__(self, page: Page, pictures: dict[str, bytes]) -> None:
        self.page = page
        self._pictures = pictures

    async def start(self, **options: Any) -> dict[str, Any]:
        """Start the finder. Returns its processor, its choice, and the progress as pairs of bytes so far and all."""
        started: dict[str, Any] = await self.page.evaluate(_START, options)
        return started

    async def find(self, picture: Picture, at_ms: float) -> tuple[Pose | None, Mapping[str, Any]]:
        """Find the pose in `picture`, `[H, W, 3]` uint8 RGB. Returns it, and all that the finder answered."""
        name = f"{len(self._pictures)}.png"
        self._pictures[name] = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
        answer: dict[str, Any] = await self.page.evaluate(_FIND, [name, at_ms])
        joints = answer.pop("joints")
        if joints is None:
            return None, answer
        table = np.array(joints, np.float32).reshape(-1, 3)
        return Pose(table[:, :2].copy(), table[:, 2].copy()), answer


@asynccontextmanager
async def finder_server(pictures: Mapping[str, bytes], scripts: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """Serve the finder's files, an empty page at `/blank`, `pictures` and `scripts`; yields the address."""

    async def blank(request: Request) -> Response:
        return HTMLResponse(
            '<!doctype html><html lang="en"><title>finder</title><link rel="icon" href="data:,"></html>'
        )

    async def picture(request: Request) -> Response:
        return Response(pictures[request.path_params["name"]], media_type="image/png")

    async def script(request: Request) -> Response:
        return Response((scripts or {})[request.path_params["name"]], media_type="text/javascript")

    shown = [Route("/blank", blank), Route("/pictures/{name}", picture), Route("/scripts/{name}", script)]
    application = Starlette(routes=[*shown, *routes(PoseBundle()), Mount("/", StaticFiles(directory=_PAGE))])

    async def with_policy(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", _POLICY.encode())]
            await send(message)

        await application(scope, receive, sent)

    config = uvicorn.Config(with_policy, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
