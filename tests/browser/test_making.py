"""A visitor films themselves on the page and becomes a card, in front of all real processes and a real training."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from client.local_stack.stack import local_stack
from serving.actors.store import ActorStore
from tests.browser.cameras import SAMPLE_CLIP, sample_frames, write_camera
from tests.browser.dance_page import LONG_PATIENCE_MS, PATIENCE_MS, DancePage
from tests.browser.visits import Browsers, Visits
from tests.page_words import sentence

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(1800)]

TRAINING_MS = 900_000.0
"""Preparing, a second of training, measuring and publishing, on a busy machine."""
STEP_MS = 8_000
"""Filming of one step; the sample clip's dancer does not do what the page asks for."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def filmed(browsers: Browsers, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """A browser whose camera shows the whole sample clip."""
    camera = tmp_path_factory.mktemp("filmed") / "dancer.y4m"
    return await browsers.with_camera(write_camera(camera, sample_frames(0, 250)))


def _button(page: Page, key: str) -> Locator:
    return page.get_by_role("button", name=sentence(key), exact=True)


async def _begin(page: Page) -> None:
    """Go through name and consent."""
    await page.click("#make")
    await page.get_by_label(sentence("making_name")).fill("Anna")
    await _button(page, "next").click()
    await page.get_by_label(sentence("consent_name")).fill("Anna K.")
    await page.get_by_label(sentence("consent_typed")).fill(sentence("consent_words"))
    await _button(page, "agree").click()


async def _cancel(page: Page) -> None:
    """Start a training from an uploaded video, and cancel it while it runs."""
    page.once("dialog", lambda dialog: dialog.accept())
    async with page.expect_file_chooser() as chooser:
        await _button(page, "footage_file").click()
    await (await chooser.value).set_files(SAMPLE_CLIP)
    await _button(page, "making_start").click(timeout=PATIENCE_MS)
    await expect(page.locator("#making .training")).to_be_visible()
    await page.wait_for_event("response", lambda response: "/api/makings/" in response.url)  # its progress
    await _button(page, "making_cancel").click()
    await expect(page.locator("#making")).to_be_hidden(timeout=PATIENCE_MS)


async def _film(page: Page) -> None:
    """Film all steps, and go on to the next one when a step has had its time."""
    await _button(page, "film_start").click()
    step = page.locator("#making .step")
    await expect(step).to_contain_text("1/", timeout=PATIENCE_MS)
    while await step.count():
        await page.wait_for_timeout(STEP_MS)
        with suppress(PlaywrightTimeoutError):  # the last step ends by itself
            await _button(page, "film_skip").click(timeout=1000)


async def test_a_visitor_becomes_a_card_and_dances_as_themselves(visits: Visits, filmed: Browser, tmp_path: Path):
    """Name, consent, filming, training, a card: then the actor dances. The footage is gone, the consent is stored.

    A first attempt is cancelled, and leaves nothing.
    """
    actors = tmp_path / "actors"
    actors.mkdir()
    settings = {
        "WEB_DATA_FOLDER": str(tmp_path / "data"),
        "WEB_MAKES_ACTORS": "true",
        "WEB_MAKING_ACTORS": str(actors),
        "WEB_MAKING_MINUTES": "0.02",
        "WEB_DISK_KEPT_BYTES": "0",
    }
    async with local_stack(actors, tmp_path / "logs", settings=settings, page_port=0) as stack:
        page = await visits.open(f"http://127.0.0.1:{stack.page_port}/", filmed)
        dance_page = await DancePage(page).ready()
        await _begin(page)
        await _cancel(page)
        assert not list((tmp_path / "data" / "makings").glob("*/*"))
        await _begin(page)
        await _film(page)
        await _button(page, "making_start").click(timeout=PATIENCE_MS)
        done = sentence("making_done", actor="anna", version=2)
        await expect(page.locator("#making .training > p")).to_have_text(done, timeout=TRAINING_MS)
        await _button(page, "close").click()
        card = page.locator("#actors").get_by_text("anna", exact=True)
        await card.click()
        await dance_page.start_camera("server")
        await dance_page.dances("anna", LONG_PATIENCE_MS)
        await dance_page.next_shown(3, LONG_PATIENCE_MS)
        await page.click("#stop")
        await page.close()
    stored = ActorStore(actors).load("anna").consent
    assert sentence("consent_words") in stored.words
    assert stored.who == "Anna K."
    (record,) = (tmp_path / "data" / "makings").glob("*/*/*")
    assert record.name == "making.json"
