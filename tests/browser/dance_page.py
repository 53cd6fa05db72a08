"""The page as a visitor uses it, and what it shows."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Final

import cv2
import numpy as np
from playwright.async_api import BrowserContext, Page, Route, expect

from motion.frame import Picture
from motion.pose import Pose
from tests.browser.visits import Prepare
from tests.page_words import sentence
from tests.pipeline.fake_stages import PATIENCE_SECONDS

PATIENCE_MS: Final = PATIENCE_SECONDS * 1000
LONG_PATIENCE_MS: Final = 240_000.0
"""For real networks on a busy machine."""
_SCRIPTED_FINDER: Final = """
export class PoseError extends Error {}
export class PoseFinder {
  static async start(tables, {onProgress}) { onProgress?.(1, 1); return new PoseFinder(); }
  processor = 'cpu';
  async find(source, width, height) {
    const joints = window.scripted && Float32Array.from(window.scripted,
      (value, index) => index % 3 === 2 ? value : value * (index % 3 ? height : width));
    return {joints, ms: window.needed_ms ?? 1, faceAndHandsCarried: false};
  }
  reset() {}
  close() {}
}
"""
_PICTURE: Final = "canvas => canvas.toDataURL('image/png').split(',')[1]"
_CHANGES: Final = """async (canvas, count) => {
    const look = () => canvas.toDataURL('image/png');
    const seen = [look()];
    while (seen.length <= count) {
        await new Promise(resolve => requestAnimationFrame(resolve));
        const now = look();
        if (now !== seen.at(-1)) seen.push(now);
    }
    return seen.slice(1).map(each => each.split(',')[1]);
}"""


def scripted(pose: Pose, side_px: int) -> list[float]:
    """A pose in a square frame of `side_px` as the scripted finder reads it: fractions of the frame, and confidence."""
    return [float(value) for value in np.column_stack([pose.joints_px / side_px, pose.confidence]).ravel()]


def scripting(joints: list[float] | None) -> Prepare:
    """Give a context's pages a pose finder that finds `joints` at once; `DancePage.see` changes them."""

    async def fulfil(route: Route) -> None:
        await route.fulfill(body=_SCRIPTED_FINDER, content_type="text/javascript")

    async def prepare(context: BrowserContext) -> None:
        await context.route("**/pose/finder.js", fulfil)
        await context.add_init_script(f"window.scripted = {json.dumps(joints)};")

    return prepare


class DancePage:
    """A loaded page.

    status: the line that says what happens. guide: the words over the camera's picture. words: those over the actor.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.status = page.locator("#status")
        self.guide = page.locator("#guide")
        self.words = page.locator("#actor-words")
        self.actor = page.locator("canvas#actor")
        self.connection = page.locator("#connection")

    async def ready(self) -> DancePage:
        """Wait until the page has loaded."""
        await self.page.locator("body[data-ready=true]").wait_for(timeout=PATIENCE_MS)
        return self

    async def see(self, joints: list[float] | None) -> None:
        """Let the scripted finder find these joints from now on."""
        await self.page.evaluate("joints => { window.scripted = joints; }", joints)

    async def slow_down(self, needed_ms: float) -> None:
        """Let the scripted finder say that it needs `needed_ms` for each picture."""
        await self.page.evaluate("ms => { window.needed_ms = ms; }", needed_ms)

    async def option(self, control: str, value: str) -> None:
        """Choose `value` in one of the options."""
        if await self.page.locator(".options").get_attribute("open") is None:
            await self.page.locator(".options summary").click()
        await self.page.select_option(f"#{control}", value)

    async def start_camera(self, way: str = "browser") -> None:
        """Dance in front of the camera. way: where the pose is found: auto, browser or server."""
        await self.option("way", way)
        await self.page.click("#start-camera")

    async def dances(self, actor: str, patience_ms: float = PATIENCE_MS) -> None:
        """Wait until the page says that it dances as `actor`, and shows a picture."""
        await self.says("dancing", patience_ms, actor=actor)
        await expect(self.words).to_be_hidden(timeout=patience_ms)
        await expect(self.connection).to_be_hidden(timeout=patience_ms)

    async def says(self, key: str, patience_ms: float = PATIENCE_MS, **values: object) -> None:
        """Wait until the status line is the sentence `key`."""
        await expect(self.status).to_have_text(sentence(key, **values), timeout=patience_ms)

    async def guides(self, word: str, patience_ms: float = PATIENCE_MS) -> None:
        """Wait until the words over the camera's picture are the advice `word`."""
        await expect(self.guide).to_have_text(sentence(f"guide_{word}"), timeout=patience_ms)

    async def shown(self, panel: str = "actor") -> Picture:
        """What a panel shows, `[H, W, 3]` uint8 RGB. panel: actor, source or skeleton."""
        return _picture(await self.page.locator(f"canvas#{panel}").evaluate(_PICTURE))

    async def next_shown(self, count: int, patience_ms: float = PATIENCE_MS) -> list[Picture]:
        """The next `count` different pictures of the actor's panel."""
        async with asyncio.timeout(patience_ms / 1000):
            return [_picture(each) for each in await self.actor.evaluate(_CHANGES, count)]

    async def answers(self) -> int:
        """How many frames of this dance were answered."""
        return int(await self.page.evaluate("dance.facts().answers"))


def _picture(encoded: str) -> Picture:
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
