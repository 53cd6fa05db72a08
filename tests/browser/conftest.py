"""Chromium for tests of the page.

One browser serves all tests of a process, so its fixtures live on the session's event loop, and so must the tests:
`pytestmark = pytest.mark.asyncio(loop_scope="session")`. Servers that a test starts on a loop of their own run in
another process or thread. Under the page's Content Security Policy, Playwright's `wait_for_function` fails: use
locators or `evaluate`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.browser.cameras import sample_frames, write_camera

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.browser.visits import Browsers, Visits

_CAMERA_FRAMES = 50
"""Two seconds, 20 MB."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browsers() -> AsyncIterator[Browsers]:
    """Browsers with fake cameras; skips the test without Chromium or Playwright."""
    if find_spec("playwright") is None:
        pytest.skip("Playwright is not installed: pip install playwright")
    from playwright.async_api import async_playwright

    from tests.browser.visits import CHROMIUM, Browsers

    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} does not exist: install Debian's chromium")
    async with async_playwright() as playwright:
        running = Browsers(playwright)
        yield running
        await running.close()


@pytest.fixture(scope="session")
def sample_camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake camera that shows two seconds of the sample clip's dancer."""
    return write_camera(tmp_path_factory.mktemp("camera") / "sample.y4m", sample_frames(0, _CAMERA_FRAMES))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(browsers: Browsers, sample_camera: Path) -> Browser:
    """A browser whose camera shows the sample clip's dancer."""
    return await browsers.with_camera(sample_camera)


@pytest_asyncio.fixture(loop_scope="session")
async def visits(chromium: Browser) -> AsyncIterator[Visits]:
    """Opens pages; fails the test if one of them reports an error that was not expected, or contacts another host."""
    from tests.browser.visits import Visits

    async with Visits(chromium) as opened:
        yield opened
    assert not opened.unexpected()
