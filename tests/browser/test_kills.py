"""kill -9 of the orchestrator, the pose service and the gateway in the middle of a dance in the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.clips import read_video, write_clip
from tests.browser.dance_page import LONG_PATIENCE_MS, DancePage
from tests.browser.restartable import PAGE, PageDeployment
from tests.browser.visits import Visits
from tests.page_words import sentence

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(900)]

_FRAMES = 40
_EXPECTED = "Failed to load resource|WebSocket connection|CONNECTION_REFUSED"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PageDeployment]:
    async with PageDeployment(tmp_path_factory.mktemp("deployment")) as running:
        yield running


@pytest.mark.parametrize("name", ["orchestrator", "pose", PAGE])
async def test_a_dance_at_the_camera_goes_on(deployment: PageDeployment, visits: Visits, name: str) -> None:
    """The page says that the connection is lost, then new pictures come, without a click."""
    visits.expect_error(_EXPECTED)
    dance = await DancePage(await visits.open(f"{deployment.address}/")).ready()
    await dance.start_camera("server")
    await dance.dances("sample", LONG_PATIENCE_MS)
    await dance.next_shown(3, LONG_PATIENCE_MS)
    await deployment.kill(name)
    await expect(dance.connection).to_have_text(sentence("connection_lost"), timeout=LONG_PATIENCE_MS)
    await deployment.start(name)
    await dance.dances("sample", LONG_PATIENCE_MS)
    await dance.next_shown(3, LONG_PATIENCE_MS)
    await dance.page.click("#stop")
    await dance.says("stopped")


@pytest.mark.parametrize("name", ["orchestrator", "pose", PAGE])
async def test_a_clip_keeps_all_its_frames(
    deployment: PageDeployment, visits: Visits, tmp_path: Path, name: str
) -> None:
    """The dance goes on by itself, and its result has every frame at its time, and the sound."""
    visits.expect_error(_EXPECTED)
    clip = write_clip(tmp_path / "clip.mp4", _FRAMES)
    dance = await DancePage(await visits.open(f"{deployment.address}/")).ready()
    await dance.page.set_input_files("#clip", clip)
    item = dance.page.locator("#dances > li")
    await expect(item).to_have_attribute("data-state", "dancing", timeout=LONG_PATIENCE_MS)
    await dance.next_shown(2, LONG_PATIENCE_MS)
    await deployment.kill(name)
    await deployment.start(name)
    await expect(item).to_have_attribute("data-state", "done", timeout=LONG_PATIENCE_MS)
    async with dance.page.expect_download() as downloading:
        await dance.page.locator("#player a[download]").click()
    await (await downloading.value).save_as(tmp_path / "result.mp4")
    result = read_video(tmp_path / "result.mp4")
    assert len(result.frames) == _FRAMES
    np.testing.assert_allclose(result.times_s, read_video(clip).times_s, atol=0.002)
    assert np.abs(result.sound).max() > 0.1
