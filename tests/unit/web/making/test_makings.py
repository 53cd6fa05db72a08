"""Visitors make actors: the way from the first frame to a card, and everything that can come between."""

from __future__ import annotations

import json

from tests.unit.web.making.conftest import CONSENT

REFUSED = "prepared: refused: whole body: head and both ankles in 3% of the frames; step back"
BODY = "body 25.0 % | 10 pictures done | 2.0 pictures/s | 15 s left | l1 0.2500"


async def test_a_visitor_films_agrees_and_becomes_an_actor(house):
    """The footage and the exact consent reach the training; the first version is announced; then all footage goes."""
    maker = await house.maker()
    making_id = await maker.starts()
    run = await house.trainer.next()
    training = run.training
    assert (training.actor, training.preset, training.minutes) == ("anna", "quick-256", 0.75)
    assert [path.name for path in training.footage] == ["footage-000.mp4"]
    assert training.footage[0].is_file()
    words = f'"{CONSENT["shown"]}" Typed: "{CONSENT["typed"]}"'
    consent = training.request().consent_record
    assert consent.words == f"Anna K., 1970-01-12T13:46:40Z, on the page. Shown: {words}"
    assert (consent.who, str(consent.given_on), consent.recorded_by) == ("Anna K.", "1970-01-12", "the page")
    run.says("looking for poses 50.0 % | 15 of 30 pictures done | 10.0 pictures/s | 2 s left")
    progress = (await maker.shown(making_id))["progress"]
    assert (progress["stage"], progress["done"], progress["total"], progress["seconds_left"]) == ("looking", 15, 30, 2)
    run.publishes(1)
    shown = await maker.shown(making_id)
    assert (shown["state"], shown["version"]) == ("training", 1)
    run.says(BODY)
    assert (await maker.shown(making_id))["progress"]["stage"] == "learning"
    run.publishes(2)
    run.ends(0)
    await house.until(making_id, lambda record: record.footage_deleted)
    shown = await maker.shown(making_id)
    assert (shown["state"], shown["versions"], shown["problem"]) == ("done", [1, 2], None)
    assert shown["consent"] == {**CONSENT, "at": "1970-01-12T13:46:40Z"}
    assert [path.name for path in house.making(making_id).folder.iterdir()] == ["making.json"]


async def test_footage_can_be_kept(house):
    """A visitor who says so keeps it until the making is deleted; the record stays as long as the actor."""
    maker = await house.maker()
    making_id = await maker.starts(delete_footage=False)
    run = await house.trainer.next()
    run.publishes(1)
    run.ends(0)
    await house.reaches(making_id, "done")
    folder = house.making(making_id).folder
    assert {path.name for path in folder.iterdir()} == {"frames", "making.json", "videos"}
    assert (await maker.ask("DELETE", f"/{making_id}")).status == 204
    assert [path.name for path in folder.iterdir()] == ["making.json"]
    assert (await maker.ask("GET", "/name?name=Anna")).json["yours"] is True


async def test_previews_are_pictures_that_change(house):
    """The number tells whether to fetch; other visitors get nothing."""
    maker, other = await house.maker(), await house.maker("10.0.0.2")
    making_id = await maker.starts()
    run = await house.trainer.next()
    assert (await maker.shown(making_id))["preview"] == 0
    assert (await maker.ask("GET", f"/{making_id}/preview")).status == 204
    picture = run.training.work / "anna" / "preview.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"a picture")
    number = (await maker.shown(making_id))["preview"]
    assert number > 0
    assert (await maker.ask("GET", f"/{making_id}/preview?after=0")).body == b"a picture"
    assert (await maker.ask("GET", f"/{making_id}/preview?after={number}")).status == 204
    assert (await other.ask("GET", f"/{making_id}/preview")).refusal == (404, "no_such_making")


async def test_trainings_wait_for_each_other(house):
    """One at a time over all visitors, first come, first served, and each sees its place."""
    makers = [await house.maker(f"10.0.0.{number}") for number in range(3)]
    ids = [await maker.starts(f"Anna {number}") for number, maker in enumerate(makers)]
    run = await house.trainer.next()
    assert run.training.actor == "anna-0"
    assert [(await maker.shown(id_))["position"] for maker, id_ in zip(makers, ids, strict=True)] == [0, 1, 2]
    run.publishes(1)
    run.ends(0)
    run = await house.trainer.next()
    assert run.training.actor == "anna-1"
    assert (await makers[2].shown(ids[2]))["position"] == 1


async def test_cancelling_stops_the_training_and_deletes_everything(house):
    """The answer comes at once; the next in the queue begins when all files are gone."""
    maker, other = await house.maker(), await house.maker("10.0.0.2")
    making_id, _ = await maker.starts(), await other.starts("Ben")
    run = await house.trainer.next()
    folder = house.making(making_id).folder
    answer = await maker.ask("POST", f"/{making_id}/cancel")
    assert answer.json["state"] == "cancelled"
    following = await house.trainer.next()
    assert run.stopped
    assert house.trainer.cancelled == [run.submission]
    assert following.training.actor == "ben"
    assert [path.name for path in folder.iterdir()] == ["making.json"]
    assert not run.training.work.exists()


async def test_cancelling_in_the_queue_and_while_filming(house):
    """A making that does not train yet is cancelled too; cancelling twice changes nothing."""
    maker, other = await house.maker(), await house.maker("10.0.0.2")
    await maker.starts()
    await house.trainer.next()
    waiting = await other.starts("Ben")
    for _ in range(2):
        assert (await other.ask("POST", f"/{waiting}/cancel")).json["state"] == "cancelled"
    await house.until(waiting, lambda record: record.footage_deleted)
    filming = await other.begins("Ben")
    await other.films(filming)
    assert (await other.ask("DELETE", f"/{filming}")).status == 204
    assert (await other.ask("GET", f"/{filming}")).refusal == (404, "no_such_making")
    assert not any(path.name == filming for path in house.makings.store.root.glob("*/*"))


async def test_a_training_goes_on_after_a_restart(build):
    """With the same footage, work folder, consent and submission, at the head of the queue."""
    async with build.house() as house:
        maker, other = await house.maker(), await house.maker("10.0.0.2")
        making_id, _ = await maker.starts(), await other.starts("Ben")
        first = await house.trainer.next()
        first.publishes(1)
        cookie = maker.browser.cookie
    assert first.stopped
    assert house.trainer.cancelled == []
    async with build.house() as house:
        again = await house.trainer.next()
        assert (again.training, again.submission) == (first.training, first.submission)
        maker = await house.maker()
        maker.browser.cookie = cookie
        shown = await maker.shown(making_id)
        assert (shown["state"], shown["version"], shown["progress"]["stage"]) == ("training", 1, "starting")
        again.ends(0)
        assert (await house.trainer.next()).training.actor == "ben"
        await house.reaches(making_id, "done")


async def test_what_a_killed_gateway_did_not_delete_is_deleted_at_the_next_start(build):
    """A person's pictures do not stay because of a kill."""
    async with build.house() as house:
        maker = await house.maker()
        making_id = await maker.starts()
        await house.trainer.next()
        making = house.making(making_id)
    record = json.loads((making.folder / "making.json").read_text())
    (making.folder / "making.json").write_text(json.dumps(record | {"state": "cancelled"}))
    async with build.house() as house:
        await house.until(making_id, lambda record: record.footage_deleted)
        assert [path.name for path in making.folder.iterdir()] == ["making.json"]
        assert house.trainer.cancelled == [f"{making_id}-1"]


async def test_bad_footage_is_refused_in_words_and_filmed_again(house):
    """The findings say what was wrong; the consent stays, the footage goes, and the next attempt begins anew."""
    maker = await house.maker()
    making_id = await maker.starts()
    run = await house.trainer.next()
    run.says(REFUSED, "error: footage-000.mp4 is not worth training on: whole body: … Report: /x/r.html; --anyway …")
    run.ends(42)
    await house.reaches(making_id, "refused")
    shown = await maker.shown(making_id)
    finding = {"word": "whole_body", "level": "refused", "advice": "step back"}
    assert shown["findings"] == [{**finding, "measured": "head and both ankles in 3% of the frames"}]
    problem = {"code": "footage_refused", "text": "this footage is not worth training on: whole body: …"}
    assert shown["problem"] == problem
    assert (await maker.ask("POST", f"/{making_id}/start")).refusal == (409, "no_footage")
    again = (await maker.ask("POST", f"/{making_id}/film")).json
    assert (again["state"], again["footage"]["frames"], again["findings"]) == ("filming", 0, [])
    assert not run.training.footage[0].exists()
    await maker.films(making_id, frames=20)
    assert (await maker.ask("POST", f"/{making_id}/start")).status == 200
    second = await house.trainer.next()
    assert second.submission != run.submission
    assert second.training.footage[0].is_file()


async def test_a_training_that_breaks_is_tried_again(house):
    """Three times by itself, and then whenever the visitor says so."""
    maker = await house.maker()
    making_id = await maker.starts()
    submissions = set()
    for _ in range(3):
        run = await house.trainer.next()
        submissions.add(run.submission)
        run.says("error: OSError: [Errno 5] Input/output error")
        run.ends(1)
    await house.reaches(making_id, "failed")
    assert (await maker.shown(making_id))["problem"]["code"] == "training_failed"
    assert (await maker.ask("POST", f"/{making_id}/start")).status == 200
    run = await house.trainer.next()
    assert run.training.footage[0].is_file()
    assert (len(submissions), run.submission in submissions) == (1, False)


async def test_an_actor_that_is_not_good_enough_is_refused(house):
    """It was published, and the quality gate serves no version."""
    maker = await house.maker()
    making_id = await maker.starts()
    run = await house.trainer.next()
    run.publishes(1)
    (run.training.actors / "anna" / "serving.json").write_text('{"version": 0, "by_gate": true}')
    run.ends(0)
    await house.reaches(making_id, "refused")
    assert (await maker.shown(making_id))["problem"]["code"] == "not_good_enough"


async def test_names_of_others_are_taken(house):
    """An actor that is there, and one that another visitor is making; one's own gets a new version."""
    (house.makings.settings.making_actors / "bob" / "1").mkdir(parents=True)
    (house.makings.settings.making_actors / "bob" / "1" / "actor.json").touch()
    maker, other = await house.maker(), await house.maker("10.0.0.2")
    assert (await maker.ask("POST", body={"name": "Bob"})).refusal == (409, "name_taken")
    making_id = await maker.starts()
    run = await house.trainer.next()
    assert (await other.ask("POST", body={"name": "ANNA"})).refusal == (409, "name_taken")
    run.publishes(1)
    run.ends(0)
    await house.reaches(making_id, "done")
    assert (await other.ask("POST", body={"name": "Anna"})).refusal == (409, "name_taken")
    assert (await other.ask("GET", "/name?name=Anna")).json == {"actor": "anna", "free": False, "yours": False}
    assert (await maker.ask("GET", "/name?name=Anna")).json == {"actor": "anna", "free": True, "yours": True}
    assert await maker.starts()
    assert (await house.trainer.next()).training.actor == "anna"


async def test_an_actor_that_others_trained_since_is_not_the_visitors(house):
    """A version from elsewhere makes it somebody's else: neither replaced nor deleted from the page."""
    maker = await house.maker()
    making_id = await maker.starts()
    run = await house.trainer.next()
    run.publishes(1)
    run.ends(0)
    await house.reaches(making_id, "done")
    (run.training.actors / "anna" / "2").mkdir()
    (run.training.actors / "anna" / "2" / "actor.json").touch()
    assert (await maker.ask("GET", "/name?name=Anna")).json["free"] is False
    assert (await maker.ask("DELETE", "/actors/anna")).refusal == (404, "not_yours")


async def test_a_person_can_withdraw(house):
    """All versions of the actor go, and the record with the person's name; other visitors cannot do that."""
    maker, other = await house.maker(), await house.maker("10.0.0.2")
    making_id = await maker.starts()
    run = await house.trainer.next()
    run.publishes(1)
    assert (await maker.ask("DELETE", "/actors/anna")).refusal == (409, "in_training")
    run.publishes(2)
    run.ends(0)
    await house.reaches(making_id, "done")
    await house.makings.queue.cleared(house.making(making_id))
    assert (await other.ask("DELETE", "/actors/anna")).refusal == (404, "not_yours")
    folder = house.making(making_id).folder
    assert (await maker.ask("DELETE", "/actors/anna")).status == 204
    left = {path.name: list(path.iterdir()) for path in run.training.actors.iterdir()}
    assert list(left) == [".last-removed-versions"]  # so that no other person gets these numbers
    assert all("anna" not in path.name for path in left[".last-removed-versions"])
    assert not folder.exists()
    assert (await maker.ask("GET")).json["makings"] == []
    assert (await maker.ask("DELETE", "/actors/anna")).refusal == (404, "not_yours")


async def test_a_visitor_sees_no_other_visitors_making(house):
    """Neither by its id nor in the list, whatever is asked."""
    maker, other = await house.maker(), await house.maker("10.0.0.2")
    making_id = await maker.begins()
    await maker.films(making_id)
    asked = [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/film"),
        ("POST", "/start"),
        ("POST", "/cancel"),
        ("GET", "/preview"),
    ]
    for method, path in asked:
        assert (await other.ask(method, f"/{making_id}{path}")).refusal == (404, "no_such_making")
    assert (await other.ask("POST", f"/{making_id}/consent", CONSENT)).refusal == (404, "no_such_making")
    assert (await other.ask("PUT", f"/{making_id}/footage?offset=0", b"")).refusal == (404, "no_such_making")
    assert (await other.ask("GET")).json["makings"] == []
    assert (await maker.shown(making_id))["footage"]["frames"] == 30


async def test_the_page_learns_what_to_film(house):
    """Steps in order, with views that the guide can see, and the limits."""
    from client.training.footage_guide import VIEWS

    offer = (await (await house.maker()).ask("GET")).json
    assert [step["id"] for step in offer["steps"]][:3] == ["front", "arms_out", "arms_up"]
    assert {view for step in offer["steps"] for view in step["views"]} == set(VIEWS)
    assert offer["limits"]["seconds"] == 120.0
