"""The sample commands check their output before they render."""

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
        ("joints", "", "already exists and is not empty"),
    ],
)
def test_an_output_that_cannot_be_written_is_reported_before_any_work(tmp_path, command, name, told):
    """The error explains why the output cannot be written, and no files are left."""
    (tmp_path / "file").touch()
    done = CliRunner().invoke(app, [command, "-o", str(tmp_path / name)])
    assert done.exit_code == 2
    assert told in " ".join(done.output.replace("│", " ").split())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_true_joints_are_a_whole_folder(tmp_path):
    """The folder has a file for each frame, and one that describes them."""
    done = CliRunner().invoke(app, ["joints", "-o", str(tmp_path / "joints"), "--frames", "3"])
    assert done.exit_code == 0
    assert len(list((tmp_path / "joints").iterdir())) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["joints"]


@pytest.mark.parametrize("place", [".", "link"])
def test_the_true_joints_are_written_into_any_folder(tmp_path, monkeypatch, place):
    """The output may be the current folder, or a link to a folder."""
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    monkeypatch.chdir(tmp_path / "out" if place == "." else tmp_path)
    done = CliRunner().invoke(app, ["joints", "-o", place, "--frames", "3"])
    assert done.exit_code == 0
    assert len(list((tmp_path / "out").iterdir())) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]
