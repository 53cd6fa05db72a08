"""A visitor has a file checked, and reads what was found."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from provenance.credentials.manifest import SyntheticMedia
from provenance.watermark.code import Payload
from provenance.watermark.marking import Watermark
from serving.actors.store import ActorStore
from tests.browser.dance_page import PATIENCE_MS, DancePage
from tests.browser.visits import Visits
from tests.page_words import sentence
from tests.pipeline.chain import Stack
from tests.pipeline.web.gateway import gateway_of
from tests.signed_files import changed, scene, sign, write_video

pytestmark = pytest.mark.asyncio(loop_scope="session")

_DROP = """([encoded, name]) => {
    const data = Uint8Array.from(atob(encoded), each => each.charCodeAt(0)), dropped = new DataTransfer();
    dropped.items.add(new File([data], name));
    document.getElementById('verify').dispatchEvent(new DragEvent('drop', {dataTransfer: dropped, bubbles: true}));
}"""


def _signed(stack: Stack, folder: Path) -> Path:
    """A video of anna with a watermark. The server of these tests has no key that it could name."""
    anna = ActorStore(stack.actors_root).load("anna")
    path = write_video(folder / "anna.mp4", [Watermark(Payload(0x0BAD, 7)).marked(scene(each)) for each in range(4)])
    facts = SyntheticMedia(actor="anna", actor_version=anna.version, consent_sha256=anna.consent.sha256())
    sign(path, folder, facts)
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


async def _drop(page: Page, path: Path, name: str = "") -> None:
    await page.evaluate(_DROP, [_encoded(path), name or path.name])


async def _is_told(page: Page, name: str, mark: str, language: str = "en") -> None:
    verdict = sentence("verify_verdict", language, name=name, verdict=sentence(f"verify_{mark}", language))
    await expect(page.locator("#verify-verdict")).to_have_text(verdict, timeout=PATIENCE_MS)
    await expect(page.locator("#verify-limits")).to_have_text(sentence(f"verify_limits_{mark}", language))


async def test_a_dropped_file_is_told_in_words(
    quick_stack: Stack, quick_page: str, visits: Visits, tmp_path: Path
) -> None:
    """Marked, changed and unmarked; what cannot be checked is refused in words. Nothing begins to dance."""
    visits.expect_error("415|413")
    path = _signed(quick_stack, tmp_path)
    dance = await DancePage(await visits.open(f"{quick_page}/")).ready()
    page = dance.page
    await page.click("#to-verify")
    await _drop(page, path)
    await _is_told(page, "anna.mp4", "marked")
    rows = page.locator("#verify-rows")
    await expect(rows).to_contain_text(sentence("credentials_self_made", signer="tests"))
    await expect(rows).to_contain_text(sentence("consent_holds", actor="anna", version=1))
    await expect(rows).to_contain_text(sentence("watermark_unknown", key="0bad", session="00000007"))
    await page.select_option("#language", "ru")
    await _is_told(page, "anna.mp4", "marked", "ru")
    await page.select_option("#language", "en")
    await page.set_input_files("#verify-chooser", changed(path))
    await _is_told(page, "anna.mp4", "changed")
    plain = write_video(tmp_path / "plain.mp4", [scene()])
    await page.set_input_files("#verify-chooser", plain)
    await _is_told(page, "plain.mp4", "unmarked")
    state = page.locator("#verify-state")
    await _drop(page, Path(__file__), "poem.txt")
    await expect(state).to_have_text(sentence("why_not_checkable"))
    await expect(rows).to_be_hidden()
    await _drop(page, Path(__file__), "alone.c2pa")
    await expect(state).to_have_text(sentence("why_sidecar_alone"))
    await dance.says("ready")


@pytest.mark.slow
async def test_a_sidecar_is_chosen_with_its_file(quick_stack: Stack, visits: Visits, tmp_path: Path) -> None:
    """Both are sent in one piece; a file above the limit is not sent at all; an upload can be cancelled."""
    path = write_video(tmp_path / "anna.webm", [scene()])
    facts = SyntheticMedia(actor="anna", actor_version=1)
    sidecar = sign(path, tmp_path, facts)
    assert sidecar is not None
    async with gateway_of(quick_stack.address, max_verify_bytes=2**20) as address:
        page = (await DancePage(await visits.open(f"{address}/")).ready()).page
        await page.set_input_files("#verify-chooser", [sidecar, path])
        await _is_told(page, "anna.webm", "marked")
        await expect(page.locator("#verify-rows")).to_contain_text(sentence("credentials_in_sidecar"))
        (tmp_path / "large.mp4").write_bytes(bytes(2**20 + 1))
        await page.set_input_files("#verify-chooser", tmp_path / "large.mp4")
        state, cancel = page.locator("#verify-state"), page.locator("#verify-cancel")
        await expect(state).to_have_text(sentence("why_file_too_large"))
        await expect(cancel).to_be_hidden()
        await page.route("**/api/verify*", lambda route: None)  # it never gets through
        await page.set_input_files("#verify-chooser", path)
        await cancel.click()
        await expect(state).to_have_text(sentence("state_cancelled"))
        await expect(page.locator("#verify-choose")).to_be_visible()
        await page.close()
