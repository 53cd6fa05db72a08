"""`dance prepare` and `dance evaluate`, with the real work replaced."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from client.__main__ import run
from serving.actors.store import ActorStore
from tests.tiny_actors import publish_tiny


@pytest.fixture
def preparation(monkeypatch):
    """Replace the preparation; the list of its calls."""
    module = pytest.importorskip("training.preset_setup")
    refused = pytest.importorskip("training.preparation.prepare").FootageRefused
    seen = []

    def pretend(preset, footage, folder, on_progress, *, anyway, say):
        seen.append(SimpleNamespace(preset=preset.name, footage=footage, folder=folder, anyway=anyway))
        say("preparation needs about 1.0 GB")
        on_progress("looking for poses", 3, 10)
        if footage.most_frames_per_second == 1 and not anyway:
            raise refused("film.mp4 is not worth training on: camera: moved by 40.0 pixels")
        findings = [
            {"what": "sides", "measured": "front 1.0 s, left side not shown"},
            {"what": "light", "measured": "-"},
        ]
        return SimpleNamespace(report={"frames": 10, "frames_with_a_person": 9, "findings": findings})

    monkeypatch.setattr(module, "prepared_for", pretend)
    return seen


def test_preparation_is_told_what_was_asked(preparation, make_video, tmp_path, capsys):
    """Files, folders of poses, preset and work folder reach the preparation; its notes reach the user."""
    one, two = make_video("one.mp4"), make_video("two.mp4")
    poses = [tmp_path / "poses", tmp_path / "more"]
    for folder in poses:
        folder.mkdir()
    more = ["--keypoints", str(poses[0]), "--keypoints", str(poses[1]), "--frame-rate", "30", "--preset", "quick-256"]
    assert run(["prepare", str(one), str(two), "--work", str(tmp_path / "w"), *more]) == 0
    (asked,) = preparation
    assert (asked.footage.files, asked.footage.keypoints) == ((one, two), tuple(poses))
    assert (asked.preset, asked.footage.most_frames_per_second) == ("quick-256", 30)
    assert asked.folder == tmp_path / "w" / "footage"
    said = capsys.readouterr()
    assert "preparation needs about 1.0 GB" in said.err
    assert said.out.splitlines()[-2:] == [
        "prepared 10 frames, 9 with a person",
        "sides: front 1.0 s, left side not shown",
    ]


def test_footage_that_is_not_worth_it_is_an_error_unless_told_so(preparation, make_video, tmp_path, capsys):
    """The error is one line with exit code 1; --anyway prepares the footage."""
    command = ["prepare", str(make_video()), "--work", str(tmp_path / "w"), "--frame-rate", "1"]
    assert run(command) == 1
    assert "is not worth training on: camera: moved by 40.0 pixels" in capsys.readouterr().err
    assert run([*command, "--anyway"]) == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--preset", "huge"], "there is no preset 'huge'"),
        (["--keypoints", "nowhere"], "--keypoints: nowhere is neither a folder nor a .json list"),
        (["--frame-rate", "0"], "frame rate: must be positive"),
    ],
)
def test_preparation_that_makes_no_sense_is_refused(preparation, make_video, tmp_path, capsys, more, words):
    """Each error is one line that names what is wrong."""
    assert run(["prepare", str(make_video()), "--work", str(tmp_path / "w"), *more]) == 1
    assert words in capsys.readouterr().err
    assert preparation == []


@pytest.fixture
def actors(tmp_path):
    """A folder with one actor."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "kind")
    return ["--actors", str(store.root), "--work", str(tmp_path / "w"), "--out", str(tmp_path / "out")]


@pytest.fixture
def evaluated(monkeypatch):
    """Replace the evaluation; the list of the requested footage."""
    heldout = pytest.importorskip("training.evaluation.self_reconstruction")
    keypoints = pytest.importorskip("training.evaluation.keypoints")
    rows = pytest.importorskip("training.evaluation.score_rows")
    part = keypoints.PartScore(1.5, 0.25, 8, 10, 4)
    row = rows.EvaluationRow(
        drawn_by="the actor", frames=8, pictures=None, body_lpips=None, face_lpips=None,
        parts=dict.fromkeys(keypoints.PARTS, part), frames_with_a_pose=8, pose_distance=0.1, flicker_levels=2.0,
    )  # fmt: skip
    picture = np.zeros((32, 32, 3), np.uint8)
    evaluation = heldout.Evaluation(title="kind version 1", rows=[row], picture_size=(32, 32), shown=[[picture] * 3])
    asked = []
    monkeypatch.setattr(heldout, "footage_of", lambda actor, footage, *_: asked.append(footage))
    monkeypatch.setattr(heldout, "evaluate_held_out", lambda *_: evaluation)
    return asked


def test_evaluation_shows_tables_and_what_is_not_available(actors, evaluated, make_video, tmp_path, capsys):
    """The tables, and the reason for a missing number, are on the screen and in files."""
    assert run(["evaluate", "kind", *actors, "--footage", str(make_video())]) == 0
    assert [path.name for path in evaluated[0].files] == ["clip.mp4"]
    said = capsys.readouterr()
    assert "Pose distance in pixels of 32x32" in said.out
    assert "1.50" in said.out
    assert "LPIPS is not available: AlexNet's weights are missing" in said.err
    assert f"wrote {tmp_path / 'out' / 'held-out.csv'}" in said.out
    table = tmp_path / "out" / "held-out.md"
    assert "LPIPS is not available" in table.read_text()
    table.write_text("kept")
    again = ["evaluate", "kind", *actors, "--footage", str(make_video())]
    assert run(again) == 1
    assert "held-out.csv exists already; --force overwrites it" in " ".join(capsys.readouterr().err.split())
    assert table.read_text() == "kept"
    assert len(evaluated) == 1
    assert run([*again, "--force"]) == 0
    assert table.read_text() != "kept"


@pytest.mark.parametrize("place", [".", "link"])
def test_an_evaluation_is_written_into_any_folder(actors, evaluated, make_video, tmp_path, monkeypatch, place):
    """The current folder works, and so does a link to a folder."""
    (tmp_path / "measured").mkdir()
    (tmp_path / "link").symlink_to("measured")
    monkeypatch.chdir(tmp_path / "measured" if place == "." else tmp_path)
    assert run(["evaluate", "kind", *actors[:-1], place, "--footage", str(make_video())]) == 0
    assert len(list((tmp_path / "measured").iterdir())) == 5


def test_an_evaluation_that_cannot_be_written_is_shown(actors, evaluated, make_video, tmp_path, capsys, monkeypatch):
    """If the disk fills up meanwhile, the measurement is still shown; an output that is a file is refused early."""

    def full(*given):
        raise OSError(28, "No space left on device")

    command = ["evaluate", "kind", *actors, "--footage", str(make_video())]
    with monkeypatch.context() as patched:
        patched.setattr("training.evaluation.tables.write_evaluation", full)
        assert run(command) == 1
    said = capsys.readouterr()
    assert "Pose distance in pixels of 32x32" in said.out
    assert "out cannot be written: No space left on device" in " ".join(said.err.split())
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").symlink_to("out")
    assert run(command) == 1
    assert "is not a folder" in " ".join(capsys.readouterr().err.split())
    assert len(evaluated) == 1


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ([], 1, "the footage of kind's training is not prepared in"),
        (["--actor-version", "7"], 1, "has no version 7"),
        (["--source", "clip.mp4"], 2, "--source and --truth belong together"),
        (["--lpips-weights", "none.pth"], 1, "--lpips-weights: none.pth cannot be read"),
    ],
)
def test_evaluation_that_makes_no_sense_is_refused(actors, capsys, more, code, words):
    """Each error is one line that says what to give."""
    assert run(["evaluate", "kind", *actors, *more]) == code
    assert words in capsys.readouterr().err
