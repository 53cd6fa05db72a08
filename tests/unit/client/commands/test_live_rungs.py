"""`dance transfer --live` on a machine that is too slow: what it asks for, shows and tells."""

from __future__ import annotations

import re
from pathlib import Path

import av
import pytest
from dance.v1 import pose_pb2

from client.__main__ import run
from client.transfer.run import WARM_UP_FRAMES
from tests.unit.client.conftest import SIZE_PX


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def live(source: Path, address: str, out: Path, *more: str) -> int:
    command = ["transfer", str(source), "--actor", "juggler", "--live", "--server", address, "-o", str(out)]
    return run([*command, *more])


def test_a_live_session_lets_the_server_choose(serve, make_video, tmp_path):
    """Without --detail and --size, the server may change both. A session that is not live gets neither field."""
    fake = serve()
    assert live(make_video(frames=4, rate=60), fake.address, tmp_path / "live.mp4") == 0
    config = fake.behaviour.seen_configs[-1]
    assert config.adaptive
    assert config.pose_detail == pose_pb2.POSE_DETAIL_UNSPECIFIED
    assert not config.HasField("picture_size")
    lossless = ["transfer", str(make_video(frames=4)), "--actor", "juggler", "--server", fake.address]
    assert run([*lossless, "-o", str(tmp_path / "whole.mp4")]) == 0
    config = fake.behaviour.seen_configs[-1]
    assert not config.adaptive
    assert config.pose_detail == pose_pb2.POSE_DETAIL_HOLISTIC


def test_what_the_user_names_is_asked_for(serve, make_video, tmp_path):
    """--detail and --size fix them."""
    fake = serve(has_wardrobe=True)
    chosen = ("--detail", "body", "--size", str(SIZE_PX // 2))
    assert live(make_video(frames=4, rate=60), fake.address, tmp_path / "o.mp4", *chosen) == 0
    config = fake.behaviour.seen_configs[-1]
    assert config.pose_detail == pose_pb2.POSE_DETAIL_BODY
    assert (config.picture_size.width_px, config.picture_size.height_px) == (SIZE_PX // 2, SIZE_PX // 2)


def test_a_size_that_the_actor_lacks_is_refused_with_those_it_has(serve, make_video, tmp_path, capsys):
    """Before any frame is sent."""
    fake = serve(has_wardrobe=True)
    assert live(make_video(frames=4, rate=60), fake.address, tmp_path / "o.mp4", "--size", "48") == 1
    assert "cannot be drawn at --size 48; it can at 64, 32" in capsys.readouterr().err
    assert not fake.behaviour.seen_configs


def test_a_step_is_told_and_the_recording_keeps_its_size(serve, make_video, tmp_path, capsys):
    """Smaller pictures are enlarged. A line says what changed and why, another one that there is time again.

    It counts the source's frames, not those of the warm-up.
    """
    first = WARM_UP_FRAMES + 2
    fake, out = serve(reduced=range(first, first + 3)), tmp_path / "o.mp4"
    assert live(make_video(frames=10, rate=10), fake.address, out) == 0
    captured = capsys.readouterr()
    assert "frame 2: drawn at 32 px, no face and hands: the camera's rate cannot be held at 64 px" in captured.err
    assert "drawn at 64 px, face and hands in every frame: there is time for it again" in captured.err
    assert "pictures, by how they were drawn: 64 px, face and hands in every frame: " in captured.out
    with av.open(str(out)) as recorded:
        assert {(frame.width, frame.height) for frame in recorded.decode(video=0)} == {(SIZE_PX, SIZE_PX)}


def test_only_pictures_are_drawn_at_a_rung(serve, make_video, tmp_path, capsys):
    """Frames without a person are neither told nor counted."""
    first = WARM_UP_FRAMES + 2
    fake = serve(reduced=range(first, first + 3), no_person=frozenset(range(first, first + 3)))
    assert live(make_video(frames=8, rate=10), fake.address, tmp_path / "o.mp4") == 0
    captured = capsys.readouterr()
    assert "drawn at" not in captured.err
    assert "by how they were drawn" not in captured.out


def test_a_new_session_is_not_taken_for_a_faster_machine(serve, make_video, tmp_path, capsys):
    """After a lost connection the server begins with its first rung, whether or not there is time for it."""
    first = WARM_UP_FRAMES + 2
    fake = serve(reduced=range(first, first + 3), fail_at=first + 3)
    assert live(make_video(frames=40, rate=20), fake.address, tmp_path / "o.mp4") == 0
    told = capsys.readouterr().err
    assert "the session after the lost connection chooses anew" in told
    assert "there is time for it again" not in told


TOO_SLOW = frozenset(range(WARM_UP_FRAMES, 100)) - frozenset(range(WARM_UP_FRAMES, 100, 3))


def test_a_rate_that_cannot_be_held_as_asked_is_told(serve, make_video, tmp_path, monkeypatch, capsys):
    """If both options are fixed the server cannot step down, and says nothing: the command says it, once."""
    monkeypatch.setattr("client.transfer.held_rate._WINDOW_SECONDS", 0.3)
    fake = serve(has_wardrobe=True, dropped=TOO_SLOW)
    chosen = ("--detail", "holistic", "--size", str(SIZE_PX))
    assert live(make_video(frames=20, rate=20), fake.address, tmp_path / "o.mp4", *chosen) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "cannot be held" in line]
    assert len(told) == 1
    assert re.match(r"frame \d+: the camera's rate cannot be held: \d+ of \d+ frames are shown; ", told[0])
    assert told[0].endswith("leave out --detail and --size, so that a frame may take less work")


def test_a_server_that_may_choose_speaks_for_itself(serve, make_video, tmp_path, monkeypatch, capsys):
    """With several rungs, the server's own steps are told, and no advice beside them."""
    monkeypatch.setattr("client.transfer.held_rate._WINDOW_SECONDS", 0.3)
    fake = serve(dropped=TOO_SLOW, reduced=range(500, 501))
    assert live(make_video(frames=20, rate=20), fake.address, tmp_path / "o.mp4") == 0
    assert "cannot be held" not in capsys.readouterr().err


def test_a_size_that_the_actor_lacks_is_refused_before_services_start(root, make_video, tmp_path, monkeypatch, capsys):
    """Without a server, the actor's folder says which sizes there are."""
    monkeypatch.setattr("client.commands.transfer.with_server", lambda *given: pytest.fail("services start"))
    command = ["transfer", str(make_video()), "--actor", "sample", "--actors", str(root / "samples" / "actors")]
    assert run([*command, "--live", "--size", "100", "-o", str(tmp_path / "o.mp4")]) == 1
    assert "actor 'sample' cannot be drawn at --size 100; it can at 512, 384, 256" in capsys.readouterr().err
