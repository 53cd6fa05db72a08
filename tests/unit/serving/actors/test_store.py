"""The actors' folder, with all that people may leave in it."""

from __future__ import annotations

import errno
import json
import math
import os
import pickle
import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motion.frame import FrameSize, PictureEncoding
from serving.actors.consent import ConsentRecord
from serving.actors.rollout import Served, promoted, rolled_back, with_canary
from serving.actors.store import CROP_PLATE_FILE, METADATA_FILE, ActorStore
from serving.errors import ActorNotFound, ActorUnusable, BadInput
from serving.inference.engine import open_engine
from serving.pictures.codec import encode_picture
from tests.tiny_actors import publish_tiny


def test_what_is_not_an_actor_is_ignored(tmp_path: Path):
    """Folders with other names, plain files and empty folders do not prevent the listing of actors."""
    store = ActorStore(tmp_path / "actors")
    parts = tmp_path / "parts"
    parts.mkdir()
    publish_tiny(store, parts, "kind")
    for name in ("Old Kind", ".cache", "lost+found", "a" * 64):
        (store.root / name / "1").mkdir(parents=True)
    (store.root / "empty").mkdir()
    (store.root / "notes").write_text("1")
    assert store.ids() == ["kind"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secret",
        "/etc",
        "a/b",
        "a\\b",
        "a.b",
        "A",
        "a\n",
        "a\0",
        "-a",
        "a" * 64,
        "ａ",
        "%2e%2e",
        "a b",
    ],
)
def test_no_path_is_built_from_an_invalid_actor_id(tmp_path: Path, name: str):
    """Loading, listing versions and publishing refuse such a name, even if it leads to an actor."""
    store = ActorStore(tmp_path / "actors")
    parts = tmp_path / "parts"
    parts.mkdir()
    kind = publish_tiny(store, parts, "kind")
    kind.folder.parent.rename(tmp_path / "secret")
    for use in (store.load, store.versions, lambda bad: publish_tiny(store, parts, bad)):
        with pytest.raises(BadInput, match="is not an actor id"):
            use(name)
    assert list(store.root.iterdir()) == []


def test_the_newest_version_is_served_until_another_is_named(tmp_path: Path):
    """Publishing without serving leaves the previous version served; publishing with serving replaces it."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "kind")
    assert publish_tiny(store, tmp_path, "kind").version == store.load("kind").version == 2
    assert not (store.root / "kind" / "serving.json").exists()
    assert publish_tiny(store, tmp_path, "kind", serve=False).version == 3
    assert (store.load("kind").version, store.load("kind", 3).version) == (2, 3)
    assert json.loads((store.root / "kind" / "serving.json").read_text()) == {
        "version": 2, "canary": None, "previous": 1, "by_gate": True
    }  # fmt: skip
    assert publish_tiny(store, tmp_path, "kind").version == store.load("kind").version == 4
    assert rolled_back(store.served("kind")).version == 2
    store.serve("kind", Served(1))
    assert store.load("kind").version == 1
    for serve in (True, False):  # a person has chosen the version
        publish_tiny(store, tmp_path, "kind", serve=serve)
        assert store.load("kind").version == 1


def test_a_first_version_may_be_published_without_serving(tmp_path: Path):
    """Loading the actor then raises an error, and loading the version by its number works."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "kind", serve=False)
    with pytest.raises(ActorUnusable) as refused:
        store.load("kind")
    assert str(refused.value) == (
        "actor 'kind' has version 1, but no version is served: it did not pass the quality gate. "
        "`dance actors promote kind` serves it; --actor-version 1 dances it once"
    )
    assert store.load("kind", 1).version == 1
    assert store.served("kind").percent(1) == 0
    with pytest.raises(ActorNotFound, match=r"^version 1 is the only one .*: a canary needs a second one"):
        with_canary(store.served("kind"), 1, 10)
    assert promoted(store.served("kind"), 1) == Served(1)
    publish_tiny(store, tmp_path, "kind", serve=False)
    with pytest.raises(ActorUnusable, match=r"has versions 1, 2, .*: none passed the quality gate.* serves the newest"):
        store.load("kind")
    assert publish_tiny(store, tmp_path, "kind").version == store.load("kind").version == 3


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": "1"}', '{"version": -1}', '{"version": 7}'])
def test_a_served_version_that_makes_no_sense_is_named(tmp_path: Path, text: str):
    """No other version is served instead."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "kind")
    (store.root / "kind" / "serving.json").write_text(text)
    with pytest.raises(ActorUnusable, match=r"'kind': serving.json"):
        store.load("kind")


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return self.path.touch, ()


def test_nothing_in_an_actor_is_executed(tmp_path: Path):
    """A pickle in place of a network is refused as unreadable, and its code does not run."""
    gone_off = tmp_path / "gone off"
    bomb = pickle.dumps(Bomb(gone_off))
    actor = publish_tiny(ActorStore(tmp_path / "actors"), tmp_path, "kind", generator=bomb)
    with pytest.raises(ActorUnusable, match="is not a readable network"):
        open_engine(actor.generator_path)
    assert not gone_off.exists()
    pickle.loads(bomb)
    assert gone_off.exists()  # shows that unpickling would have run the code


def test_a_plate_is_checked_before_it_is_decoded(tmp_path: Path):
    """A missing plate, or one whose header claims another size, makes the actor unusable."""
    actor = publish_tiny(ActorStore(tmp_path / "actors"), tmp_path, "kind")
    assert actor.read_plate().shape == (64, 64, 3)
    body = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    small = encode_picture(np.zeros((8, 8, 3), np.uint8), PictureEncoding.PNG).data
    for data, said in ((header, "its header says 60000x60000"), (small, "its header says 8x8"), (b"GIF", "not a PNG")):
        actor.plate_path.write_bytes(data)
        with pytest.raises(ActorUnusable, match=f"actor 'kind' version 1: plate.png.*{said}"):
            actor.read_plate()
    actor.plate_path.unlink()
    with pytest.raises(ActorUnusable, match=r"plate.png cannot be read: No such file"):
        actor.read_plate()


def test_a_crop_that_reaches_beyond_the_footage_has_a_plate_of_its_own(tmp_path: Path):
    """The stored plate is read in the network's size, and checked; without it the plate's edge is repeated."""
    actor = publish_tiny(ActorStore(tmp_path / "actors"), tmp_path, "kind")
    np.testing.assert_array_equal(actor.read_crop_plate(), actor.crop.cut(actor.read_plate()))
    size = (actor.crop.out_height_px, actor.crop.out_width_px, 3)
    filled = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    path = actor.folder / CROP_PLATE_FILE
    path.write_bytes(encode_picture(filled, PictureEncoding.PNG).data)
    np.testing.assert_array_equal(actor.read_crop_plate(), filled)
    path.write_bytes(b"GIF")
    with pytest.raises(ActorUnusable, match=r"actor 'kind' version 1: crop_plate.png.*not a PNG"):
        actor.read_crop_plate()


@pytest.mark.parametrize("field", ["scores", "trained"])
def test_an_actor_of_the_first_release_stays_usable(tmp_path: Path, field: str):
    """Release 0.1.0 wrote NaN and Infinity: they are null in the records, and refused anywhere else."""
    store = ActorStore(tmp_path / "actors")
    file = publish_tiny(store, tmp_path, "kind").folder / METADATA_FILE
    document = json.loads(file.read_text())
    document[field] = {"psnr_db": math.inf, "rows": [{"ssim": math.nan, "l1": -math.inf}, 0.5]}
    file.write_text(json.dumps(document, indent=2))
    assert "Infinity" in file.read_text()
    assert getattr(store.load("kind"), field) == {"psnr_db": None, "rows": [{"ssim": None, "l1": None}, 0.5]}
    for name, named in (("frame_rate_hz", "frame_rate_hz"), ("body", "body"), ("unknown", "unknown")):
        file.write_text(json.dumps({**document, name: math.inf}))
        with pytest.raises(ActorUnusable, match=f"actor.json: {named}: expected a number, got inf"):
            store.load("kind")
    file.write_text(json.dumps({**document, field: math.inf}))
    with pytest.raises(ActorUnusable, match=f"actor.json: {field}: expected an object, got nothing"):
        store.load("kind")


def test_what_is_published_can_be_read(tmp_path: Path):
    """A score that is not finite becomes null, and a file name with invalid bytes is kept with escapes."""
    store = ActorStore(tmp_path / "actors")
    kind = publish_tiny(store, tmp_path, "kind")
    files = {path.name: path for path in kind.folder.iterdir() if path.name != "actor.json"}
    facts = {"footage": os.fsdecode(b"film\xe9.mp4"), "names": ["a", ("\udcff",)]}
    odd = replace(
        kind,
        scores={"psnr_db": math.inf, "ssim": [math.nan, 0.5]},
        trained=facts,
        consent=ConsentRecord.of_text("\udce9 agreed"),
    )
    published = store.publish(odd, files)
    stored = store.load("kind", published.version)
    assert stored.scores == {"psnr_db": None, "ssim": [None, 0.5]}
    assert stored.trained == {"footage": "film\\udce9.mp4", "names": ["a", ["\\udcff"]]}
    assert stored.consent.words == "\\udce9 agreed"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"frame_rate_hz": math.inf}, "frame_rate_hz: expected a number, got inf"),
        ({"preset": "x" * 300}, "preset: expected a string of at most 200 characters, got 300"),
        ({"frame_size": FrameSize(9000, 10)}, "frame_size.width_px: expected a whole number from 1 to 8192, got 9000"),
        ({"scores": {"pictures": ["x" * 100] * 20_000}}, "would have more than 1048576 bytes"),
    ],
)
def test_what_could_not_be_read_is_not_published(tmp_path: Path, changes: dict[str, Any], said: str):
    """The store stays unchanged, and the error names the field."""
    store = ActorStore(tmp_path / "actors")
    kind = publish_tiny(store, tmp_path, "kind")
    with pytest.raises(ActorUnusable, match=f"actor 'kind' cannot be published: actor.json.*{said}"):
        store.publish(replace(kind, **changes), {"plate.png": kind.plate_path})
    assert sorted(path.name for path in kind.folder.parent.iterdir()) == ["1", "consent_history.jsonl"]


def test_a_copied_actor_goes_by_its_folder(tmp_path: Path):
    """Id and version come from the folders' names, and other spellings of numbers are no versions."""
    store = ActorStore(tmp_path / "actors")
    kind = publish_tiny(store, tmp_path, "kind")
    for other in ("copy/7", "copy/007", "copy/0", "copy/-1", "copy/1.5", "copy/٣", f"copy/{2**32 - 1}"):
        shutil.copytree(kind.folder, store.root / other)
    assert store.ids() == ["copy", "kind"]
    assert store.versions("copy") == [7, 2**32 - 1]
    assert (store.load("copy", 7).id, store.load("copy", 7).version) == ("copy", 7)


def test_a_folder_that_cannot_be_read_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An unreadable actor is listed with the reason; an unreadable store raises ActorUnusable, not OSError."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "kind")
    shutil.copytree(store.root / "kind", store.root / "locked")
    locked, listed = [store.root / "locked"], Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        if path in locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)  # a test may run as root, which can read any folder
    assert [(one.actor_id, one.version, one.unavailable) for one in store.listed()] == [
        ("kind", 1, ""),
        ("locked", 0, "actor 'locked': its folder cannot be read: Permission denied"),
    ]
    with pytest.raises(ActorUnusable, match="its folder cannot be read"):
        store.load("locked")
    locked.append(store.root)
    with pytest.raises(ActorUnusable, match=r"^the actors' folder cannot be read: Permission denied$"):
        store.ids()
    assert ActorStore(tmp_path / "nowhere").ids() == []


def test_padding_of_older_actors_is_reflection(tmp_path: Path):
    """An actor.json without the field loads and stays without it; padding by zeros is kept for each network."""
    store = ActorStore(tmp_path / "actors")
    published = publish_tiny(store, tmp_path, "old")
    stored = json.loads((published.folder / METADATA_FILE).read_text())
    assert "padding" not in stored["generator"]
    assert "padding" not in stored["face"]
    assert store.load("old").generator.padding == "reflection"
    stored["generator"]["padding"] = stored["face"]["padding"] = "zeros"
    (published.folder / METADATA_FILE).write_text(json.dumps(stored))
    actor = store.load("old")
    assert actor.face is not None
    assert (actor.generator.padding, actor.face.padding) == ("zeros", "zeros")
    assert actor.generator.to_dict()["padding"] == "zeros"


@pytest.mark.parametrize("padding", ["reflect", "", 0, None])
def test_another_padding_makes_an_actor_unusable(tmp_path: Path, padding: object):
    """The error names the missing version and the existing ones."""
    store = ActorStore(tmp_path / "actors")
    published = publish_tiny(store, tmp_path, "odd")
    stored = json.loads((published.folder / METADATA_FILE).read_text())
    stored["generator"]["padding"] = padding
    (published.folder / METADATA_FILE).write_text(json.dumps(stored))
    with pytest.raises(ActorUnusable, match="padding is reflection or zeros"):
        store.load("odd")


def test_a_removed_actor_is_gone_with_all_its_files(tmp_path: Path):
    """All versions and what is served of them; other actors stay, and a second removal does nothing."""
    store = ActorStore(tmp_path / "actors")
    for actor in ("anna", "anna", "ben"):
        publish_tiny(store, tmp_path, actor)
    store.serve("anna", Served(1))
    store.remove("anna")
    store.remove("anna")
    assert (store.ids(), store.versions("anna")) == (["ben"], [])
    assert sorted(path.name for path in store.root.iterdir()) == [".last-removed-versions", "ben"]
    with pytest.raises(BadInput):
        store.remove("../ben")


def test_a_removal_that_was_cut_off_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The actor is gone for new sessions from the first moment, and its files at the latest with the next removal."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "anna")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", _refuse)
        with pytest.raises(OSError, match="No space"):
            store.remove("anna")
        assert store.ids() == []
    store.finish_removals()
    assert [path.name for path in store.root.iterdir()] == [".last-removed-versions"]


def test_an_actor_that_is_published_again_gets_no_version_of_the_removed_one(tmp_path: Path):
    """Caches know a version by its number, and would show the person who withdrew."""
    store = ActorStore(tmp_path / "actors")
    for _ in range(2):
        publish_tiny(store, tmp_path, "anna")
    store.remove("anna")
    store.remove("anna")
    publish_tiny(store, tmp_path, "anna")
    assert store.versions("anna") == [3]
    assert all("anna" not in path.name for path in (store.root / ".last-removed-versions").iterdir())
    publish_tiny(store, tmp_path, "ben")
    assert store.versions("ben") == [1]


def _refuse(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
