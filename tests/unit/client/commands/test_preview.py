"""`dance actors preview` on a folder, with a service on a real port in place of a local stack."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from client.__main__ import run
from client.commands import preview
from client.connection.server_access import ServerAccess
from provenance.credentials.reading import State, read_credentials
from serving.actors.preview import PREVIEW_FRAMES, has_preview
from serving.actors.store import Actor, ActorStore
from tests.tiny_actors import publish_tiny
from tests.unit.client.conftest import grey_level


@pytest.fixture
def juggler(tmp_path: Path) -> Actor:
    """An actor without a preview, in a folder of actors."""
    parts = tmp_path / "parts"
    parts.mkdir()
    return publish_tiny(ActorStore(tmp_path / "actors"), parts, "juggler")


@pytest.fixture
def add(serve, juggler: Actor, monkeypatch: pytest.MonkeyPatch):
    """Run `dance actors preview` with a clip, against a service that behaves as configured; returns the exit code."""

    def command(clip: Path, *more: str, **behaviour) -> int:
        address = serve(**behaviour).address

        async def with_server(server, actors, logs, display, work, load_at_start):
            return await work(ServerAccess(address))

        monkeypatch.setattr(preview, "with_server", with_server)
        actors = str(juggler.folder.parent.parent)
        return run(["actors", "preview", "juggler", str(clip), "--actors", actors, *more])

    return command


def levels(actor: Actor) -> list[int]:
    """The grey levels of a preview's frames."""
    read, moving = cv2.imreadanimation(str(actor.preview_path))
    assert read
    return [int(frame[-8:, -8:, :3].mean()) for frame in moving.frames]


def test_the_actor_dances_some_seconds_of_the_clip(add, juggler: Actor, make_video, capsys):
    """Of 25 frames a second every second one is shown, from the given second on."""
    clip = make_video(frames=75, rate=25)
    assert add(clip, "--start", "1") == 0
    assert has_preview(juggler.folder)
    expected = [grey_level(25 + 2 * number) for number in range(PREVIEW_FRAMES)]
    assert levels(juggler) == pytest.approx(expected, abs=6)
    assert f"wrote {juggler.preview_path}: 24 frames" in " ".join(capsys.readouterr().out.split())
    signed = read_credentials(juggler.preview_path)
    assert signed is not None
    assert (signed.state, signed.says_synthetic) == (State.VALID, True)
    assert (signed.stated["actor"], signed.stated["actor_version"]) == ("juggler", 1)


def test_a_certificate_that_is_made_is_told_of(add, make_video, tmp_path: Path, monkeypatch, capsys):
    """As every command that writes files does."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert add(make_video(frames=75, rate=25)) == 0
    assert "made a certificate for Content Credentials" in " ".join(capsys.readouterr().err.split())


def test_a_preview_that_exists_is_replaced_only_with_force(add, juggler: Actor, make_video, capsys):
    """The error names the file and the option."""
    clip = make_video(frames=6)
    assert add(clip) == 0
    before = juggler.preview_path.read_bytes()
    assert add(clip, "--start", "0.1") == 1
    assert "preview.webp exists already; --force overwrites it" in " ".join(capsys.readouterr().err.split())
    assert juggler.preview_path.read_bytes() == before
    assert add(clip, "--start", "0.1", "--force") == 0
    assert juggler.preview_path.read_bytes() != before


@pytest.mark.parametrize(
    ("words", "behaviour", "said"),
    [
        (("--start", "9"), {}, "0 frames from 9 s on became a picture, a preview needs at least 2"),
        ((), {"nobody_placed": True}, "0 frames from 0 s on became a picture"),
        (("--version", "7"), {}, "has no version 7"),
    ],
)
def test_a_clip_without_a_dance_is_refused_in_one_line(add, juggler: Actor, make_video, capsys, words, behaviour, said):
    """Nothing is written then."""
    assert add(make_video(frames=6), *words, **behaviour) == 1
    assert said in " ".join(capsys.readouterr().err.split())
    assert not juggler.preview_path.exists()


def test_a_camera_is_not_a_clip(add, capsys):
    """The command ends with the dance, so the dance must have an end."""
    assert add(Path("/dev/video0")) == 2
    assert "a clip is needed" in capsys.readouterr().err
