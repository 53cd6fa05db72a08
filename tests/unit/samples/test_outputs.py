"""The samples look at their output before they draw."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from samples.make import app


@pytest.mark.parametrize(
    ("command", "name", "told"),
    [
        ("clip", "file/clip.mp4", "is not a folder"),
        ("joints", "file/joints", "is not a folder"),
        ("joints", "file", "is not a folder"),
        ("stills", "", "it is a folder"),
        ("joints", "", "exists already and is not empty"),
    ],
)
def test_an_output_that_cannot_be_written_is_told_before_any_work(tmp_path, command, name, told):
    """In words, and nothing is left behind."""
    (tmp_path / "file").touch()
    done = CliRunner().invoke(app, [command, "-o", str(tmp_path / name)])
    assert done.exit_code == 2
    assert told in " ".join(done.output.replace("│", " ").split())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_true_joints_are_a_whole_folder(tmp_path):
    """Files of the frames, and what the frames are."""
    done = CliRunner().invoke(app, ["joints", "-o", str(tmp_path / "joints"), "--frames", "3"])
    assert done.exit_code == 0
    assert len(list((tmp_path / "joints").iterdir())) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["joints"]


@pytest.mark.parametrize("place", [".", "link"])
def test_the_true_joints_are_written_into_any_folder(tmp_path, monkeypatch, place):
    """The one where the user is, and one behind a link."""
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    monkeypatch.chdir(tmp_path / "out" if place == "." else tmp_path)
    done = CliRunner().invoke(app, ["joints", "-o", place, "--frames", "3"])
    assert done.exit_code == 0
    assert len(list((tmp_path / "out").iterdir())) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]
