"""Folders that a training writes to are checked before anything else."""

from __future__ import annotations

import pytest

from client.__main__ import run
from serving.errors import BadInput
from training.process.work_folder import locked


@pytest.mark.parametrize("name", ["file/work", "w" * 256])
def test_a_work_folder_that_cannot_be_made_is_told(tmp_path, name):
    """The error names the option."""
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"--work: the folder .* cannot be written: "), locked(tmp_path / name):
        pass


def test_an_actors_folder_that_cannot_be_made_is_told_before_the_training(root, tmp_path, capsys):
    """It is needed only at the end, maybe hours later; the check reads no footage and creates no work folder."""
    (tmp_path / "file").touch()
    clip = str(root / "samples" / "source_clip.mp4")
    asked = ["train", clip, "--actor", "me", "--consent", "me", "--work", str(tmp_path / "work")]
    assert run([*asked, "--actors", str(tmp_path / "file")]) == 1
    assert "--actors: the folder" in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
