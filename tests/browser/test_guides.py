"""What the page tells people in front of real cameras, with its real pose finder. No dance begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import expect

from tests.browser.cameras import empty_room, sample_frames, upper_body, write_camera
from tests.browser.dance_page import LONG_PATIENCE_MS, DancePage
from tests.browser.visits import Browsers, Visits

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


@pytest.mark.parametrize(("camera", "word"), [("room", "nobody_seen"), ("darkness", "too_dark"), ("desk", "show_feet")])
async def test_the_page_says_what_is_missing(
    quick_page: str, visits: Visits, browsers: Browsers, tmp_path: Path, camera: str, word: str
) -> None:
    """An empty room, a dark one, and a camera on a desk are told apart, and open no session."""
    frames = {
        "room": [empty_room()],
        "darkness": [np.full((512, 512, 3), 6, np.uint8)],
        "desk": [upper_body(frame) for frame in sample_frames(0, 25)],
    }[camera]
    browser = await browsers.with_camera(write_camera(tmp_path / "camera.y4m", frames))
    dance = await DancePage(await visits.open(f"{quick_page}/", browser)).ready()
    sockets: list[str] = []
    dance.page.on("websocket", lambda socket: sockets.append(socket.url))
    await dance.start_camera("browser")
    await dance.guides(word, LONG_PATIENCE_MS)
    await expect(dance.words).to_be_visible()
    assert not sockets
    await dance.page.click("#stop")
    await dance.says("stopped")
