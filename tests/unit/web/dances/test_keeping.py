"""Dances wait their turn, go on by themselves, and are deleted after their time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from client.connection.types import BodyFit
from client.errors import ServerError
from serving.errors import BadSettings
from tests.pipeline.chain import Dancing, Stack, configured, publish_actor, stack_of
from tests.unit.web.dances.conftest import Browser, Build, Clock, House, clip_of
from web.access.visitors import Visitor
from web.dances.dance import Dance, Kind, State
from web.dances.dancing import ClipDancer
from web.dances.queue import DanceQueue
from web.dances.store import DanceStore
from web.settings import WebSettings


def add(store: DanceStore, user: str) -> Dance:
    return store.create(Visitor(f"{user:0>32}", user), Kind.DANCE, State.WAITING, actor="ben")


async def test_users_take_turns(tmp_path: Path) -> None:
    """Anna's three dances do not make Ben wait for all of them; places say so beforehand."""
    began, go_on = list[str](), asyncio.Event()

    async def work(dance: Dance) -> None:
        began.append(dance.record.id)
        await go_on.wait()
        await store.end(dance, State.DONE)
        if len(began) == 4:
            all_began.set()

    all_began = asyncio.Event()
    clock = Clock()
    with DanceStore(WebSettings(data_folder=tmp_path, disk_kept_bytes=0), clock) as store:
        queue = DanceQueue(store, work, at_once=1)
        dances = []
        for user in ("anna", "anna", "anna", "ben"):
            clock.now_s += 1
            dances.append(add(store, user))
        first, second, third, bens = dances
        assert [queue.place(dance) for dance in (first, bens, second, third)] == [0, 1, 2, 3]
        async with queue.running(), asyncio.timeout(60):
            go_on.set()
            await all_began.wait()
    assert began == [dance.record.id for dance in (first, bens, second, third)]


async def test_one_broken_dance_does_not_stop_the_queue(tmp_path: Path) -> None:
    """It ends as failed, in words for its visitor, and the next one begins."""
    done = asyncio.Event()

    async def work(dance: Dance) -> None:
        if dance is broken:
            raise RuntimeError("a bug")
        done.set()

    with DanceStore(WebSettings(data_folder=tmp_path, disk_kept_bytes=0)) as store:
        broken = add(store, "anna")
        add(store, "ben")
        async with DanceQueue(store, work, at_once=1).running(), asyncio.timeout(60):
            await done.wait()
        assert (broken.record.state, broken.record.word) == (State.FAILED, "internal")


async def test_clip_that_ends_the_process_is_given_up(tmp_path: Path) -> None:
    """After five starts that ended while it was danced, it fails, and its files are gone; one that waited goes on."""
    settings = WebSettings(data_folder=tmp_path, disk_kept_bytes=0)
    with DanceStore(settings) as store:
        deadly, patient = add(store, "anna").record.id, add(store, "ben").record.id
    for start in range(7):
        with DanceStore(settings) as store:
            dances = {dance.record.id: dance for dance in store.all()}
            assert dances[patient].record.state is State.WAITING
            assert (dances[deadly].record.state is State.FAILED) is (start > 5)
            store.change(dances[deadly], state=State.DANCING if start < 6 else State.FAILED)
            (dances[deadly].folder / "source").touch()
    with DanceStore(settings) as store:
        record = next(dance.record for dance in store.all() if dance.record.id == deadly)
        assert (record.state, record.word, record.interrupted) == (State.FAILED, "internal", 6)


async def test_dance_is_deleted_after_its_time(house: House, clip: bytes) -> None:
    """An hour after it ended, with all its files; not a second earlier, and not while it is at work."""
    browser = await house.browser()
    dance = await browser.uploads(clip)
    await house.ended(dance["id"])
    assert (await browser.dance(dance["id"]))["deletes_in_seconds"] == 3600.0
    house.clock.now_s += 3599
    await house.keeper.delete_old()
    assert (await browser.dance(dance["id"]))["state"] == "done"
    house.clock.now_s += 1
    await house.keeper.delete_old()
    assert (await browser.ask("GET", f"/api/dances/{dance['id']}")).refusal == (404, "no_such_dance")
    assert list(house.keeper.store.root.glob("*/*")) == []


async def test_upload_that_stalls_is_deleted(house: House, clip: bytes) -> None:
    """Counted from its last byte."""
    browser = await house.browser()
    made = await browser.ask("POST", "/api/dances", {"actor": "ben", "source": {"bytes": len(clip)}})
    house.clock.now_s += 3000
    await browser.ask("PUT", f"/api/dances/{made.json['id']}/upload?offset=0", clip[:100])
    house.clock.now_s += 3000
    await house.keeper.delete_old()
    assert len(house.keeper.store.all()) == 1
    house.clock.now_s += 600
    await house.keeper.delete_old()
    assert house.keeper.store.all() == []


async def test_dance_waits_for_a_sign_in_after_a_restart(build: Build, stack: Stack, clip: bytes) -> None:
    """Tokens are kept in memory only: without one it waits and says why, and goes on once its visitor is back."""
    stack.triton.gates.hold(3)
    async with build.house(stack, sign_in=True) as first:
        browser = await Browser(first.app).visit("a-token")
        dance = await browser.uploads(clip)
        await first.until(dance["id"], lambda dance: dance.progress.done >= 2)
    stack.triton.gates.release()
    async with build.house(stack, sign_in=True) as second:
        await second.until(dance["id"], lambda dance: dance.record.word == "sign_in_again")
        again = Browser(second.app, cookie=browser.cookie)
        await again.visit("a-token")
        assert (await again.dance(dance["id"]))["state"] != "done"
        assert (await second.ended(dance["id"])).state is State.DONE


async def test_dance_with_an_expired_token_waits_for_a_new_one(
    build: Build, stack: Stack, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server does not take the token any more: the dance asks for a sign-in, and goes on with the next one."""
    measure = ClipDancer.measure

    async def measured(dancer: ClipDancer) -> BodyFit:
        if dancer.access.token == "old":
            raise ServerError("the token has expired", grpc.StatusCode.UNAUTHENTICATED)
        return await measure(dancer)

    monkeypatch.setattr(ClipDancer, "measure", measured)
    async with build.house(stack, sign_in=True) as house:
        browser = await Browser(house.app).visit("old")
        dance = await browser.uploads(clip)
        await house.until(dance["id"], lambda dance: dance.record.word == "sign_in_again")
        assert (await browser.dance(dance["id"]))["deletes_in_seconds"] == 3600.0
        await browser.visit("new")
        await browser.dance(dance["id"])
        assert (await house.ended(dance["id"])).state is State.DONE


@pytest.mark.slow
async def test_full_server_is_waited_for(build: Build, tmp_path: Path) -> None:
    """All sessions are taken: the dance says so, and begins when one has ended."""
    publish_actor(tmp_path / "actors", "ben", face=False)
    clip = clip_of(frames=3)
    async with stack_of(tmp_path / "actors", max_sessions=1) as stack, build.house(stack) as house:
        other = Dancing(stack.stub)
        await other.send(configured("ben"))
        await other.accepted()
        browser = await house.browser()
        dance = await browser.uploads(clip)
        await house.until(dance["id"], lambda dance: dance.progress.lost_server == "server_full")
        assert (await browser.dance(dance["id"]))["word"] == "server_full"
        await other.rest()
        assert (await house.ended(dance["id"])).state is State.DONE


async def _recorded(build: Build, stack: Stack, clip: bytes) -> Path:
    """Dance a clip, end the gateway, and return the file with the dance's record."""
    async with build.house(stack) as house:
        dance = await (await house.browser()).uploads(clip)
        await house.ended(dance["id"])
        (path,) = house.keeper.store.root.glob("*/*/dance.json")
    return path


async def test_restart_deletes_what_cannot_be_read(build: Build, stack: Stack, clip: bytes) -> None:
    """A folder without a record, or with a damaged one, does not keep the gateway from starting."""
    path = await _recorded(build, stack, clip)
    path.write_text("{")
    (path.parent.parent / "half").mkdir()
    async with build.house(stack) as house:
        assert house.keeper.store.all() == []
    assert list(path.parents[2].glob("*/*")) == []


async def test_restart_keeps_what_the_disk_did_not_give(build: Build, stack: Stack, clip: bytes) -> None:
    """A disk's fault may pass: the dance is left out until the next start, and is there then."""
    path = await _recorded(build, stack, clip)
    path.rename(path.with_name("aside"))
    path.symlink_to(path)  # reading it is a fault of the file system, also for root
    async with build.house(stack) as house:
        assert house.keeper.store.all() == []
    path.unlink()
    path.with_name("aside").rename(path)
    async with build.house(stack) as house:
        assert [left.record.id for left in house.keeper.store.all()] == [path.parent.name]


async def test_two_gateways_do_not_share_a_folder(build: Build, stack: Stack) -> None:
    """The second one names the setting."""
    async with build.house(stack):
        with pytest.raises(BadSettings, match=r"WEB_DATA_FOLDER: .* is used by another gateway"):
            async with build.house(stack):
                pass


@pytest.mark.slow
async def test_complete_upload_is_checked_after_a_restart(build: Build, stack: Stack, clip: bytes) -> None:
    """If the gateway died between the last byte and its check, the next one checks and dances."""
    async with build.house(stack) as first:
        browser = await first.browser()
        made = await browser.ask("POST", "/api/dances", {"actor": "ben", "source": {"bytes": len(clip)}})
        (folder,) = first.keeper.store.root.glob("*/*")
    (folder / "source").write_bytes(clip)
    async with build.house(stack) as second:
        assert (await second.ended(made.json["id"])).state is State.DONE


def test_record_survives_the_disk(tmp_path: Path) -> None:
    """Every field is read as it was written."""
    with DanceStore(WebSettings(data_folder=tmp_path, disk_kept_bytes=0)) as store:
        dance = add(store, "anna")
        store.change(dance, notes=("one", "two"), state=State.DONE, ended_s=12.5)
        record = dance.record
    with DanceStore(WebSettings(data_folder=tmp_path, disk_kept_bytes=0)) as store:
        (again,) = store.all()
        assert again.record == replace(record)
