"""Chromium for tests of the page.

One browser serves all tests of a file, and ends with it, since other tests count the processes that they leave. Its
fixtures live on the session's event loop, and so must the tests and their other fixtures:
`pytestmark = pytest.mark.asyncio(loop_scope="session")`. A server on another loop would stand still during the test.
Under the page's Content Security Policy, Playwright's `wait_for_function` fails: use locators or `evaluate`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pytest_asyncio

from client.local_stack.stack import LocalStack, local_stack
from motion.frame import PictureEncoding
from motion.pose import Pose
from serving.pictures.codec import size_of
from tests.browser.cameras import SAMPLE_ACTORS, sample_frames, write_camera
from tests.pipeline.chain import Stack, publish_actor, stack_of
from tests.pipeline.fake_stages import SIDE_PX, person
from tests.pipeline.web.gateway import gateway_of

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.browser.visits import Browsers, Visits

_CAMERA_FRAMES = 50
"""Two seconds, 20 MB."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
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


@pytest_asyncio.fixture(loop_scope="session")
async def quick_stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """An orchestrator with fake stages, and the actors anna and ben. Its pose service finds a whole person."""
    for actor in ("anna", "ben"):
        publish_actor(tmp_path, actor, face=False)
    async with stack_of(tmp_path) as stack:
        stack.pose.by_picture = whole_person
        yield stack


@pytest_asyncio.fixture(loop_scope="session")
async def quick_page(quick_stack: Stack) -> AsyncIterator[str]:
    """The address of a gateway in front of `quick_stack`. Name it before `visits`, which then end first."""
    async with gateway_of(quick_stack.address) as address:
        yield address


def whole_person(picture: bytes) -> Pose:
    """A whole person in the middle of a JPEG."""
    size = size_of(picture, PictureEncoding.JPEG)
    assert size is not None
    width_px, height_px = size
    pose = person()
    return Pose((pose.joints_px * [width_px / SIDE_PX, height_px / SIDE_PX]).astype(np.float32), pose.confidence)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """All real processes with the sample actor, and the gateway at `page_port`. For slow tests: it starts in a minute.

    It serves all tests of a process. A test that kills a process needs a stack of its own.
    """
    async with local_stack(SAMPLE_ACTORS, tmp_path_factory.mktemp("stack"), page_port=0) as stack:
        yield stack


@pytest.fixture(scope="session")
def real_page(real_stack: LocalStack) -> str:
    """The address of the page in front of all real processes."""
    return f"http://127.0.0.1:{real_stack.page_port}"
