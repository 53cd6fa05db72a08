"""What a live session showed becomes an MP4, with the sound that the page recorded meanwhile."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from motion.frame import PictureEncoding
from provenance.credentials.manifest import SyntheticMedia
from provenance.credentials.reading import State as CredentialsState
from provenance.credentials.reading import read_credentials
from serving.pictures.codec import encode_picture
from tests.unit.web.dances.conftest import Browser, House, played
from web.access.refusals import Refused
from web.dances.dance import State
from web.dances.recordings import RecordingSpool


def jpeg(level: int, side_px: int = 64) -> bytes:
    return encode_picture(np.full((side_px, side_px, 3), level, np.uint8), PictureEncoding.JPEG, 95).data


def webm_sound(seconds: float) -> bytes:
    """Opus in WebM, as a browser's MediaRecorder makes it: silence, and a tone in its second half."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=48_000)
        stream.layout = "mono"
        count = round(seconds * 48_000)
        wave = (np.sin(np.arange(count) * 0.06) * 8000 * (np.arange(count) >= count // 2)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()


def tone_begins_s(mp4: bytes) -> float:
    """When the sound becomes loud."""
    with av.open(io.BytesIO(mp4), "r") as container:
        for frame in container.decode(audio=0):
            assert isinstance(frame, av.AudioFrame)
            loud = np.abs(frame.to_ndarray().reshape(-1).astype(float)) > 0.05
            if loud.any():
                return float(frame.time or 0.0) + int(np.argmax(loud)) / frame.sample_rate
    raise AssertionError("there is no tone")


async def recorded(house: House, browser: Browser, count: int = 20) -> tuple[str, RecordingSpool]:
    """A recording of two seconds, ten pictures a second, which began at 100 s of some clock."""
    made = await browser.ask("POST", "/api/recordings", {"actor": "ben"})
    assert (made.status, made.json["state"]) == (201, "recording")
    visitor_id = house.keeper.store.all()[0].record.visitor_id
    spool = house.keeper.recording_of(visitor_id, made.json["id"])
    spool.drawn_by(SyntheticMedia(actor="ben", actor_version=1, consent_sha256="c0ffee"))
    with pytest.raises(Refused, match="shows another actor"):
        spool.drawn_by(SyntheticMedia(actor="anna", actor_version=1))
    for index in range(count):
        assert spool.append(jpeg(40 + 5 * index), 100 + index / 10)
    return made.json["id"], spool


async def test_recording_without_sound_has_every_picture_at_its_time(house: House) -> None:
    """Stopped without sound, it is done at once, and can be played and downloaded."""
    browser = await house.browser()
    recording, spool = await recorded(house, browser)
    stopped = await browser.ask("POST", f"/api/recordings/{recording}/stop", {"sound_bytes": 0})
    assert stopped.status == 200
    assert not spool.append(jpeg(1), 200.0)
    record = await house.ended(recording)
    assert (record.state, record.text) == (State.DONE, "")
    seen = played((await browser.ask("GET", f"/api/dances/{recording}/result")).body)
    assert seen.times_s == pytest.approx([index / 10 for index in range(20)], abs=1e-3)
    assert seen.levels == pytest.approx([40.0 + 5 * index for index in range(20)], abs=2.0)
    assert seen.sound_seconds == 0
    assert {path.name for path in house.keeper.store.root.glob("*/*/*")} == {"dance.json", "result.mp4"}
    signed = read_credentials(next(house.keeper.store.root.glob("*/*/result.mp4")))
    assert signed is not None
    assert (signed.state, signed.says_synthetic) == (CredentialsState.VALID, True)
    assert (signed.stated["actor"], signed.stated["consent_sha256"]) == ("ben", "c0ffee")


@pytest.mark.parametrize("begins_s", [-0.4, 0.0, 0.3])
async def test_sound_of_the_page_is_in_step(house: House, begins_s: float) -> None:
    """It began before or after the first picture: what came earlier is cut off, what came later is delayed."""
    browser = await house.browser()
    recording, _ = await recorded(house, browser)
    sound = webm_sound(2.0)
    wish = {"sound_bytes": len(sound), "sound_begins_seconds": begins_s}
    stopped = await browser.ask("POST", f"/api/recordings/{recording}/stop", wish)
    assert stopped.json["state"] == "uploading"
    assert (await browser.ask("PUT", f"/api/dances/{recording}/upload?offset=0", sound)).status == 200
    record = await house.ended(recording)
    assert (record.state, record.text) == (State.DONE, "")
    result = (await browser.ask("GET", f"/api/dances/{recording}/result")).body
    assert tone_begins_s(result) == pytest.approx(1.0 + begins_s, abs=0.05)
    assert len(played(result).times_s) == 20


async def test_recording_is_bounded(house: House) -> None:
    """At its limit of seconds or bytes it takes no more, and keeps what it has."""
    browser = await house.browser()
    made = await browser.ask("POST", "/api/recordings", {"actor": "ben"})
    dance = house.keeper.store.all()[0]
    spool = RecordingSpool(dance, most_seconds=1.0, most_bytes=10**6)
    assert [spool.append(jpeg(90), seconds) for seconds in (0.0, 0.9, 1.1, 1.2)] == [True, True, False, False]
    spool.close()
    small = RecordingSpool(dance, most_seconds=1.0, most_bytes=len(jpeg(90)) + 10)
    assert [small.append(jpeg(90), seconds) for seconds in (0.0, 0.1)] == [True, False]
    small.close()

    def no_room() -> None:
        raise Refused(507, "no_room", "The disk is full.")

    refused = RecordingSpool(dance, most_seconds=9.0, most_bytes=10**6, check_room=no_room)
    assert refused.append(jpeg(90), 0.0)
    refused.close()
    assert not refused.append(jpeg(90), 0.1)
    assert (await browser.ask("POST", f"/api/dances/{made.json['id']}/cancel")).json["state"] == "cancelled"


async def test_recording_without_a_picture_or_with_bad_sound_fails_in_words(house: House) -> None:
    """A recording without a picture fails; a file that is not sound is refused by its first bytes."""
    browser = await house.browser()
    empty, _ = await recorded(house, browser, count=0)
    await browser.ask("POST", f"/api/recordings/{empty}/stop", {})
    assert (await house.ended(empty)).word == "nothing_to_dance"
    await browser.ask("DELETE", f"/api/dances/{empty}")
    other, _ = await recorded(house, browser)
    await browser.ask("POST", f"/api/recordings/{other}/stop", {"sound_bytes": 100})
    refused = await browser.ask("PUT", f"/api/dances/{other}/upload?offset=0", b"x" * 100)
    assert refused.refusal == (415, "not_a_video")


async def test_recording_belongs_to_its_visitor(house: House) -> None:
    """Another visitor's live session cannot add to it, nor can anything after it was stopped."""
    browser, other = await house.browser(), await house.browser()
    recording, _ = await recorded(house, browser)
    with pytest.raises(Refused, match="no such dance"):
        house.keeper.recording_of("0" * 32, recording)
    assert (await other.ask("POST", f"/api/recordings/{recording}/stop", {})).refusal == (404, "no_such_dance")
    await browser.ask("POST", f"/api/recordings/{recording}/stop", {})
    visitor_id = house.keeper.store.all()[0].record.visitor_id
    with pytest.raises(Refused, match="takes no more pictures"):
        house.keeper.recording_of(visitor_id, recording)
    again = await browser.ask("POST", f"/api/recordings/{recording}/stop", {})
    assert again.refusal == (409, "wrong_state")
