"""`dance actors revoke` and `dance actors delete`."""

from __future__ import annotations

import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from client.__main__ import run
from serving.actors import rollout_cli
from serving.actors.consent import ConsentRecord
from serving.actors.consent_history import HISTORY_FILE
from serving.actors.rollout import Canary, Served
from serving.actors.store import ActorStore
from serving.errors import NoConsent
from serving.process.atomic_files import locked_folder
from tests.tiny_actors import publish_tiny


@pytest.fixture
def store(tmp_path: Path) -> ActorStore:
    """Versions 1 to 3 of anna, and version 1 of ben."""
    store = ActorStore(tmp_path / "actors")
    for name in ("anna", "anna", "anna", "ben"):
        publish_tiny(store, tmp_path, name)
    return store


def _dance(store: ActorStore, *words: str) -> int:
    return run(["actors", words[0], "anna", "--actors", str(store.root), *words[1:]])


def _events(store: ActorStore) -> list[tuple[str, list[int]]]:
    lines = (store.root / "anna" / HISTORY_FILE).read_text().splitlines()
    return [(event["event"], event["versions"]) for event in map(json.loads, lines)]


def test_revoking_says_what_was_revoked_and_that_the_files_stay(store: ActorStore, capsys):
    """`dance actors` then says of each version why it is not available."""
    assert _dance(store, "revoke", "--reason", "she asked for it", "--by", "jo") == 0
    said = capsys.readouterr()
    assert said.out.startswith("anna: the consent to versions 1, 2, 3 was revoked on ")
    assert "UTC by jo: she asked for it" in " ".join(said.out.split())
    assert "`dance actors delete anna` deletes them" in " ".join(said.err.split())
    assert run(["actors", "--actors", str(store.root)]) == 0
    assert capsys.readouterr().out.count("revoked") >= 3
    assert store.load("ben").version == 1


def test_one_version_can_be_revoked(store: ActorStore, capsys):
    """The others are still served."""
    assert _dance(store, "revoke", "--reason", "it shows a scar", "--version", "3") == 0
    assert "the consent to version 3 was revoked" in capsys.readouterr().out
    assert store.load("anna").version == 2
    assert run(["actors", "promote", "anna", "--version", "3", "--actors", str(store.root)]) == 1
    assert "it shows a scar" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["revoke"], 2, "--reason"),
        (["revoke", "--reason", " "], 1, "--reason: cannot be blank"),
        (["revoke", "--reason", "x" * 501], 1, "--reason: 501 characters; at most 500 are kept"),
        (["revoke", "--reason", "x", "--by", "x" * 201], 1, "--by: 201 characters; at most 200 are kept"),
        (["revoke", "--reason", "x", "--version", "9"], 1, "has no version 9; it has: 1, 2, 3"),
        (["delete"], 2, "there is no terminal to ask: --yes deletes without asking"),
        (["revoke", "--reason", "x\udcff"], 1, "--reason: expected valid Unicode, got 'x"),
        (["delete", "--by", "x" * 501, "--yes"], 1, "--by: 501 characters; at most 200 are kept"),
        (["delete", "--version", "9", "--yes"], 1, "has no version 9; it has: 1, 2, 3"),
        (["delete", "--version", "1", "--footage", "--yes"], 2, "--footage goes with the whole actor"),
    ],
)
def test_what_cannot_be_done_is_said(store: ActorStore, capsys, monkeypatch, words: list[str], code: int, said: str):
    """Nothing changes then."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert _dance(store, *words) == code
    assert said in capsys.readouterr().err
    assert store.served("anna").version == 3


def test_a_deletion_leaves_only_the_history(store: ActorStore, tmp_path: Path, capsys):
    """It says what it cannot delete. A new version gets a new number, and old files are not served any more."""
    (store.root / "anna" / ".publishing-left").mkdir()
    backup = shutil.copytree(store.root / "anna" / "3", tmp_path / "backup")
    assert _dance(store, "delete", "--yes", "--by", "jo") == 0
    said = capsys.readouterr()
    assert said.out.startswith("deleted anna, versions 1, 2, 3\n")
    remains = " ".join(said.err.split())
    assert "the footage that the training read; copies of the folder" in remains
    assert "footage that the page's gateway keeps in WEB_DATA_FOLDER. A cluster's volumes" in remains
    assert "A training that is running publishes the person again, unless the consent was revoked" in remains
    assert [path.name for path in (store.root / "anna").iterdir()] == [HISTORY_FILE]
    assert sorted(path.name for path in store.root.iterdir()) == ["anna", "ben"]
    assert _events(store)[-1] == ("deleted", [1, 2, 3])
    assert store.ids() == ["ben"]
    backup.rename(store.root / "anna" / "3")
    with pytest.raises(NoConsent, match=r"'anna' version 3 was deleted on .* by jo"):
        store.load("anna", 3)
    assert publish_tiny(store, tmp_path, "anna").version == 4
    assert store.load("anna").version == 4


@pytest.mark.parametrize(
    ("served", "deleted", "then"),
    [
        (None, 3, Served(2, previous=1)),
        (Served(1, Canary(3, 10), previous=2), 3, Served(1, previous=2)),
        (Served(1, Canary(3, 10), previous=2), 2, Served(1, Canary(3, 10))),
        (Served(2), 2, Served(0, by_gate=True)),
    ],
)
def test_one_version_can_be_deleted(store: ActorStore, served: Served | None, deleted: int, then: Served):
    """What is served does not name it any more."""
    store.serve("anna", served)
    assert _dance(store, "delete", "--version", str(deleted), "--yes") == 0
    assert store.versions("anna") == [version for version in (1, 2, 3) if version != deleted]
    assert store.served("anna") == then
    assert ActorStore(store.root).served("anna") == then


def test_what_a_killed_publisher_left_goes_with_any_version(store: ActorStore):
    """It has pictures of the person. A publisher that is at work goes on."""
    left, at_work = (store.root / "anna" / f".publishing-{name}" for name in ("left", "at-work"))
    for folder in (left, at_work):
        folder.mkdir()
    os.utime(left, (0, 0))
    assert _dance(store, "delete", "--version", "1", "--yes") == 0
    assert (left.exists(), at_work.exists()) == (False, True)


def test_a_history_that_takes_no_more_events_is_said(store: ActorStore, capsys):
    """In one line, and nothing is deleted."""
    with (store.root / "anna" / HISTORY_FILE).open("r+b") as file:
        file.truncate(2**24 + 1)
    for words in (["revoke", "--reason", "she asked"], ["delete", "--yes"]):
        assert _dance(store, *words) == 1
        assert capsys.readouterr().err.startswith("error: actor 'anna': consent_history.jsonl: ")
        command = [words[0], "anna", *(word for word in words[1:] if word != "--yes"), "--actors", str(store.root)]
        assert rollout_cli.main(command) == 1
        assert capsys.readouterr().err.startswith("error: actor 'anna': consent_history.jsonl: ")
    assert store.versions("anna") == [1, 2, 3]


def test_a_terminal_is_asked_first(store: ActorStore, capsys, monkeypatch):
    """Without a yes, nothing is deleted."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert _dance(store, "delete") == 130
    assert "Delete anna, versions 1, 2, 3" in capsys.readouterr().err
    assert store.load("anna").version == 3
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert _dance(store, "delete") == 0


def test_an_interrupted_deletion_is_finished_by_the_same_command(store: ActorStore, monkeypatch, capsys):
    """The versions are unserved at once; what a killed command left is deleted."""

    def killed(path: Path, ignore_errors: bool = False) -> None:
        raise OSError(28, "the disk is gone", str(path))

    monkeypatch.setattr("serving.actors.removals.shutil.rmtree", killed)
    assert _dance(store, "delete", "--yes") == 1
    assert "the same command continues" in capsys.readouterr().err
    assert store.ids() == ["ben"]
    assert len(list(store.root.glob(".*.removed"))) == 3
    monkeypatch.undo()
    assert _dance(store, "delete", "--yes") == 0
    assert "deleted what an interrupted deletion had left" in capsys.readouterr().out
    assert not list(store.root.glob(".*.removed"))
    assert _dance(store, "delete", "--yes") == 1
    assert "there is no actor 'anna'; there are: ben" in capsys.readouterr().err


@pytest.fixture
def work(store: ActorStore, tmp_path: Path) -> Path:
    """A work folder with anna's training and footage, and with other footage."""
    work = tmp_path / "work"
    for name in ("anna", "ben", "footage/f1-preparation7", "footage/f2-preparation7"):
        (work / name).mkdir(parents=True)
        (work / name / "picture.npy").touch()
    one = store.load("anna")
    store.publish(replace(one, trained={"footage_fingerprint": "f1"}), {path.name: path for path in one.files})
    return work


def test_the_footage_goes_with_the_actor(store: ActorStore, work: Path, capsys):
    """What belongs to others, or to no version, stays and is named."""
    assert _dance(store, "delete", "--footage", "--work", str(work), "--yes") == 0
    said = capsys.readouterr()
    assert str(work / "footage" / "f1-preparation7") in said.out.replace("\n", "")
    assert "f2-preparation7" in said.err.replace("\n", "")
    left = sorted(str(path.relative_to(work)) for path in work.rglob("*") if path.is_dir())
    assert left == ["ben", "footage", "footage/f2-preparation7"]
    assert _events(store)[-1] == ("deleted", [1, 2, 3, 4])


def test_the_footage_of_a_running_training_stays(store: ActorStore, work: Path, capsys):
    """And so does the actor, which the training would publish again."""
    with locked_folder(work):
        assert _dance(store, "delete", "--footage", "--work", str(work), "--yes") == 1
    assert "another training is at work" in capsys.readouterr().err
    assert (work / "anna").is_dir()
    assert store.load("anna").version == 4


def test_without_footage_the_work_folder_is_named(store: ActorStore, work: Path, capsys):
    """It has pictures of the person too."""
    assert _dance(store, "delete", "--work", str(work), "--yes") == 0
    assert "--footage deletes that as well" in " ".join(capsys.readouterr().err.split())


def test_footage_is_deleted_after_the_actor_too(store: ActorStore, work: Path):
    """The training's own folder is found by the actor's name."""
    assert _dance(store, "delete", "--yes") == 0
    assert _dance(store, "delete", "--footage", "--work", str(work), "--yes") == 0
    assert not (work / "anna").exists()


def test_a_record_of_the_consent_survives_in_the_list(store: ActorStore, tmp_path: Path, capsys):
    """A wide terminal shows whose consent was revoked."""
    publish_tiny(store, tmp_path, "cara", consent=ConsentRecord.of_text("Cara, to dancing"))
    store.revoke("cara", reason="she asked")
    assert run(["actors", "--actors", str(store.root)]) == 0
    assert "Cara, to dancing" in capsys.readouterr().out


def test_a_container_without_dance_does_the_same(store: ActorStore, capsys):
    """It does not ask."""
    actors = ["--actors", str(store.root)]
    assert rollout_cli.main(["revoke", "anna", "--reason", "she asked", "--by", "jo", *actors]) == 0
    assert "anna: the consent to versions 1, 2, 3 was revoked on" in capsys.readouterr().out
    assert rollout_cli.main(["delete", "anna", "--version", "2", *actors]) == 0
    assert rollout_cli.main(["delete", "anna", *actors]) == 0
    assert capsys.readouterr().out == "deleted anna, version 2\ndeleted anna, versions 1, 3\n"
    assert rollout_cli.main(["revoke", "anna", "--reason", "she asked", *actors]) == 1
