"""Which version of an actor a new session gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serving.actors.rollout import Canary, Served, promoted, rolled_back, with_canary
from serving.actors.store import ActorStore
from serving.errors import ActorNotFound, ActorUnusable, BadInput
from tests.tiny_actors import publish_tiny


@pytest.fixture
def store(tmp_path: Path) -> ActorStore:
    """The actor `kind`, in three versions."""
    store, parts = ActorStore(tmp_path / "actors"), tmp_path / "parts"
    parts.mkdir()
    for _ in range(3):
        publish_tiny(store, parts, "kind")
    return store


def test_without_a_file_the_newest_is_served(store: ActorStore):
    """A published version is served at once; a rollback returns to the version before it."""
    assert store.served("kind") == Served(3, previous=2)
    assert store.load("kind").version == 3
    assert rolled_back(store.served("kind")) == Served(2)


def test_a_published_version_waits_where_the_served_one_was_chosen(store: ActorStore, tmp_path: Path):
    """A new version waits until it is promoted, or until the file is removed."""
    store.serve("kind", Served(2))
    publish_tiny(store, tmp_path / "parts", "kind")
    assert store.load("kind").version == 2
    store.serve("kind", None)
    assert store.load("kind").version == 4


def test_a_canary_gets_its_share_and_no_session_changes_sides(store: ActorStore):
    """The canary gets its share of sessions; they keep it when the share grows; another canary gets different ones."""
    who = [f"session {n}" for n in range(4000)]

    def chosen(percent: float, version: int = 3) -> set[str]:
        served = Served(1, Canary(version, percent))
        return {one for one in who if served.version_for("kind", one) == version}

    few, many = chosen(10), chosen(60)
    assert 300 < len(few) < 500
    assert 2200 < len(many) < 2600
    assert few < many
    assert not chosen(10, version=2) <= few
    assert Served(1, Canary(3, 10)).percent(1) == 90


def test_from_canary_to_promotion_and_back(store: ActorStore):
    """The newest version, served to all, becomes a canary, is promoted, and is rolled back."""
    canary = with_canary(store.served("kind"), 3, 25)
    assert canary == Served(2, Canary(3, 25))
    assert rolled_back(canary) == Served(2)
    assert with_canary(canary, 1, 5) == Served(2, Canary(1, 5))
    everybody = promoted(canary, 3)
    assert everybody == Served(3, previous=2)
    assert promoted(everybody, 3) == everybody
    assert rolled_back(everybody) == Served(2)
    with pytest.raises(ActorNotFound, match=r"^nothing was served before version 2"):
        rolled_back(Served(2))
    with pytest.raises(BadInput, match="percent"):
        with_canary(store.served("kind"), 3, 100)


def test_what_is_written_is_read(store: ActorStore):
    """The file is replaced atomically; a missing version is refused."""
    served = Served(2, Canary(3, 12.5), previous=1)
    store.serve("kind", served)
    assert store.served("kind") == served
    with pytest.raises(ActorNotFound, match="no version 9; it has: 1, 2, 3"):
        store.serve("kind", Served(9))
    assert store.served("kind") == served
    files = sorted(path.name for path in (store.root / "kind").iterdir() if path.is_file())
    assert files == ["consent_history.jsonl", "serving.json"]


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ("{", "is not JSON"),
        ({}, "version: is missing, expected a whole number"),
        ({"version": -1}, "version: expected a whole number from 0 to 4294967295, got -1"),
        ({"version": 0, "canary": {"version": 1, "percent": 5}}, "a canary needs another version that is served"),
        ({"version": True}, "a whole number from .* got True"),
        ({"version": "2"}, "a whole number from .* got '2'"),
        ({"version": 9}, "names version 9, which does not exist"),
        ({"version": 1, "canary": {"version": 9, "percent": 5}}, "names version 9, which does not exist"),
        ({"version": 1, "canary": {"version": 1, "percent": 5}}, "cannot be the canary of version 1"),
        ({"version": 1, "canary": {"version": 2, "percent": 100}}, "between 0 and 100"),
        ({"version": 1, "canaries": []}, "canaries: no such field"),
        ([1], "expected an object, got a list"),
    ],
)
def test_a_damaged_file_is_named(store: ActorStore, stored: object, said: str):
    """A damaged file serves nothing: its author wanted something other than the newest version."""
    text = stored if isinstance(stored, str) else json.dumps(stored)
    (store.root / "kind" / "serving.json").write_text(text)
    with pytest.raises(ActorUnusable, match=f"serving.json.*{said}"):
        store.load("kind")
    assert store.load("kind", 1).version == 1
