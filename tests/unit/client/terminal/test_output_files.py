"""Outputs are checked before any work, and finished work is never lost."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from client.__main__ import run
from client.errors import UnwritableVideo
from client.media.video_writer import Recording
from motion.keypoint_files.folder import read_folder
from motion.keypoint_files.openpose_json import KeypointsPerson
from tests.unit.client.media.test_keypoints_source import body, written
from tests.unit.serving.process.test_atomic_files import in_a_mount, sealed

__all__ = ["sealed"]


@pytest.fixture
def poses(tmp_path):
    """Keypoints of one person in forty frames."""
    return written(tmp_path / "poses", *[[KeypointsPerson(body(20 + t), 1)] for t in range(40)])


@pytest.mark.parametrize("command", ["transfer", "fit", "pose --overlay", "pose --json"])
@pytest.mark.parametrize("place", ["file/below{}", "b" * 255 + "{}"])
def test_an_output_that_cannot_be_written_is_told_before_any_work(serve, poses, tmp_path, capsys, command, place):
    """The error is one line with exit code 1, and the server gets no request."""
    (tmp_path / "file").touch()
    fake = serve()
    name, _, option = command.partition(" ")
    suffix = {"fit": ".json", "pose --json": "b"}.get(command, ".mp4")
    arguments = [name, str(poses), option or "-o", str(tmp_path / place.format(suffix))]
    arguments += ["--server", fake.address] if name != "pose" else []
    arguments += ["--actor", "juggler"] if name == "transfer" else []
    assert run(arguments) == 1
    (told,) = capsys.readouterr().err.strip().splitlines()
    assert " cannot be written: " in told
    assert fake.behaviour.fitted_frames == 0
    assert fake.behaviour.seen_configs == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "poses"]


def test_a_source_is_never_an_output(serve, make_video, tmp_path, capsys):
    """It is refused even with --force; so is a folder in place of a file."""
    clip = make_video(frames=2)
    before = clip.read_bytes()
    assert run(["fit", str(clip), "-o", str(clip), "--force", "--server", serve().address]) == 1
    assert "is the source itself" in " ".join(capsys.readouterr().err.split())
    assert run(["evaluate-pose", str(clip), "-o", str(clip), "--force"]) == 1
    assert "is the source itself" in " ".join(capsys.readouterr().err.split())
    assert run(["fit", str(clip), "-o", str(tmp_path), "--force", "--server", serve().address]) == 1
    assert "is a folder; name a file" in " ".join(capsys.readouterr().err.split())
    assert clip.read_bytes() == before


def test_a_measurement_that_cannot_be_written_is_printed(serve, poses, tmp_path, capsys, monkeypatch):
    """If the disk fills up in between, the measurement is printed."""

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    assert run(["fit", str(poses), "-o", str(tmp_path / "body.json"), "--server", serve().address]) == 1
    said = capsys.readouterr()
    assert "cannot be written: No space left on device" in " ".join(said.err.split())
    assert '"near_ankle_y"' in said.out
    assert not (tmp_path / "body.json").exists()


@pytest.mark.parametrize("name", ["a" * 251 + ".mp4", "ü" * 125 + ".mp4"])
def test_names_of_255_bytes_are_written(serve, poses, tmp_path, name):
    """The hidden file that becomes the output gets a shorter name."""
    assert run(["pose", str(poses), "--overlay", str(tmp_path / name)]) == 0
    assert (tmp_path / name).stat().st_size > 0
    body_name = name.removesuffix(".mp4") + ".jso"
    assert run(["fit", str(poses), "-o", str(tmp_path / body_name), "--server", serve().address]) == 0


def pose_with_limit(poses, out, limit_bytes: int) -> subprocess.CompletedProcess[str]:
    """Run `dance pose --json` in a process with a limit on the size of files."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    program = [sys.executable, "-m", "client", "pose", str(poses), "--json", str(out)]
    return subprocess.run(program, preexec_fn=limited, capture_output=True, text=True, timeout=120, check=False)


def test_a_folder_that_could_not_be_finished_is_not_there(poses, tmp_path):
    """When the last file fails, no incomplete folder and no hidden file remain."""
    source = written(tmp_path / "many", *[[]] * 2000)
    done = pose_with_limit(source, tmp_path / "out", 4096)
    assert done.returncode == 1
    assert "out cannot be written: File too large" in " ".join(done.stderr.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many", "poses"]


def test_what_a_stop_leaves_has_another_name(poses, tmp_path, capsys, monkeypatch):
    """The frames until then are kept, in a folder that does not look like the whole."""
    frames = iter(range(100))
    monkeypatch.setattr("serving.process.stop_signals.StopRequest.__call__", lambda request: next(frames) >= 3)
    assert run(["pose", str(poses), "--json", str(tmp_path / "out"), "--overlay", str(tmp_path / "o.mp4")]) == 130
    told = " ".join(capsys.readouterr().err.split())
    assert "stopped after 4 frames" in told
    assert "out.stopped" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.stopped.mp4", "out.stopped", "poses"]
    assert len(read_folder(tmp_path / "out.stopped").frames) == 4


@pytest.mark.parametrize("place", [".", "link"])
def test_poses_are_written_into_any_folder(poses, tmp_path, monkeypatch, place):
    """The current folder works, and so does a link to a folder; no hidden file remains."""
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    monkeypatch.chdir(tmp_path / "out" if place == "." else tmp_path)
    assert run(["pose", str(poses), "--json", place]) == 0
    assert len(read_folder(tmp_path / "out").frames) == 40
    assert len(list((tmp_path / "out").iterdir())) == 41
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out", "poses"]


def test_poses_are_written_where_only_the_folder_can_be(poses, sealed, monkeypatch):
    """The keypoints found until a stop are kept too, in a folder that does not look like the whole."""
    assert run(["pose", str(poses), "--json", str(sealed)]) == 0
    assert len(read_folder(sealed).frames) == 40
    frames = iter(range(100))
    monkeypatch.setattr("serving.process.stop_signals.StopRequest.__call__", lambda request: next(frames) >= 3)
    assert run(["pose", str(poses), "--json", str(sealed), "--force"]) == 130
    assert len(read_folder(sealed / "poses.stopped").frames) == 4
    assert len(read_folder(sealed).frames) == 40


def test_force_replaces_the_keypoints_of_a_mount(poses, tmp_path, root):
    """As with `docker run -v`: new files replace the old ones, and other files stay."""
    pose = 'cd "$2" && "$3" -m client pose "$4" --json "$0" --force >&2'
    script = f'echo mine > notes.txt; cp -r "$1"/. . && {pose} && ls -A "$0"'
    old = written(tmp_path / "old", *[[]] * 50)
    printed = in_a_mount(tmp_path / "out", script, str(old), str(root), sys.executable, str(poses))
    assert len(printed.split()) == 42
    assert {"poses_000000000039_keypoints.json", "dance_source.json", "notes.txt"} <= set(printed.split())


@pytest.mark.parametrize(
    ("video", "refused", "new_frames"),
    [
        ("other", "other_000000000000_keypoints.json", 0),
        ("other", "other_000000000007_keypoints.json", 0),
        ("other", "dance_source.json", 0),
        ("clip", "clip_000000000007_keypoints.json", 7),
        ("clip", "dance_source.json", 40),
    ],
)
def test_old_keypoints_stay_where_new_ones_cannot_take_their_place(
    poses, tmp_path, capsys, monkeypatch, video, refused, new_frames
):
    """--force deletes nothing early: until then only files of the same names are new, and the folder is readable."""
    out, move = written(tmp_path / "out", *[[]] * 50), Path.replace
    before = {path.name for path in out.iterdir()}

    def full_at_one(path, to):
        if path.parent.parent == out and to.name == refused:
            raise OSError(28, "No space left on device")
        return move(path, to)

    monkeypatch.setattr(Path, "replace", full_at_one)
    assert run(["pose", str(poses.rename(tmp_path / video)), "--json", str(out), "--force"]) == 1
    assert "out cannot be written: No space left on device" in " ".join(capsys.readouterr().err.split())
    assert {path.name for path in out.iterdir()} == before
    read = read_folder(out)
    assert len(read.frames) == 50
    assert sum(bool(frame.people) for frame in read.frames) == new_frames


def test_old_keypoints_stay_where_the_overlay_cannot_be_finished(poses, tmp_path, capsys, monkeypatch):
    """This holds with --force too: the overlay is finished before a keypoint file is replaced."""
    out = written(tmp_path / "out", *[[]] * 50)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(recording):
        raise UnwritableVideo("the disk is full")

    monkeypatch.setattr(Recording, "keep", full)
    overlay = tmp_path / "overlay.mp4"
    assert run(["pose", str(poses), "--json", str(out), "--force", "--overlay", str(overlay)]) == 1
    assert "the disk is full" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert not overlay.exists()


def test_force_replaces_the_keypoints_of_a_folder_at_the_end(poses, tmp_path):
    """The old keypoints stay until all new ones are written; other files always stay."""
    out = written(tmp_path / "out", *[[]] * 50)
    (out / "notes.txt").write_text("mine")
    broken = written(tmp_path / "broken", *[[]] * 2000)
    program = [sys.executable, "-m", "client", "pose", str(broken), "--json", str(out), "--force"]

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(program, preexec_fn=limited, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert len(read_folder(out).frames) == 50
    assert run(["pose", str(poses), "--json", str(out), "--force"]) == 0
    assert len(read_folder(out).frames) == 40
    assert (out / "notes.txt").read_text() == "mine"


def test_a_folder_for_logs_that_cannot_be_made_is_told(root, tmp_path, capsys):
    """The check comes before any work."""
    (tmp_path / "file").touch()
    logs = tmp_path / "file" / "logs"
    assert run(["up", "--port", "0", "--actors", str(root / "samples" / "actors"), "--logs", str(logs)]) == 1
    (told,) = capsys.readouterr().err.strip().splitlines()
    assert "cannot be written: " in told
