"""What is written is whole or not there, under every name that may be written, and what cannot be is known at once."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from serving.whole import folder_written_whole, hidden_beside, why_unwritable, written_whole

LONGEST = ["a" * 251 + ".mp4", "ü" * 125 + ".json", "日" * 85, "x." + "y" * 253]


@pytest.mark.parametrize("name", LONGEST)
def test_every_possible_name_is_written(tmp_path, name):
    """Names of 255 bytes too, also in letters of two and three bytes."""
    with written_whole(tmp_path / name) as partial:
        partial.write_text("whole")
    with folder_written_whole(tmp_path / "folders" / name) as folder:
        (folder / "file").write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "folders"])
    assert (tmp_path / "folders" / name / "file").read_text() == "whole"


def test_hidden_names_keep_the_suffix_and_differ():
    """Encoders choose by the suffix."""
    one, other = (hidden_beside(Path("a" * 250 + f"{n}.mp4")) for n in (1, 2))
    assert one != other
    assert one.suffix == other.suffix == ".mp4"
    assert hidden_beside(Path("out/clip.mkv")).name.startswith(".clip.")


def test_what_breaks_off_leaves_what_was_there(tmp_path):
    """Files and folders alike; what is beside stays."""
    (tmp_path / "file").write_text("before")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("before")
    with pytest.raises(OSError, match="full"), written_whole(tmp_path / "file") as partial:  # noqa: PT012
        partial.write_text("half")
        raise OSError("full")
    with pytest.raises(OSError, match="full"), folder_written_whole(tmp_path / "folder") as folder:  # noqa: PT012
        (folder / "a").write_text("half")
        raise OSError("full")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "a").read_text() == "before"


def test_files_take_their_place_in_a_folder_that_is_there(tmp_path):
    """Other files in it stay."""
    (tmp_path / "folder").mkdir()
    for name in ("a", "other"):
        (tmp_path / "folder" / name).write_text("before")
    with folder_written_whole(tmp_path / "folder", last="a") as folder:
        for name in ("a", "b"):
            (folder / name).write_text("new")
    assert {path.name: path.read_text() for path in (tmp_path / "folder").iterdir()} == {
        "a": "new", "b": "new", "other": "before",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("file/below.mp4", "file is no folder"),
        ("file/new/below.mp4", "is no folder"),
        ("b" * 256, "the name has 256 bytes, at most 255 are possible there"),
        ("ü" * 128, "the name has 256 bytes"),
        ("new/" + "b" * 256 + "/c", "the name has 256 bytes"),
        ("/proc/nothing.mp4", "No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_known_before(tmp_path, name, told):
    """A file in place of a folder, a name that is too long, a file system that takes none; nothing is left behind."""
    (tmp_path / "file").touch()
    reason = why_unwritable(tmp_path / name)
    assert reason is not None
    assert told in reason
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_too_little_room_is_known_before(tmp_path):
    """By what is needed at least."""
    assert why_unwritable(tmp_path / "new" / "file", 1000) is None
    reason = why_unwritable(tmp_path / "new" / "file", 10**18)
    assert reason is not None
    assert reason.startswith("about 1e+09 GB are needed")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_nothing_is_known_before(tmp_path):
    """It is tried for real: in a process that may write no byte."""
    program = (
        "import signal, sys, pathlib; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from serving.whole import why_unwritable; print(why_unwritable(pathlib.Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "out.mp4")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == "File too large"
    assert list(tmp_path.iterdir()) == []
