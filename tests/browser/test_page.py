"""What a visitor meets on the page: it arrives, guides, dances, and says what goes wrong. Poses are scripted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from motion import skeleton
from motion.pose import Pose
from tests.browser.cameras import write_camera
from tests.browser.dance_page import DancePage, scripted, scripting
from tests.browser.visits import Browsers, Visits
from tests.page_words import sentence
from tests.pipeline.chain import Stack
from tests.pipeline.fake_stages import SIDE_PX, person
from tests.pipeline.web.gateway import gateway_of
from web.access.refusals import REFUSALS

pytestmark = pytest.mark.asyncio(loop_scope="session")

WHOLE: Final = scripted(person(), SIDE_PX)
_NEED_A_NAME: Final = {
    "button", "checkbox", "combobox", "dialog", "image", "img", "link", "meter", "progressbar", "radio", "radiogroup",
    "textbox",
}  # fmt: skip
_REACHED: Final = """() => {
    const {activeElement} = document;
    return activeElement.id || activeElement.value || activeElement.tagName.toLowerCase();
}"""
_PANELS: Final = """() => {
    const box = element => element.getBoundingClientRect().toJSON();
    const canvases = [...document.querySelectorAll('#stage canvas')];
    const panels = Object.fromEntries(canvases.map(each => [each.id, [box(each.parentElement), box(each)]]));
    return [panels, box(document.querySelector('.bar')).top];
}"""
_ASK_ELSEWHERE: Final = """async address => {
    const refused = [];
    for (const path of ['api/visit', 'api/ticket', 'api/dances']) {
        await fetch(address + path, {method: 'POST', credentials: 'include'}).catch(() => refused.push(path));
    }
    const socket = new WebSocket(address.replace('http', 'ws') + 'api/live');
    const opened = await new Promise(resolve => {
        socket.onopen = () => resolve(true);
        socket.onclose = () => resolve(false);
    });
    return {refused, opened};
}"""


def upper_body() -> Pose:
    """A person of whom a camera on a desk sees nothing below the hips."""
    pose = person()
    confidence = pose.confidence.copy()
    confidence[[skeleton.BODY_NAMES.index(name) for name in ("RKnee", "RAnkle", "LKnee", "LAnkle")]] = 0
    return Pose(pose.joints_px, confidence)


async def _open(visits: Visits, address: str, joints: list[float] | None = WHOLE, **context: Any) -> DancePage:
    return await DancePage(await visits.open(f"{address}/", before=scripting(joints), **context)).ready()


async def _unnamed(page: Page) -> list[str]:
    """What a screen reader could not name, in Chromium's own accessibility tree."""
    session = await page.context.new_cdp_session(page)
    nodes = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    shown = [node for node in nodes if not node["ignored"]]
    roles = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in shown]
    assert {"button", "combobox", "radio", "link"} <= {role for role, _ in roles}
    return [role for role, name in roles if role in _NEED_A_NAME and not name.strip()]


async def test_the_page_can_be_used_with_a_keyboard_and_a_screen_reader(quick_page: str, visits: Visits) -> None:
    """Every control has a name, there is one heading, and Tab reaches the cards, the camera, clips and the options."""
    dance = await _open(visits, quick_page, reduced_motion="reduce")
    page = dance.page
    await expect(page.get_by_role("heading", level=1)).to_have_count(1)
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    reached: list[str] = []
    await page.locator("body").press("Tab")
    while "fullscreen" not in reached:
        reached.append(str(await page.evaluate(_REACHED)))
        await page.keyboard.press("Tab")
    wanted = ["language", "anna", "start-camera", "choose-clip", "steps", "summary", "fullscreen"]
    assert [each for each in reached if each in wanted] == wanted
    await page.get_by_role("radio", name="anna").press("ArrowRight")
    await expect(page.get_by_role("radio", name="ben")).to_be_checked()
    for summary in await page.locator("summary").all():
        await summary.click()
    assert not await _unnamed(page)


@pytest.mark.slow
async def test_every_word_follows_the_language(quick_page: str, visits: Visits) -> None:
    """The visitor's language is taken from the browser, can be changed, and is remembered."""
    dance = await _open(visits, quick_page, locale="ru-RU")
    camera = dance.page.locator("#start-camera")
    await expect(camera).to_have_text(sentence("use_camera", "ru"))
    await expect(dance.status).to_have_text(sentence("ready", "ru"))
    await dance.page.select_option("#language", "en")
    await expect(camera).to_have_text(sentence("use_camera"))
    await dance.says("ready")
    await dance.page.reload()
    await expect(camera).to_have_text(sentence("use_camera"))


async def test_a_dance_begins_once_the_whole_body_is_seen(quick_page: str, visits: Visits) -> None:
    """An empty room and an upper body are answered in words, and open no session; a whole body dances."""
    dance = await _open(visits, quick_page, None)
    sockets: list[str] = []
    dance.page.on("websocket", lambda socket: sockets.append(socket.url))
    await dance.start_camera()
    await dance.guides("nobody_seen")
    await dance.see(scripted(upper_body(), SIDE_PX))
    await dance.guides("show_feet")
    await expect(dance.words).to_be_visible()
    assert not sockets
    await dance.see(WHOLE)
    await dance.dances("anna")
    assert len(sockets) == 1
    shown = await dance.next_shown(3)
    assert all(picture.any() for picture in shown)
    assert (await dance.shown()).shape == (64, 64, 3)
    await expect(dance.page.locator("#privacy")).to_have_text(sentence("stays_here"))
    await dance.page.click("#stop")
    await dance.says("stopped")
    await expect(dance.page.locator("#start-camera")).to_be_enabled()


@pytest.mark.slow
async def test_the_way_changes_in_the_middle_of_a_dance(quick_page: str, visits: Visits) -> None:
    """The dance goes on with the camera's pictures, and the page says that they are sent."""
    dance = await _open(visits, quick_page)
    await dance.start_camera()
    await dance.dances("anna")
    await dance.page.click("#switch-way")
    await expect(dance.page.locator("#privacy")).to_have_text(sentence("frames_stay_here"))
    await dance.dances("anna")
    await dance.next_shown(2)


@pytest.mark.slow
@pytest.mark.parametrize(("needed_ms", "way"), [(10, "stays_here"), (1000, "frames_stay_here")])
async def test_the_way_is_chosen_by_what_holds_the_rate(
    quick_page: str, visits: Visits, needed_ms: float, way: str
) -> None:
    """A browser that is fast enough keeps the video; a slow one sends it to a server that is faster, and says so."""
    dance = await _open(visits, quick_page)
    await dance.slow_down(needed_ms)
    await dance.start_camera("auto")
    await dance.dances("anna")
    await expect(dance.page.locator("#privacy")).to_have_text(sentence(way))
    reason = sentence("way_fast_enough" if way == "stays_here" else "way_faster")
    await expect(dance.page.locator("#way-why")).to_have_text(reason)


@pytest.mark.slow
async def test_a_reload_in_the_middle_of_a_dance(quick_page: str, visits: Visits) -> None:
    """The page lets its session go, so a reloaded page can dance at once, as often as the visitor likes."""
    dance = await _open(visits, quick_page)
    for _ in range(4):  # twice as often as one visitor may dance at the same time
        await dance.start_camera()
        await dance.dances("anna")
        await dance.page.reload()
        await dance.ready()


@pytest.mark.slow
async def test_an_unplugged_camera_ends_the_dance_in_words(quick_page: str, visits: Visits) -> None:
    """The page says that the camera is gone, shows no old picture as if it were new, and can begin again."""
    dance = await _open(visits, quick_page)
    await dance.start_camera()
    await dance.dances("anna")
    await dance.page.evaluate(
        "document.getElementById('video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))"
    )
    await dance.says("why_camera_unplugged")
    await expect(dance.words).to_have_text(sentence("why_camera_unplugged"))
    await expect(dance.actor).to_have_class("old")
    await dance.start_camera()
    await dance.dances("anna")


@pytest.mark.slow
async def test_a_broken_pose_is_refused_in_words(quick_page: str, visits: Visits) -> None:
    """Numbers that are not a pose end their session; the page says so."""
    dance = await _open(visits, quick_page)
    await dance.start_camera()
    await dance.dances("anna")
    await dance.see([float(value) for value in np.tile([0.5, 0.5, 7.0], skeleton.JOINT_COUNT)])
    await dance.says("why_bad_frame")


@pytest.mark.slow
async def test_an_oversized_message_is_refused_in_words(quick_stack: Stack, visits: Visits) -> None:
    """A picture above the gateway's limit ends its session; the page says what to do."""
    async with gateway_of(quick_stack.address, max_message_bytes=4096) as address:
        dance = await _open(visits, address)
        await dance.start_camera("server")
        await dance.says("why_message_too_large")
        await dance.page.close()


@pytest.mark.slow
async def test_a_camera_that_cannot_be_used_is_named(
    quick_page: str, visits: Visits, browsers: Browsers, sample_camera: Path
) -> None:
    """A denied camera and a missing one are told apart; clips can still be danced."""
    denied = await browsers.with_camera(sample_camera, "--deny-permission-prompts", allowed=False)
    for browser, key in (
        (denied, "why_camera_denied"),
        (await browsers.with_camera(None), "why_no_camera"),
    ):
        dance = await _open(visits, quick_page, browser=browser)
        await dance.start_camera()
        await dance.says(key)
        await expect(dance.words).to_have_text(sentence(key))
        await expect(dance.page.locator("#start-camera")).to_be_enabled()


@pytest.mark.slow
async def test_a_wide_camera_loses_nothing_at_its_sides(
    quick_page: str, visits: Visits, browsers: Browsers, tmp_path: Path
) -> None:
    """Its pictures are shrunk and not cut, whichever way the pose is found: a dancer stretches out both arms."""
    edges = np.full((1080, 1920, 3), 128, np.uint8)
    edges[:, :96], edges[:, -96:] = (255, 0, 0), (0, 0, 255)
    browser = await browsers.with_camera(write_camera(tmp_path / "wide.y4m", [edges] * 5))
    for way, most_pixels in (("browser", 1280 * 720), ("server", 640 * 480)):
        dance = await _open(visits, quick_page, browser=browser)
        await dance.start_camera(way)
        await dance.dances("anna")
        await dance.next_shown(2)
        source = await dance.shown("source")
        height_px, width_px = source.shape[:2]
        assert width_px * height_px <= most_pixels
        assert abs(width_px / height_px - 16 / 9) < 0.02
        left, right = source[height_px // 2, [2, -3]].astype(int)
        assert left[0] - left[2] > 100
        assert right[2] - right[0] > 100
        await dance.page.close()


@pytest.mark.slow
async def test_a_phone_shows_each_panel_whole(quick_page: str, visits: Visits) -> None:
    """No panel cuts its picture off, and the bar of buttons does not lie over the camera's picture."""
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 720}, "is_mobile": True, "has_touch": True}
    dance = await _open(visits, quick_page, **phone)
    await dance.start_camera()
    await dance.dances("anna")
    panels, bar_top = await dance.page.evaluate(_PANELS)
    assert len(panels) == 3
    for screen, canvas in panels.values():
        assert canvas["left"] >= screen["left"] - 1
        assert canvas["right"] <= screen["right"] + 1
        assert canvas["top"] >= screen["top"] - 1
        assert canvas["bottom"] <= screen["bottom"] + 1
    assert panels["source"][1]["top"] >= 0
    assert panels["source"][1]["bottom"] <= bar_top


@pytest.mark.slow
async def test_another_sites_page_can_do_nothing(quick_page: str, visits: Visits) -> None:
    """A page of another origin is refused a visit, a ticket, a dance and a session."""
    visits.expect_error("CORS|403|WebSocket|Failed to load resource")
    dance = await _open(visits, quick_page)
    refused = REFUSALS.labels("origin")
    before = refused._value.get()
    async with _other_site() as elsewhere:
        visits.allow(elsewhere)
        page = await dance.page.context.new_page()
        await page.goto(elsewhere)
        assert await page.evaluate(_ASK_ELSEWHERE, f"{quick_page}/") == {
            "refused": ["api/visit", "api/ticket", "api/dances"],
            "opened": False,
        }
        await page.close()
    assert refused._value.get() - before == 4


@asynccontextmanager
async def _other_site() -> AsyncIterator[str]:
    """The address of a page of another origin on this machine, to which the browser brings the visit's cookie."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<title>elsewhere</title><link rel=icon href=data:,>", content_type="text/html")

    application = web.Application()
    application.router.add_get("/", page)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
