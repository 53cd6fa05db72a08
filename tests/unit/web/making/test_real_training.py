"""Real trainings, from the frames of a camera or an uploaded video."""

from __future__ import annotations

from itertools import islice

import pytest
import simplejpeg

from serving.actors.store import ActorStore
from tests.unit.web.dances.conftest import clip_of
from video.reader import VideoReader
from web.making.trainers import TrainerHere

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PATIENCE_SECONDS = 800.0


async def test_a_filmed_person_becomes_an_actor(build, root):
    """Two versions: the person's own limbs, then a network that was trained for a second. The footage is gone."""
    async with build.house(TrainerHere(), making_minutes=0.02) as house:
        maker = await house.maker()
        making_id = await maker.begins()
        with (
            VideoReader(str(root / "samples" / "source_clip.mp4")) as reader,
            await maker.filming(making_id) as filming,
        ):
            for frame in islice(reader.frames(), 0, None, 2):
                picture = simplejpeg.encode_jpeg(frame.pixels, quality=92, colorsubsampling="420")
                filming.append(picture, float(frame.pts * reader.time_base), "dance")
        await maker.agrees(making_id)
        assert (await maker.ask("POST", f"/{making_id}/start")).status == 200
        await house.until(making_id, lambda record: record.versions, PATIENCE_SECONDS)
        assert (await maker.shown(making_id))["preview"] > 0
        await house.until(making_id, lambda record: record.footage_deleted, PATIENCE_SECONDS)
        shown = await maker.shown(making_id)
        assert (shown["state"], shown["versions"]) == ("done", [1, 2]), shown
        assert {finding["level"] for finding in shown["findings"]} <= {"warning"}
        actor = ActorStore(house.makings.settings.making_actors).load("anna")
        assert actor.consent == house.making(making_id).record.consent.record
        assert [path.name for path in house.making(making_id).folder.iterdir()] == ["making.json"]


async def test_a_video_without_a_person_is_refused_in_words(build):
    """The finding has a stable word, and the visitor may try again."""
    video = clip_of(side_px=256)
    async with build.house(TrainerHere()) as house:
        maker = await house.maker()
        making_id = await maker.begins()
        await maker.ask("PUT", f"/{making_id}/footage?offset=0&size={len(video)}", video)
        await maker.agrees(making_id)
        assert (await maker.ask("POST", f"/{making_id}/start")).status == 200
        await house.until(making_id, lambda record: record.state == "refused", PATIENCE_SECONDS)
        shown = await maker.shown(making_id)
        assert ("poses", "refused") in [(finding["word"], finding["level"]) for finding in shown["findings"]]
        assert shown["problem"]["code"] == "footage_refused"
        assert shown["problem"]["text"].startswith("this footage: a person was found in 0 of 30 frames")
        assert (await maker.ask("POST", f"/{making_id}/film")).json["state"] == "filming"
