"""Every error is one line and an exit code, and earlier output stays intact."""

from __future__ import annotations

import json
import math
import socket
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from client.__main__ import run
from motion.body import BodyStats
from serving.errors import UnreadableVideo
from video.reader import VideoReader


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]):
    """Run `dance`, check its exit code and that stderr ends in exactly one error line, and return that line."""

    def check(code: int, *arguments: str) -> str:
        assert run([str(argument) for argument in arguments]) == code
        lines = capsys.readouterr().err.strip().splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1, lines
        assert lines[-1] == errors[0]
        assert "Traceback" not in "\n".join(lines)
        return errors[0]

    return check


def arguments(source: Path | str, out: Path, address: str) -> list[str]:
    return ["transfer", str(source), "--actor", "juggler", "-o", str(out), "--server", address]


def nothing_left(folder: Path, *but: Path) -> bool:
    return {path for path in folder.iterdir() if path not in but} == set()


def test_missing_file(fails, serve, tmp_path):
    """A missing file is refused."""
    assert (
        fails(1, *arguments("nowhere.mp4", tmp_path / "o.mp4", serve().address)) == "error: nowhere.mp4 does not exist"
    )
    assert nothing_left(tmp_path)


def test_empty_file(fails, serve, tmp_path):
    """An empty file is refused."""
    source = tmp_path / "empty.mp4"
    source.touch()
    assert fails(1, *arguments(source, tmp_path / "o.mp4", serve().address)).endswith("empty.mp4 is empty")
    assert nothing_left(tmp_path, source)


@pytest.mark.parametrize("content", [b"hello, this is a letter\n" * 50, bytes(range(256)) * 40])
def test_file_that_is_no_video(fails, serve, tmp_path, content):
    """Text and noise are refused."""
    source = tmp_path / "letter.mp4"
    source.write_bytes(content)
    assert "letter.mp4" in fails(1, *arguments(source, tmp_path / "o.mp4", serve().address))


def test_single_picture_is_no_video(fails, serve, tmp_path):
    """A PNG is refused as a picture instead of being transferred as one frame."""
    source = tmp_path / "still.png"
    cv2.imwrite(str(source), np.zeros((32, 32, 3), np.uint8))
    assert fails(1, *arguments(source, tmp_path / "o.mp4", serve().address)).endswith("is a still picture, not a video")


def test_video_cut_before_its_index(fails, serve, make_video, tmp_path):
    """An MP4 that lost its index with its end yields nothing, and the error says so."""
    source = make_video(frames=30)
    content = source.read_bytes()
    source.write_bytes(content[: content.index(b"moov")])
    assert "cannot be read as a video" in fails(1, *arguments(source, tmp_path / "o.mp4", serve().address))


def test_truncated_video_gives_what_decodes(serve, make_video, tmp_path, capsys):
    """A file cut off after its index is transferred as far as it decodes, and the loss is reported in numbers."""
    source, out = make_video(frames=60, options={"movflags": "faststart"}), tmp_path / "out.mp4"
    content = source.read_bytes()
    source.write_bytes(content[: len(content) * 2 // 3])
    assert run(arguments(source, out, serve().address)) == 0
    with VideoReader(str(out)) as reader:
        written = len(list(reader.frames()))
    assert 4 < written < 60
    assert f"cut off: {60 - written} frames cannot be decoded" in capsys.readouterr().err


def test_video_without_a_person(fails, serve, make_video, tmp_path):
    """Without a person in the whole video nothing is written, with and without a first pass."""
    source, out, address = make_video(frames=4), tmp_path / "o.mp4", serve(nobody_at_all=True).address
    assert f"{source}: no whole body was seen in 4 frames" in fails(1, *arguments(source, out, address))
    assert fails(1, "fit", source, "--server", address) == f"error: {source}: no whole body was seen in 4 frames"
    assert "no person was found in any of its 4 frames" in fails(1, *arguments(source, out, address), "--one-pass")
    assert nothing_left(tmp_path, source)


def test_person_whose_whole_body_is_never_seen(fails, serve, make_video, tmp_path):
    """A person at a desk is distinguished from no person, and the error says what helps."""
    source, out = make_video(frames=4), tmp_path / "o.mp4"
    told = fails(1, *arguments(source, out, serve(nobody_placed=True).address), "--one-pass")
    assert "a person is in 4 of its 4 frames, but head, hips and both ankles are never seen together (--body" in told
    assert nothing_left(tmp_path, source)


def test_unknown_actor_lists_those_that_exist(fails, serve, make_video, tmp_path):
    """The error lists the actors that exist."""
    command = arguments(make_video(), tmp_path / "o.mp4", serve().address)
    command[command.index("juggler")] = "swan"
    assert fails(1, *command).endswith("there are: juggler")


def test_actor_of_another_label_map_version(fails, serve, make_video, tmp_path):
    """The server's message reaches the user before a frame is sent."""
    fake = serve(label_map_mismatch=True)
    assert "label maps of version 9" in fails(1, *arguments(make_video(), tmp_path / "o.mp4", fake.address))
    assert fake.behaviour.seen_configs == []


def test_existing_output_is_refused_and_kept(fails, serve, make_video, tmp_path):
    """Without --force, an existing output stays as it is, byte for byte."""
    out = tmp_path / "o.mp4"
    out.write_bytes(b"precious")
    assert "--force" in fails(1, *arguments(make_video(), out, serve().address))
    assert out.read_bytes() == b"precious"


def test_force_replaces_only_with_a_whole_file(fails, serve, make_video, tmp_path):
    """With --force, the old output stays until the new one is finished; a failed run keeps it."""
    source, out = make_video(), tmp_path / "o.mp4"
    out.write_bytes(b"precious")
    told = fails(1, *arguments(source, out, serve(fail_at=6).address), "--force", "--patience", "0")
    assert "stage pose failed at frame 6" in told
    assert out.read_bytes() == b"precious"
    assert nothing_left(tmp_path, source, out)
    assert run([*arguments(source, out, serve().address), "--force"]) == 0
    assert out.read_bytes() != b"precious"


def test_the_source_is_never_overwritten(fails, serve, make_video):
    """Even with --force, the output cannot be the source."""
    source = make_video()
    before = source.read_bytes()
    assert "is the source itself" in fails(1, *arguments(source, source, serve().address), "--force")
    assert source.read_bytes() == before


def test_output_of_an_unknown_kind(fails, serve, make_video, tmp_path):
    """Only containers that support H.264 are accepted."""
    assert "must end in .mp4, .mov or .mkv" in fails(1, *arguments(make_video(), tmp_path / "o.gif", serve().address))


def test_interrupted_run_leaves_nothing(fails, serve, make_video, tmp_path):
    """Ctrl-C in the middle ends with exit code 130, and leaves neither a file nor a part of one."""
    source = make_video(frames=30)
    told = fails(130, *arguments(source, tmp_path / "o.mp4", serve(interrupt_at=10).address))
    assert told == "error: interrupted"
    assert nothing_left(tmp_path, source)


def test_no_server(fails, make_video, tmp_path):
    """An address without a server is an error."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    assert f"no server answers at {address}" in fails(1, *arguments(make_video(), tmp_path / "o.mp4", address))


def test_server_that_owes_answers(fails, serve, make_video, tmp_path):
    """A session that ends early without an error is reported as an error."""
    fake = serve(owes_answers=True)
    assert "owes" in fails(1, *arguments(make_video(), tmp_path / "o.mp4", fake.address))


def test_frame_that_the_server_cannot_read_is_repeated_and_told(serve, make_video, tmp_path, capsys):
    """BAD_FRAME affects one frame and does not end the session."""
    out = tmp_path / "o.mp4"
    assert run(arguments(make_video(frames=5), out, serve(bad_frames=frozenset({2})).address)) == 0
    said = capsys.readouterr()
    assert "could not read frame 2: does not decode" in said.err
    assert "4 pictures, 1 bad frame" in said.out


def test_port_in_use(fails, tmp_path):
    """`dance up` on a port in use ends at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port} is in use" in fails(1, "up", "--port", port, "--actors", str(tmp_path))


@pytest.mark.parametrize("command", [["up", "--port", "0"], ["transfer", "clip.mp4", "--actor", "swan"], ["actors"]])
def test_without_an_actors_folder_a_checkout_names_its_sample(fails, make_video, tmp_path, monkeypatch, command):
    """The error suggests a fix if there is one, and only then."""
    make_video()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DANCE_ACTORS", raising=False)
    told = fails(1, *command)
    assert "error: there is no folder 'actors' with actors; `dance train` creates one" in told
    assert "samples" not in told
    (tmp_path / "samples" / "actors").mkdir(parents=True)
    assert fails(1, *command).endswith("try --actors samples/actors")


def test_unknown_actor_of_a_local_stack_is_told_before_it_starts(fails, make_video, tmp_path):
    """Without a server, the local folder decides, before any process starts."""
    source = make_video()
    command = ["transfer", str(source), "--actor", "swan", "-o", str(tmp_path / "o.mp4"), "--actors", str(tmp_path)]
    assert "there is no actor 'swan'" in fails(1, *command)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has cameras as files")
@pytest.mark.parametrize("camera", ["987", "/dev/video987"])
def test_a_missing_camera_is_told_before_services_start(fails, tmp_path, monkeypatch, camera):
    """In the words of its opening, but at once."""
    monkeypatch.setattr("client.commands.transfer.with_server", lambda *given: pytest.fail("services start"))
    told = fails(1, "transfer", camera, "--actor", "juggler", "--live", "-o", tmp_path / "o.mp4")
    assert told == "error: /dev/video987 cannot be opened: no such file or directory"
    with pytest.raises(UnreadableVideo) as refused:
        VideoReader(camera)
    assert told == f"error: {refused.value}"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["transfer", "x.mp4"], "--actor"),
        (["transfer", "x.mp4", "--actor", "juggler", "--detail", "much"], "--detail"),
        (["transfer", "0", "--actor", "juggler"], "needs --live"),
        (["transfer", "rtsp://camera/1", "--actor", "juggler"], "needs --live"),
        (["transfer", "x.mp4", "--actor", "juggler", "--live", "--look-ahead", "2"], "look ahead"),
        (["transfer", "x.mp4", "--actor", "juggler", "--size", "256"], "--size is for sessions with --live"),
        (["fly"], "No such command"),
    ],
)
def test_command_lines_that_make_no_sense(fails, command, words):
    """They end with exit code 2."""
    assert words in fails(2, *command)


@pytest.mark.parametrize(("command", "listed"), [([], "transfer "), (["jobs"], "watch ")])
def test_a_command_without_a_sub_command_shows_its_help(capsys, command, listed):
    """The help goes to stderr, over several lines, and the exit code is 2."""
    assert run(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"Usage: {' '.join(['dance', *command])} [OPTIONS] COMMAND")
    assert any(line.strip().startswith(listed) for line in err.splitlines())


def test_damaged_body_stats(fails, serve, make_video, tmp_path):
    """A file that `dance fit` did not write is refused."""
    stats = tmp_path / "body.json"
    command = arguments(make_video(), tmp_path / "o.mp4", serve().address)
    body = BodyStats(near_ankle_y=0.9, far_ankle_y=0.8, near_height=0.5, far_height=0.4, hip_x=0.5, frames=10)
    whole = body.to_dict()
    for text, said in (
        ('{"body": {"near_ankle_y": 1}}', "body stats take exactly"),
        (json.dumps({"body": whole | {"frames": math.inf}}), "body.frames: expected a number, got inf"),
        (json.dumps({"body": whole | {"frames": 10**30}}), "body.frames: expected a number, got 1000"),
        (json.dumps({"body": whole | {"frames": 10**12}}), "frames of body stats must be a number"),
        (json.dumps({"body": whole | {"hip_x": 10**400}}), "body.hip_x: expected a number, got 1000"),
        ('{"body": ' + "[" * 100_000, "is nested more than 64 levels deep"),
        ("[]", "expected an object, got a list"),
        ("\0" * 2**21, "has 2097152 bytes, at most 1048576 are read"),
    ):
        stats.write_text(text)
        told = fails(1, *command, "--body", str(stats))
        assert "does not hold body stats" in told
        assert said in told


def test_debug_shows_where_an_error_comes_from(capsys):
    """--debug adds a traceback for developers."""
    assert run(["--debug", "transfer", "nowhere.mp4", "--actor", "juggler", "--server", "127.0.0.1:1"]) == 1
    assert "Traceback" in capsys.readouterr().err
