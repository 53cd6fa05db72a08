"""What footage, consent and limits a making asks for before its training."""

from __future__ import annotations

import pytest

from tests.unit.web.dances.conftest import clip_of
from tests.unit.web.making.conftest import CONSENT, jpeg

REFUSED = "prepared: refused: whole body: head and both ankles in 3% of the frames; step back"
BODY = "body 25.0 % | 10 pictures done | 2.0 pictures/s | 15 s left | l1 0.2500"


async def test_everything_has_a_limit(build):
    """One making for each visitor, a few for each user, and a queue that ends."""
    async with build.house(max_makings_waiting=1, max_makings_per_user=2) as house:
        maker = await house.maker("10.0.0.1")
        await maker.starts()
        await house.trainer.next()
        assert (await maker.ask("POST", body={"name": "Another"})).refusal == (409, "making_exists")
        await (await house.maker("10.0.0.1")).starts("Ben")
        assert (await (await house.maker("10.0.0.1")).ask("POST", body={"name": "C"})).refusal == (429, "too_many")
        late = await house.maker("10.0.0.9")
        making_id = await late.begins("Dora")
        await late.films(making_id)
        await late.agrees(making_id)
        answer = await late.ask("POST", f"/{making_id}/start")
        assert answer.refusal == (429, "too_many")
        assert answer.headers["retry-after"] == "60"


async def test_a_full_disk_is_said_before_anything_is_filmed(build):
    """There must be room for the footage and what is made from it."""
    async with build.house(disk_kept_bytes=2**62) as house:
        answer = await (await house.maker()).ask("POST", body={"name": "Anna"})
        assert answer.refusal == (507, "disk_full")


async def test_a_training_needs_footage_and_consent(house):
    """In any order, and both before the start; afterwards neither can change."""
    maker = await house.maker()
    making_id = await maker.begins()
    assert (await maker.ask("POST", f"/{making_id}/start")).refusal == (409, "no_footage")
    await maker.films(making_id)
    assert (await maker.ask("POST", f"/{making_id}/start")).refusal == (409, "no_consent")
    for missing in CONSENT:
        answer = await maker.ask("POST", f"/{making_id}/consent", CONSENT | {missing: "  "})
        assert answer.refusal == (422, "bad_consent")
    assert (await maker.ask("POST", f"/{making_id}/consent", {"name": "Anna"})).refusal == (422, "bad_consent")
    await maker.agrees(making_id)
    assert (await maker.ask("POST", f"/{making_id}/start")).status == 200
    await house.trainer.next()
    for path in ("consent", "start", "film"):
        answer = await maker.ask("POST", f"/{making_id}/{path}", CONSENT)
        assert answer.refusal == (409, "already_started")


async def test_a_consent_has_no_control_characters(house):
    """They would break the training's command line, and have no meaning in words."""
    maker = await house.maker()
    making_id = await maker.begins()
    await maker.ask("POST", f"/{making_id}/consent", CONSENT | {"name": "An\x00na\n\tK.", "typed": "\u202eyes"})
    consent = (await maker.shown(making_id))["consent"]
    assert (consent["name"], consent["typed"]) == ("An na K.", "yes")


async def test_a_video_file_takes_the_place_of_filming(build):
    """In pieces that can be sent again after a lost connection; it replaces what was filmed."""
    video = clip_of()
    async with build.house(max_making_bytes=len(video)) as house:
        maker = await house.maker()
        making_id = await maker.begins()
        await maker.films(making_id, frames=3)
        path, size = f"/{making_id}/footage", len(video)
        put = maker.ask
        assert (await put("PUT", f"{path}?offset=0&size={size + 1}", video)).refusal == (413, "footage_too_large")
        assert (await put("PUT", f"{path}?offset=0", video)).refusal == (422, "bad_size")
        assert (await put("PUT", f"{path}?offset=0&size=10", b"MZ, a file")).refusal == (415, "not_a_video")
        half = (await put("PUT", f"{path}?offset=0&size={size}", video[:1000])).json
        assert (half["footage"]["kind"], half["footage"]["bytes"]) == ("file", 1000)
        await maker.agrees(making_id)
        assert (await put("POST", f"/{making_id}/start")).refusal == (409, "no_footage")
        wrong = await put("PUT", f"{path}?offset=2000", video[2000:])
        assert wrong.refusal == (409, "wrong_offset")
        assert wrong.json["received_bytes"] == 1000
        assert (await put("PUT", f"{path}?offset=1000", video)).refusal == (413, "footage_too_large")
        whole = (await put("PUT", f"{path}?offset=1000", video[1000:])).json
        assert (whole["footage"]["frames"], whole["footage"]["seconds"]) == (30, 3.0)
        assert (await put("POST", f"/{making_id}/start")).status == 200
        (footage,) = (await house.trainer.next()).training.footage
        assert footage.read_bytes() == video
        assert not house.making(making_id).spool.exists()
        assert (await put("PUT", f"{path}?offset=0&size=9", video)).refusal == (409, "already_filmed")


@pytest.mark.parametrize("container", ["mp4", "matroska"])
async def test_a_video_that_is_too_long_is_dropped(build, container):
    """Also one that does not say how long it is, as browsers record them."""
    video = clip_of(container_format=container, sound=False)
    async with build.house(max_making_seconds=2.0) as house:
        maker = await house.maker()
        making_id = await maker.begins()
        answer = await maker.ask("PUT", f"/{making_id}/footage?offset=0&size={len(video)}", video)
        assert answer.refusal == (413, "footage_too_long")
        assert (await maker.shown(making_id))["footage"]["bytes"] == 0
        assert [path.name for path in house.making(making_id).folder.iterdir()] == ["making.json"]


async def test_a_damaged_video_is_dropped(house):
    """It begins like one, and has no pictures."""
    maker = await house.maker()
    making_id = await maker.begins()
    video = b"\x00\x00\x00\x20ftypisom" + bytes(3000)
    answer = await maker.ask("PUT", f"/{making_id}/footage?offset=0&size={len(video)}", video)
    assert answer.refusal == (415, "unreadable_clip")
    assert (await maker.shown(making_id))["footage"]["kind"] == ""


async def test_a_later_connection_takes_over_the_filming(house):
    """A page that reconnects goes on, and what comes late by the old connection is not kept."""
    maker = await house.maker()
    making_id = await maker.begins()
    with await maker.filming(making_id) as first:
        for index in range(4):
            first.append(jpeg(1), index / 10, "front")
        with await maker.filming(making_id) as second:
            assert second.append(jpeg(1), 0.4, "front")
            assert not first.append(jpeg(1), 0.5, "front")
    footage = (await maker.shown(making_id))["footage"]
    assert (footage["frames"], footage["kind"], footage["steps"]) == (5, "camera", {"front": pytest.approx(0.4)})


async def test_dropped_footage_stays_dropped(house):
    """A session that still films does not bring it back."""
    maker = await house.maker()
    making_id = await maker.begins()
    with await maker.filming(making_id) as filming:
        filming.append(jpeg(1), 0.0)
        assert (await maker.ask("POST", f"/{making_id}/film")).status == 200
        assert not filming.append(jpeg(1), 0.1)
    assert (await maker.shown(making_id))["footage"]["frames"] == 0


async def test_footage_that_waits_too_long_is_deleted(house):
    """A visitor who went away leaves no pictures; a training is not disturbed, and an actor stays its maker's."""
    maker, other, third = [await house.maker(f"10.0.0.{number}") for number in range(3)]
    left = await maker.begins()
    await maker.films(left)
    training = await other.starts("Ben")
    run = await house.trainer.next()
    house.clock.now_s += 3599
    house.makings.expire()
    assert house.making(left).record.state == "filming"
    house.clock.now_s += 2
    fresh = await third.begins("Cleo")
    house.makings.expire()
    await house.makings.queue.cleared(house.making(left))
    assert [path.name for path in house.making(left).folder.iterdir()] == ["making.json"]
    assert house.making(fresh).record.state == "filming"
    run.publishes(1)
    run.ends(0)
    await house.reaches(training, "done")
    house.clock.now_s += 3601
    house.makings.expire()
    await house.makings.queue.cleared(house.making(fresh))
    ids = {making.record.id for making in house.makings.store.all()}
    assert ids == {training, fresh}
