"""What visitors upload is bounded, resumable and checked, and belongs to them alone."""

from __future__ import annotations

import numpy as np
import pytest

from motion.frame import PictureEncoding
from motion.wardrobe.pieces import Wardrobe
from serving.pictures.codec import encode_picture
from tests.pipeline.chain import Stack, publish_actor
from tests.pipeline.fake_stages import SIDE_PX, person
from tests.tiny_wardrobes import tiny_wardrobe, with_arms_turned
from tests.unit.web.dances.conftest import Browser, Build, House, clip_of, played
from web.access.refusals import Refused
from web.dances.clips import PICTURE_BYTES, media_type_of
from web.dances.dance import State

WISH = {"actor": "ben", "source": {"bytes": 1000}}


async def begun(browser: Browser, count: int) -> str:
    made = await browser.ask("POST", "/api/dances", {"actor": "ben", "source": {"bytes": count}})
    assert made.status == 201, made.body
    return str(made.json["id"])


async def test_upload_goes_on_where_it_was_interrupted(house: House, clip: bytes) -> None:
    """A chunk at another place is refused with the right one, and the sent bytes are the clip."""
    browser = await house.browser()
    path = f"/api/dances/{await begun(browser, len(clip))}"
    assert (await browser.ask("PUT", f"{path}/upload?offset=0", clip[:3000])).json["source"]["received_bytes"] == 3000
    for wrong in (0, 2000, 4000):
        refused = await browser.ask("PUT", f"{path}/upload?offset={wrong}", clip[:10])
        assert (refused.refusal, refused.json["received_bytes"]) == ((409, "wrong_offset"), 3000)
    assert (await browser.ask("GET", path)).json["state"] == "uploading"
    rest = await browser.ask("PUT", f"{path}/upload?offset=3000", clip[3000:])
    assert rest.json["source"]["seconds"] == pytest.approx(3.0)
    more = await browser.ask("PUT", f"{path}/upload?offset={len(clip)}", b"more")
    assert more.refusal == (409, "wrong_state")
    assert (await browser.ask("GET", f"{path}/source")).body == clip


async def test_upload_is_no_larger_than_announced(house: House, clip: bytes) -> None:
    """Neither a chunk, nor all of them together, nor what is announced."""
    browser = await house.browser()
    path = f"/api/dances/{await begun(browser, 1000)}/upload?offset=0"
    assert (await browser.ask("PUT", path, clip[:1001])).refusal == (400, "bad_request")
    assert (await browser.ask("PUT", path, bytes(2**21 + 1))).refusal == (413, "chunk_too_large")
    wish = {"actor": "ben", "source": {"bytes": 2**40}}
    assert (await browser.ask("POST", "/api/dances", wish)).refusal == (413, "clip_too_large")


async def test_what_is_no_video_is_refused_by_its_first_bytes(house: House) -> None:
    """Before FFmpeg sees it; the dance has failed, and its bytes are gone."""
    browser = await house.browser()
    for content in (
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<svg></svg>",
    ):
        dance_id = await begun(browser, len(content))
        refused = await browser.ask("PUT", f"/api/dances/{dance_id}/upload?offset=0", content)
        assert refused.refusal == (415, "not_a_video")
        assert (await browser.dance(dance_id))["word"] == "not_a_video"
    assert {path.name for path in house.keeper.store.root.glob("*/*/*")} == {"dance.json"}


async def test_damaged_clip_is_refused_in_the_readers_words(house: House, clip: bytes) -> None:
    """It begins like an MP4, but nothing can be read; the message names no file of this machine."""
    browser = await house.browser()
    damaged = clip[:40] + bytes(1000)
    dance_id = await begun(browser, len(damaged))
    refused = await browser.ask("PUT", f"/api/dances/{dance_id}/upload?offset=0", damaged)
    assert refused.refusal == (415, "unreadable_clip")
    text = refused.json["error"]["text"]
    assert text.startswith("the clip cannot be read as a video")
    assert str(house.keeper.store.root) not in text


async def test_clip_beyond_the_limits_is_refused_with_the_numbers(build: Build, stack: Stack) -> None:
    """Too long, and too large: the message has what it is and what is allowed."""
    async with build.house(stack, max_clip_seconds=2.0, max_clip_side_px=100) as house:
        browser = await house.browser()
        for clip, word, said in (
            (clip_of(frames=40), "clip_too_long", "It has 40 frames and lasts 4 seconds: at most 2 seconds"),
            (clip_of(frames=5, side_px=128), "clip_too_big", "Its pictures are 128x128 pixels, at most 100"),
        ):
            dance_id = await begun(browser, len(clip))
            refused = await browser.ask("PUT", f"/api/dances/{dance_id}/upload?offset=0", clip)
            assert refused.refusal == (413, word)
            assert refused.json["error"]["text"].startswith(said)


async def test_no_visitor_sees_the_dance_of_another(house: House, clip: bytes) -> None:
    """Not by its id either: every route answers as if there were none."""
    anna, ben = await house.browser(), await house.browser("192.0.2.7")
    dance = await anna.uploads(clip)
    await house.ended(dance["id"])
    path = f"/api/dances/{dance['id']}"
    for method, rest in (
        ("GET", ""), ("GET", "/result"), ("GET", "/source"), ("GET", "/poses"), ("GET", "/preview"),
        ("PUT", "/upload?offset=0"), ("PUT", "/background"), ("POST", "/cancel"), ("DELETE", ""),
    ):  # fmt: skip
        assert (await ben.ask(method, path + rest)).refusal == (404, "no_such_dance")
    assert (await ben.ask("GET", "/api/dances")).json["dances"] == []
    assert [one["id"] for one in (await anna.ask("GET", "/api/dances")).json["dances"]] == [dance["id"]]
    assert (await Browser(house.app).ask("GET", path)).refusal == (401, "no_visit")
    anna.origin = "http://elsewhere"
    assert (await anna.ask("DELETE", path)).refusal == (403, "origin")


async def test_user_has_a_few_dances_at_a_time(build: Build, stack: Stack) -> None:
    """Counted by the address, so another cookie does not help; a deleted one makes room."""
    async with build.house(stack, max_dances_per_user=2) as house:
        first, second = await house.browser(), await house.browser()
        dances = [await begun(browser, 1000) for browser in (first, second)]
        assert (await second.ask("POST", "/api/dances", WISH)).refusal == (429, "too_many_dances")
        assert (await (await house.browser("192.0.2.7")).ask("POST", "/api/dances", WISH)).status == 201
        assert (await first.ask("DELETE", f"/api/dances/{dances[0]}")).status == 204
        assert (await second.ask("POST", "/api/dances", WISH)).status == 201


async def test_folder_has_a_limit(build: Build, stack: Stack) -> None:
    """What is announced counts at once, and a disk that is nearly full takes nothing."""
    async with build.house(stack, data_max_bytes=5000) as house:
        browser = await house.browser()
        await begun(browser, 3000)
        refused = await browser.ask("POST", "/api/dances", {"actor": "ben", "source": {"bytes": 3000}})
        assert refused.refusal == (507, "no_room")
    async with build.house(stack, disk_kept_bytes=2**62) as house:
        with pytest.raises(Refused, match="no room"):
            house.keeper.store.check_room()


async def test_wish_that_cannot_be_met_is_refused(house: House) -> None:
    """With the same code for the same reason, and without a trace in the folder."""
    browser = await house.browser()
    wishes: list[tuple[object, tuple[int, str]]] = [
        ({"actor": "../ben", "source": {"bytes": 1}}, (400, "bad_request")),
        ({"actor": "cleo", "source": {"bytes": 1}}, (404, "no_such_actor")),
        ({"actor": "ben", "version": 7, "source": {"bytes": 1}}, (404, "no_such_actor")),
        ({"actor": "ben", "source": {"sample": "../../secret"}}, (404, "no_such_sample")),
        ({"actor": "ben", "source": {"bytes": 0}}, (400, "bad_request")),
        ({"actor": "ben"}, (400, "bad_request")),
        ({**WISH, "background": {"kind": "green"}}, (400, "no_wardrobe")),
        ({**WISH, "background": {"kind": "plaid"}}, (400, "bad_background")),
        ({**WISH, "background": {"kind": "colour", "colour": "red"}}, (400, "bad_background")),
        (b"[1, 2", (400, "bad_request")),
        (b"{" + b" " * 5000, (413, "bad_request")),
    ]
    for wish, refusal in wishes:
        assert (await browser.ask("POST", "/api/dances", wish)).refusal == refusal, wish
    assert house.keeper.store.all() == []


@pytest.mark.slow
async def test_background_picture_is_uploaded_beside_the_clip(build: Build, stack: Stack, clip: bytes) -> None:
    """The dance waits for both; the picture is read like any other, and laid behind the dancer."""
    publish_actor(stack.actors_root, "cara", face=False, wardrobe=_wardrobe())
    png = encode_picture(np.full((40, 60, 3), (10, 20, 200), np.uint8), PictureEncoding.PNG).data
    async with build.house(stack) as house:
        browser = await house.browser()
        place = {"kind": "picture", "bytes": len(png)}
        dance = await browser.uploads(clip, actor="cara", background=place)
        assert dance["state"] == "uploading"
        path = f"/api/dances/{dance['id']}/background"
        assert (await browser.ask("PUT", path, b"GIF89a")).refusal == (415, "not_a_picture")
        assert (await browser.ask("PUT", path, bytes(PICTURE_BYTES + 1))).refusal == (413, "picture_too_large")
        assert (await browser.ask("PUT", path, png)).status == 200
        record = await house.ended(dance["id"])
        assert (record.state, record.text) == (State.DONE, "")
        result = await browser.ask("GET", f"/api/dances/{dance['id']}/result")
    assert len(played(result.body).levels) == 30


def _wardrobe() -> Wardrobe:
    return tiny_wardrobe([with_arms_turned(person(), angle) for angle in np.linspace(0, 2.4, 8)], SIDE_PX)


def test_files_are_recognised_by_their_first_bytes() -> None:
    """MP4, QuickTime, WebM, Matroska and AVI; sound also in Ogg."""
    assert media_type_of(clip_of(frames=2)[:12]) == "video/mp4"
    assert media_type_of(clip_of(frames=2, sound=False, container_format="matroska")[:12]) == "video/webm"
    assert media_type_of(clip_of(frames=2, sound=False, container_format="avi")[:12]) == "video/x-msvideo"
    assert media_type_of(b"OggS" + bytes(8)) is None
    assert media_type_of(b"OggS" + bytes(8), sound=True) == "audio/ogg"
    assert media_type_of(b"") is None
