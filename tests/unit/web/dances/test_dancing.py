"""A clip is danced whole: from the upload to the MP4 with every frame and the sound."""

from __future__ import annotations

import json
import re
import struct
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from motion import skeleton
from motion.frame import EncodedPicture, PictureEncoding
from provenance.credentials.reading import State as CredentialsState
from provenance.credentials.reading import read_credentials
from serving.actors.consent import ConsentRecord
from serving.pictures.codec import decode_picture
from tests.pipeline.chain import Stack, publish_actor, stack_of
from tests.pipeline.fake_stages import person
from tests.unit.web.dances.conftest import FRAMES, RATE_HZ, Build, House, clip_of, played
from web.dances.dance import Dance, State

BRIGHTER = 3.0
"""How much brighter the fake generator makes every picture than the one before."""


def rising(levels: list[float], first: float = 131.0) -> bool:
    """Whether the generator's pictures are all there once and in order, within what H.264 loses."""
    expected = first + BRIGHTER * np.arange(len(levels))
    return bool(np.abs(np.array(levels) - expected).max() < 1.6)


async def test_clip_becomes_a_video_with_every_frame_and_the_sound(house: House, clip: bytes) -> None:
    """Uploaded in chunks, danced, and played: 30 frames at their times, and three seconds of sound from the start.

    On the disk, folders have random names, and files always the same ones.
    """
    browser = await house.browser()
    dance = await browser.uploads(clip, chunk_bytes=5000)
    assert dance["source"]["has_sound"] is True
    assert (dance["source"]["frames"], dance["source"]["width_px"]) == (FRAMES, 64)
    record = await house.ended(dance["id"])
    assert (record.state, record.text) == (State.DONE, "")
    told = await browser.dance(dance["id"])
    assert (told["done"], told["of"], told["pictures"], told["measured"]) == (FRAMES, FRAMES, FRAMES, FRAMES)
    assert told["result"]["frames"] == FRAMES
    assert told["result"]["seconds"] == pytest.approx(3.0)
    result = await browser.ask("GET", f"/api/dances/{dance['id']}/result?download=1")
    named = re.fullmatch(r'attachment; filename="ben-([\d-]+)\.mp4"', result.headers["content-disposition"])
    assert named is not None
    begun = datetime.strptime(f"{named[1]}Z", "%Y-%m-%d-%H%M%S%z")
    assert int(begun.timestamp()) == int(record.created_s)
    seen = played(result.body)
    assert seen.times_s == pytest.approx([index / RATE_HZ for index in range(FRAMES)])
    assert rising(seen.levels)
    assert seen.sound_seconds == pytest.approx(3.0, abs=0.1)
    assert seen.sound_starts_s == pytest.approx(0.0, abs=0.03)
    part = await browser.ask("GET", f"/api/dances/{dance['id']}/result", headers={"range": "bytes=0-99"})
    assert (part.status, part.body) == (206, result.body[:100])
    source = await browser.ask("GET", f"/api/dances/{dance['id']}/source")
    assert (source.body, source.headers["content-type"]) == (clip, "video/mp4")
    names = {path.name for path in house.keeper.store.root.glob("*/*/*")}
    assert names == {"dance.json", "source", "result.mp4", "poses"}
    signed = read_credentials(next(house.keeper.store.root.glob("*/*/result.mp4")))
    assert signed is not None
    assert (signed.state, signed.says_synthetic) == (CredentialsState.VALID, True)
    assert (signed.stated["actor"], signed.stated["actor_version"]) == ("ben", 1)
    assert signed.ingredients == (("source", False),)


async def test_frame_without_a_dancer_repeats_the_last_picture(house: House, stack: Stack, clip: bytes) -> None:
    """Frames 3 and 4 have no dancer: the video has all frames, the remarks say why, and the poses have none there.

    The poses are times, joints in eighths of a pixel, and confidences.
    """
    stack.pose.script = lambda sequence: None if sequence in (3, 4) else person(20.0 + sequence)
    browser = await house.browser()
    dance = await browser.uploads(clip)
    await house.ended(dance["id"])
    told = await browser.dance(dance["id"])
    assert told["pictures"] == FRAMES - 2
    assert told["remarks"]["no_person"] == 2
    levels = played((await browser.ask("GET", f"/api/dances/{dance['id']}/result")).body).levels
    assert len(levels) == FRAMES
    assert np.ptp(levels[2:5]) < 1.0
    body = (await browser.ask("GET", f"/api/dances/{dance['id']}/poses")).body
    (length,) = struct.unpack_from("<I", body)
    head = json.loads(body[4 : 4 + length])
    assert head == {"frames": FRAMES, "joints": skeleton.JOINT_COUNT, "width_px": 64, "height_px": 64}
    at = 4 + length
    assert at % 4 == 0
    times = np.frombuffer(body, "<f4", FRAMES, at)
    at += times.nbytes
    places = np.frombuffer(body, "<i2", FRAMES * skeleton.JOINT_COUNT * 2, at).reshape(FRAMES, -1, 2)
    confidence = np.frombuffer(body, np.uint8, offset=at + places.nbytes).reshape(FRAMES, -1)
    assert times == pytest.approx(np.arange(FRAMES) / RATE_HZ)
    assert places[7] / 8 == pytest.approx(person(27.0).joints_px, abs=1 / 16)
    assert confidence[7] / 255 == pytest.approx(person().confidence, abs=0.51 / 255)
    assert not confidence[3].any()


async def test_preview_shows_the_newest_frame_with_its_pose_and_picture(
    house: House, stack: Stack, clip: bytes
) -> None:
    """Source, pose and picture of the same frame come in one message, and nothing if it was seen already.

    With `mirror`, the server and the preview see the dancer as in a mirror.
    """
    browser = await house.browser()
    dance = await browser.uploads(clip, mirror=True)
    await house.ended(dance["id"])
    path = f"/api/dances/{dance['id']}/preview"
    body = (await browser.ask("GET", f"{path}?after=-1")).body
    (length,) = struct.unpack_from("<I", body)
    head = json.loads(body[4 : 4 + length])
    assert (head["sequence"], head["width_px"], head["pose"]) == (FRAMES - 1, 64, skeleton.JOINT_COUNT * 12)
    assert len(body) == 4 + length + head["source"] + head["pose"] + head["picture"]
    assert body[-head["picture"] :].startswith(b"\xff\xd8")
    assert (await browser.ask("GET", f"{path}?after={head['number']}")).status == 204
    source = body[4 + length : 4 + length + head["source"]]
    assert source == stack.pose.pictures[FRAMES - 1]
    pixels = decode_picture(EncodedPicture(PictureEncoding.JPEG, 64, 64, source))
    assert pixels[:, :20].mean() < 80
    assert pixels[:, 44:].mean() > 180


async def test_clip_without_a_body_fails_in_words(house: House, stack: Stack, clip: bytes) -> None:
    """The body pass finds no one to dance."""
    stack.pose.script = lambda sequence: None
    browser = await house.browser()
    dance = await browser.uploads(clip)
    await house.ended(dance["id"])
    told = await browser.dance(dance["id"])
    assert (told["state"], told["word"]) == ("failed", "no_body")
    assert "from head to feet" in told["text"]


async def test_sample_dance_needs_no_upload(house: House) -> None:
    """The project's own clips are listed with their lengths, and one begins at once."""
    browser = await house.browser()
    samples = (await browser.ask("GET", "/api/samples")).json["samples"]
    told = [(sample["id"], sample["frames"], sample["seconds"]) for sample in samples]
    assert told == [("steps", 150, 6.0), ("waves", 125, 5.0), ("turns", 150, 6.0)]
    made = await browser.ask("POST", "/api/dances", {"actor": "ben", "source": {"sample": "steps"}})
    assert (made.status, made.json["source"]["frames"]) == (201, 150)
    assert made.json["state"] in ("waiting", "measuring")
    await browser.ask("POST", f"/api/dances/{made.json['id']}/cancel")
    assert (await browser.dance(made.json["id"]))["state"] == "cancelled"


async def test_restarted_gateway_goes_on_from_the_last_checkpoint(build: Build, stack: Stack) -> None:
    """Stopped after frame 40 of 60, it sends the frames from 25 on again, and the video has every frame once."""
    clip = clip_of(frames=60)
    stack.triton.paint = lambda model, label_map, previous: previous + np.uint8(1)
    stack.triton.gates.hold(40)
    async with build.house(stack) as first:
        browser = await first.browser()
        dance = await browser.uploads(clip)
        await first.until(dance["id"], lambda dance: dance.progress.done >= 38)
        cookie = browser.cookie
    stack.triton.gates.release()
    async with build.house(stack) as second:
        record = await second.ended(dance["id"])
        assert (record.state, record.began_again) == (State.DONE, 0)
        browser = await second.browser()
        browser.cookie = cookie
        result = await browser.ask("GET", f"/api/dances/{dance['id']}/result")
    assert stack.pose.frames[-35:] == list(range(25, 60))
    assert stack.pose.frames.count(24) == 2, "once to measure the body, and once to dance"
    levels = played(result.body).levels
    assert levels == pytest.approx([129.0 + index for index in range(60)], abs=1.6)


async def test_dance_goes_on_for_others_only_with_a_stated_consent(build: Build, tmp_path: Path) -> None:
    """It was begun while only this machine saw the page."""
    publish_actor(tmp_path / "actors", "ben", face=False, consent=ConsentRecord.of_text("not stated"))
    async with stack_of(tmp_path / "actors") as stack:
        stack.triton.gates.hold(5)
        async with build.house(stack) as first:
            dance = await (await first.browser()).uploads(clip_of())
            await first.until(dance["id"], lambda dance: dance.progress.done >= 4)
        stack.triton.gates.release()
        async with build.house(stack, trusted_proxies="10.0.0.1") as second:
            record = await second.ended(dance["id"])
    assert (record.state, record.word) == (State.FAILED, "consent_not_stated")


@pytest.mark.slow
async def test_dance_begins_again_where_the_checkpoint_is_not_taken(build: Build, tmp_path: Path) -> None:
    """Another server with another key: the dance starts over, says so, and still has every frame once."""
    publish_actor(tmp_path / "actors", "ben", face=False)
    clip = clip_of()
    async with stack_of(tmp_path / "actors") as stack:
        stack.triton.gates.hold(28)
        async with build.house(stack) as first:
            dance = await (await first.browser()).uploads(clip)
            await first.until(dance["id"], lambda dance: dance.progress.done >= 26)
        stack.triton.gates.release()
    async with stack_of(tmp_path / "actors") as other:
        other.triton.paint = lambda model, label_map, previous: previous + np.uint8(3)
        async with build.house(other) as second:
            record = await second.ended(dance["id"])
            folder = second.keeper.store.root / record.visitor_id / record.id
            assert (record.state, record.began_again) == (State.DONE, 1)
            assert rising(played((folder / "result.mp4").read_bytes()).levels)
        assert other.pose.frames == list(range(FRAMES))


async def test_cancelled_dance_leaves_only_its_record(house: House, stack: Stack, clip: bytes) -> None:
    """In mid-dance: the session ends, its files go, and the queue goes on with the next one."""
    stack.triton.gates.hold(5)
    browser = await house.browser()
    dance = await browser.uploads(clip)
    await house.until(dance["id"], lambda dance: dance.progress.done >= 4 and _dances(dance))
    told = (await browser.ask("POST", f"/api/dances/{dance['id']}/cancel")).json
    assert told["state"] == "cancelled"
    assert {path.name for path in house.keeper.store.root.glob("*/*/*")} == {"dance.json"}
    stack.triton.gates.release()
    other = await browser.uploads(clip)
    assert (await house.ended(other["id"])).state is State.DONE


def _dances(dance: Dance) -> bool:
    return dance.record.state is State.DANCING
