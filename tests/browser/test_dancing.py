"""The page in front of all real processes: cameras, clips, recordings, visitors."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.async_api import Locator, Page, expect

from motion.frame import Picture
from tests.browser.cameras import empty_room
from tests.browser.clips import Video, loudest_hz, read_video, write_clip
from tests.browser.dance_page import LONG_PATIENCE_MS, DancePage
from tests.browser.visits import Visits
from tests.page_words import sentence

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(900)]

_FRAMES = 30
_SIDE_PX = 128
_GREEN = np.array([0, 177, 64])
_LOADED = """async video => {
    if (video.readyState < 2) await new Promise((resolve, reject) => {
        video.onloadeddata = resolve;
        video.onerror = () => reject(new Error(video.error.message));
    });
    return [video.videoWidth, video.videoHeight];
}"""


async def _open(visits: Visits, address: str) -> DancePage:
    return await DancePage(await visits.open(f"{address}/")).ready()


def _reduced(picture: Picture) -> np.ndarray:
    """A picture at one size for all comparisons: a slow server draws the actor smaller."""
    return cv2.resize(picture, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(int)


@cache
def _plate() -> np.ndarray:
    return _reduced(empty_room())


def _person_part(picture: Picture) -> np.ndarray:
    """Where a picture of the actor differs clearly from its empty place, `[H, W]` bool."""
    return np.asarray(np.abs(_reduced(picture) - _plate()).max(axis=2) > 40)


def _check_dancing(pictures: list[Picture]) -> None:
    """Check that each picture shows a person in the actor's place, and that the person moves."""
    parts = [_person_part(picture) for picture in pictures]
    assert all(0.02 < part.mean() < 0.4 for part in parts), [part.mean() for part in parts]
    assert any((one != other).mean() > 0.001 for one, other in pairwise(parts))


def _dances(page: Page) -> Locator:
    return page.locator("#dances > li")


async def _download(link: Locator, path: Path) -> Video:
    async with link.page.expect_download() as downloading:
        await link.click()
    await (await downloading.value).save_as(path)
    return read_video(path)


async def test_a_dancer_at_the_camera_becomes_the_actor(real_page: str, visits: Visits) -> None:
    """Poses of this browser, then pictures for the server: the actor dances, and the page says where the video goes."""
    dance = await _open(visits, real_page)
    await dance.start_camera("browser")
    await dance.guides("whole", LONG_PATIENCE_MS)
    await dance.dances("sample", LONG_PATIENCE_MS)
    _check_dancing(await dance.next_shown(4, LONG_PATIENCE_MS))
    await expect(dance.page.locator("#privacy")).to_have_text(sentence("stays_here"))
    await dance.page.click("#switch-way")
    await expect(dance.page.locator("#privacy")).to_have_text(sentence("frames_stay_here"))
    await dance.dances("sample", LONG_PATIENCE_MS)
    _check_dancing(await dance.next_shown(4, LONG_PATIENCE_MS))
    await dance.page.click("#stop")
    await dance.says("stopped")


async def test_a_clip_is_danced_whole_with_its_sound(real_page: str, visits: Visits, tmp_path: Path) -> None:
    """An uploaded clip goes on after a reload; its result has every frame at its time, and the sound."""
    clip = write_clip(tmp_path / "clip.mp4", _FRAMES)
    dance = await _open(visits, real_page)
    await dance.page.set_input_files("#clip", clip)
    await expect(_dances(dance.page)).to_have_attribute("data-state", "dancing", timeout=LONG_PATIENCE_MS)
    await dance.page.reload()
    await dance.ready()
    await expect(_dances(dance.page)).to_have_count(1)
    await expect(_dances(dance.page)).to_have_attribute("data-state", "done", timeout=LONG_PATIENCE_MS)
    source, result = (
        read_video(clip),
        await _download(dance.page.locator("#player a[download]"), tmp_path / "result.mp4"),
    )
    assert len(result.frames) == _FRAMES
    np.testing.assert_allclose(result.times_s, source.times_s, atol=0.002)
    assert abs(len(result.sound) - len(source.sound)) < 0.1 * len(source.sound)
    assert loudest_hz(result) == pytest.approx(440, abs=5)
    _check_dancing(result.frames[:: _FRAMES // 5])


async def test_a_finished_dance_is_played(real_page: str, visits: Visits, tmp_path: Path) -> None:
    """When it is done, the page plays the clip and the actor, and Escape closes the player; then it can be deleted."""
    dance = await _open(visits, real_page)
    await dance.page.set_input_files("#clip", write_clip(tmp_path / "clip.mp4", 10))
    player = dance.page.locator("#player")
    await expect(player).to_be_visible(timeout=LONG_PATIENCE_MS)
    await expect(dance.status).to_have_text(sentence("clip_done"))
    for video in await player.locator("video").all():
        assert await video.evaluate(_LOADED) == [512, 512]
    await dance.page.keyboard.press("Escape")
    await expect(player).to_be_hidden()
    await _dances(dance.page).get_by_role("button", name=sentence("delete")).click()
    await expect(_dances(dance.page)).to_have_count(0)


async def test_a_sample_dance_begins_with_a_click_and_can_be_cancelled(real_page: str, visits: Visits) -> None:
    """The stage shows the sample dance, its skeleton and the actor while it is danced."""
    dance = await _open(visits, real_page)
    await dance.page.locator("#samples button").first.click()
    await expect(_dances(dance.page)).to_have_attribute("data-state", "dancing", timeout=LONG_PATIENCE_MS)
    _check_dancing(await dance.next_shown(3, LONG_PATIENCE_MS))
    await _dances(dance.page).get_by_role("button", name=sentence("cancel")).click()
    await expect(_dances(dance.page)).to_have_attribute("data-state", "cancelled")
    await dance.says("stopped")


async def test_a_file_that_is_no_video_is_refused_in_words(real_page: str, visits: Visits, tmp_path: Path) -> None:
    """The page says what can be read."""
    visits.expect_error("415")
    dance = await _open(visits, real_page)
    (tmp_path / "letter.mp4").write_text("Dear Sir or Madam, " * 100)
    await dance.page.set_input_files("#clip", tmp_path / "letter.mp4")
    await dance.says("why_not_a_video")


async def test_a_recording_has_what_was_shown_and_the_sound(real_page: str, visits: Visits, tmp_path: Path) -> None:
    """The pictures that were shown between the two clicks, and the microphone, are in an MP4."""
    dance = await _open(visits, real_page)
    await dance.page.locator(".options summary").click()
    await dance.page.check("#with-sound")
    await dance.start_camera("server")
    await dance.dances("sample", LONG_PATIENCE_MS)
    await dance.page.click("#record")
    await expect(dance.page.locator("#record")).to_have_attribute("aria-pressed", "true")
    shown = await dance.next_shown(12, LONG_PATIENCE_MS)
    await dance.page.click("#record")
    await expect(dance.page.locator("#record")).to_have_attribute("aria-pressed", "false")
    await dance.page.click("#stop")
    await expect(_dances(dance.page)).to_have_attribute("data-state", "done", timeout=LONG_PATIENCE_MS)
    video = await _download(_dances(dance.page).locator("a[download]"), tmp_path / "recording.mp4")
    assert len(video.frames) >= len(shown) - 2
    assert np.all(np.diff(video.times_s) > 0)
    assert np.abs(video.sound).max() > 0.01
    _check_dancing(video.frames)


async def test_visitors_see_only_their_own(real_page: str, visits: Visits, tmp_path: Path) -> None:
    """Two dance at once, each with a background of their own; neither sees the other's pictures nor dances."""
    visits.expect_error("404")
    one, other = await _open(visits, real_page), await _open(visits, real_page)
    await one.page.set_input_files("#clip", write_clip(tmp_path / "clip.mp4", 10))
    await expect(_dances(one.page)).to_have_count(1)
    dance_id = await _dances(one.page).get_attribute("data-id")
    await other.option("background", "green")
    await one.start_camera("server")
    await other.start_camera("server")
    await one.dances("sample", LONG_PATIENCE_MS)
    await other.dances("sample", LONG_PATIENCE_MS)
    _check_dancing(await one.next_shown(4, LONG_PATIENCE_MS))
    for picture in await other.next_shown(4, LONG_PATIENCE_MS):
        assert (np.abs(picture.astype(int) - _GREEN).max(axis=2) < 40).mean() > 0.5
    await expect(_dances(other.page)).to_have_count(0)
    for path in ("", "/result", "/source", "/preview", "/poses"):
        assert (
            await other.page.evaluate("async path => (await fetch(path)).status", f"/api/dances/{dance_id}{path}")
            == 404
        )
