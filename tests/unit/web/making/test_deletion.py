"""Footage that cannot be deleted at once, on a disk that is full or read-only."""

from __future__ import annotations

import errno

from tests.unit.web.making.conftest import jpeg


def _refuse(making):
    raise PermissionError(errno.EACCES, "read-only")


async def _kept_by_the_disk(house, monkeypatch):
    """A maker, and the id of their making, whose footage could not be deleted twice. By now the disk works again."""
    maker = await house.maker()
    making_id = await maker.begins()
    await maker.films(making_id)
    with monkeypatch.context() as broken:
        broken.setattr("web.making.queue.delete_footage", _refuse)
        for _ in range(2):
            assert (await maker.ask("DELETE", f"/{making_id}")).refusal == (500, "not_deleted")
    return maker, making_id


async def test_footage_that_cannot_be_deleted_is_not_called_deleted(house, monkeypatch):
    """Its visitor is told so, is not left waiting, and may ask again."""
    maker, making_id = await _kept_by_the_disk(house, monkeypatch)
    assert not house.making(making_id).record.footage_deleted
    assert (await maker.ask("DELETE", f"/{making_id}")).status == 204
    assert not any(house.makings.store.root.glob(f"*/{making_id}"))


async def test_dropped_footage_that_stays_is_not_filmed_on(house, monkeypatch):
    """Neither when deleting it fails, nor when a kill left it behind: a training sees new footage only."""
    maker = await house.maker()
    making_id = await maker.begins()
    await maker.films(making_id)
    making = house.making(making_id)
    with monkeypatch.context() as broken:
        broken.setattr("web.making.makings.delete_footage", _refuse)
        assert (await maker.ask("POST", f"/{making_id}/film")).refusal == (500, "not_deleted")
    assert (await maker.shown(making_id))["footage"]["frames"] > 0
    assert (await maker.ask("POST", f"/{making_id}/film")).status == 200
    making.videos.mkdir()
    making.spool.write_bytes(b"of an earlier filming")
    with await maker.filming(making_id) as filming:
        filming.append(jpeg(1), 0.0)
    assert not making.videos.exists()
    assert b"earlier" not in making.spool.read_bytes()


async def test_footage_that_could_not_be_deleted_is_deleted_later(house, monkeypatch):
    """Although its visitor does not ask again."""
    _, making_id = await _kept_by_the_disk(house, monkeypatch)
    house.makings.expire()
    await house.until(making_id, lambda record: record.footage_deleted)
    assert [path.name for path in house.making(making_id).folder.iterdir()] == ["making.json"]


async def test_restart_keeps_a_making_that_the_disk_did_not_give(build):
    """A disk's fault may pass: the making is left out until the next start, and is there then."""
    async with build.house() as house:
        making_id = await (await house.maker()).begins()
        record = house.making(making_id).folder / "making.json"
    record.rename(record.with_name("aside"))
    record.symlink_to(record)  # reading it is a fault of the file system, also for root
    async with build.house() as house:
        assert house.makings.store.all() == []
    record.unlink()
    record.with_name("aside").rename(record)
    async with build.house() as house:
        assert [left.record.id for left in house.makings.store.all()] == [making_id]
