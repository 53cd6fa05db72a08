"""`dance verify`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from client.command_line import run
from provenance.credentials.manifest import SyntheticMedia
from provenance.watermark.code import Payload
from provenance.watermark.marking import Watermark
from provenance.watermark.server_key import key_id
from serving.actors.consent import ConsentRecord, Use
from tests.pipeline.chain import publish_actor
from tests.signed_files import changed, scene, signer, write_video

CONSENT = ConsentRecord(who="Anna", uses=(Use.PRIVATE,), until=date(2999, 1, 1), words="yes")
KEY = bytes(range(32))


@pytest.fixture
def actors(tmp_path: Path) -> Path:
    """A folder with anna, whose consent is for private use."""
    publish_actor(tmp_path / "actors", "anna", consent=CONSENT)
    return tmp_path / "actors"


@pytest.fixture
def film(tmp_path: Path, actors: Path) -> Path:
    """A video of anna with both marks."""
    mark = Watermark(Payload(key_id(KEY), 5))
    path = write_video(tmp_path / "o.mp4", [mark.marked(scene(index)) for index in range(6)])
    facts = SyntheticMedia(actor="anna", actor_version=1, consent_sha256=CONSENT.sha256())
    signer(tmp_path).sign(path, path, replace(facts, source_name="clip"))
    return path


def test_a_marked_file_is_explained_in_words(
    film: Path, actors: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who signed, that nothing vouches for the name, which server drew it, that the consent holds. Exit code 0."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert run(["verify", str(film), "--actors", str(actors)]) == 0
    said = capsys.readouterr().out
    assert f"{film}: marked as synthetic" in said
    assert "credentials: valid; not changed since it was signed" in said
    assert "self-made certificate" in said
    assert "nothing vouches for this name" in said
    assert "actor anna, version 1" in said
    assert f"the server with the key {key_id(KEY):04x}, session 00000005" in said
    assert "consent: it holds for private use until 2999-01-01" in said
    folder = tmp_path / "config" / "everybody-dance"
    folder.mkdir(parents=True)
    (folder / "server.key").write_text(KEY.hex())
    run(["verify", str(film), "--actors", str(actors)])
    assert "a server of this machine" in capsys.readouterr().out


def test_exit_codes_are_for_scripts(film: Path, actors: Path, tmp_path: Path, capsys) -> None:
    """3: no mark. 4: changed. 5: the consent does not allow the use. 6: that is not known. 1: it is not a video."""
    arguments = ["--actors", str(actors), "--json"]
    assert run(["verify", str(film), "--use", "commercial", *arguments]) == 5
    assert json.loads(capsys.readouterr().out)["consent"]["allowed"] == "no"
    assert run(["verify", str(film), "--use", "public", "--actors", str(tmp_path / "none"), "--json"]) == 6
    assert json.loads(capsys.readouterr().out)["consent"]["allowed"] == "unknown"
    plain = write_video(tmp_path / "plain.mp4", [scene(index) for index in range(6)])
    assert run(["verify", str(plain), *arguments]) == 3
    assert json.loads(capsys.readouterr().out)["mark"] == "unmarked"
    assert run(["verify", str(changed(film, 0.9)), *arguments]) == 4
    assert json.loads(capsys.readouterr().out)["credentials"]["state"] == "changed"
    assert run(["verify", str(tmp_path / "missing.mp4"), *arguments]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_revoked_consent_is_told(film: Path, actors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file was right when it was made; now its use is not allowed any more."""
    assert run(["actors", "revoke", "anna", "--reason", "she asked", "--actors", str(actors)]) == 0
    capsys.readouterr()
    assert run(["verify", str(film), "--actors", str(actors)]) == 5
    assert "revoked" in capsys.readouterr().out


def test_a_deletion_is_told(film: Path, actors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The list of actors does not have the version any more, but its history does."""
    assert run(["actors", "delete", "anna", "--yes", "--actors", str(actors)]) == 0
    capsys.readouterr()
    assert run(["verify", str(film), "--actors", str(actors)]) == 5
    assert "consent: actor 'anna' version 1 was deleted on" in capsys.readouterr().out


def test_a_revocation_is_told_after_the_deletion(film: Path, actors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says why the person does not want the file to be used."""
    assert run(["actors", "revoke", "anna", "--reason", "she asked", "--actors", str(actors)]) == 0
    assert run(["actors", "delete", "anna", "--yes", "--actors", str(actors)]) == 0
    capsys.readouterr()
    assert run(["verify", str(film), "--actors", str(actors)]) == 5
    assert "she asked" in capsys.readouterr().out


def test_words_of_a_file_cannot_control_the_terminal(film: Path, actors: Path, tmp_path: Path, capsys) -> None:
    """Unprintable characters are escaped, and what a changed file states is not repeated."""
    evil = write_video(tmp_path / "evil.mp4", [scene(index) for index in range(2)])
    signer(tmp_path).sign(evil, evil, SyntheticMedia(actor="\x1b[2Jgone", actor_version=1))
    run(["verify", str(evil), "--actors", str(actors)])
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\\x1b[2Jgone" in said
    run(["verify", str(changed(evil, 0.9)), "--actors", str(actors)])
    assert "gone" not in capsys.readouterr().out


def test_authorities_that_cannot_be_read_are_not_a_forgery(film: Path, tmp_path: Path, capsys) -> None:
    """A wrong file for --trust is the user's mistake, not a change of the film."""
    wrong = tmp_path / "README.md"
    wrong.write_text("no certificates")
    assert run(["verify", str(film), "--trust", str(wrong)]) == 1
    assert "README.md: expected PEM certificates" in " ".join(capsys.readouterr().err.split())
