"""Writes are atomic under every valid name, and a path that cannot be written is detected at once."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serving.process.atomic_files import (
    folder_written_whole,
    hidden_beside,
    read_picture,
    why_unwritable,
    write_picture,
    written_whole,
)

LONGEST = ["a" * 251 + ".mp4", "ü" * 125 + ".json", "日" * 85, "x." + "y" * 253]


@pytest.mark.parametrize("name", LONGEST)
def test_every_possible_name_is_written(tmp_path, name):
    """Names of up to 255 bytes work, also with letters of two and three bytes."""
    with written_whole(tmp_path / name) as partial:
        partial.write_text("whole")
    with folder_written_whole(tmp_path / "folders" / name) as folder:
        (folder / "file").write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "folders"])
    assert (tmp_path / "folders" / name / "file").read_text() == "whole"


def test_hidden_names_keep_the_suffix_and_differ():
    """The hidden name keeps the suffix, by which encoders choose the format."""
    one, other = (hidden_beside(Path("a" * 250 + f"{n}.mp4")) for n in (1, 2))
    assert one != other
    assert one.suffix == other.suffix == ".mp4"
    assert hidden_beside(Path("out/clip.mkv")).name.startswith(".clip.")


def test_what_breaks_off_leaves_what_was_there(tmp_path):
    """A write that fails leaves no file or folder, and everything beside it stays."""
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
    """Other files in the folder stay."""
    (tmp_path / "folder").mkdir()
    for name in ("a", "other"):
        (tmp_path / "folder" / name).write_text("before")
    with folder_written_whole(tmp_path / "folder", last="a") as folder:
        for name in ("a", "b"):
            (folder / name).write_text("new")
    assert {path.name: path.read_text() for path in (tmp_path / "folder").iterdir()} == {
        "a": "new", "b": "new", "other": "before",
    }  # fmt: skip


@pytest.fixture
def sealed(tmp_path, monkeypatch):
    """Make the parent take no new names. Root ignores modes, so mkdir and rename are patched to fail."""
    inside = tmp_path / "parent" / "inside"
    inside.mkdir(parents=True)
    make, rename = os.mkdir, os.replace

    def checked_mkdir(path, *more):
        if Path(path).parent == inside.parent:
            raise PermissionError(13, "Permission denied", str(path))
        make(path, *more)

    def checked_replace(one, other):
        if inside.parent in (Path(one).parent, Path(other).parent):
            raise PermissionError(13, "Permission denied", str(other))
        rename(one, other)

    monkeypatch.setattr(os, "mkdir", checked_mkdir)
    monkeypatch.setattr(os, "replace", checked_replace)
    return inside


def fill(folder: Path) -> None:
    """Check the folder as commands do, then write two files."""
    assert why_unwritable(folder, is_folder=True) is None
    with folder_written_whole(folder, last="a") as partial:
        for name in ("a", "b"):
            (partial / name).write_text("new")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("place", [".", "empty", "link", "chain", "new/../empty", "link_to_new"])
def test_a_folder_is_written_by_whatever_name_it_has(tmp_path, monkeypatch, place):
    """A folder can be given as a dot, a link, a link to a link, or a link to a missing folder; the links stay."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "chain").symlink_to("link")
    (tmp_path / "link_to_new").symlink_to("later")
    before = names_in(tmp_path)
    inode = (tmp_path / "empty").stat().st_ino
    monkeypatch.chdir(tmp_path / "empty" if place == "." else tmp_path)
    fill(Path(place))
    written = tmp_path / ("later" if place == "link_to_new" else "empty")
    assert names_in(written) == ["a", "b"]
    assert names_in(tmp_path) == sorted({*before, written.name})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "empty").stat().st_ino == inode


def test_a_folder_is_written_in_a_parent_that_cannot_be(sealed):
    """Only the folder itself must be writable; a failure leaves it unchanged."""
    with pytest.raises(OSError, match="full"), folder_written_whole(sealed) as partial:  # noqa: PT012
        (partial / "a").write_text("half")
        raise OSError("full")
    assert names_in(sealed) == []
    fill(sealed)
    assert names_in(sealed) == ["a", "b"]


def in_a_mount(folder: Path, script: str, *arguments: str) -> str:
    """Return the output of a shell script that sees another disk mounted at `folder`."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root mounts, and with unshare")
    folder.mkdir()
    mounting = ["unshare", "--mount", "sh", "-c"]
    tried = subprocess.run(
        [*mounting, 'mount -t tmpfs none "$0"', str(folder)], capture_output=True, timeout=60, check=False
    )
    if tried.returncode != 0:
        pytest.skip("this container may not mount")
    full = f'mount -t tmpfs none "$0" && cd "$0" && {script}'
    done = subprocess.run(
        [*mounting, full, str(folder), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("before", ["", "other", "a other"])
def test_a_mount_is_written(tmp_path, root, before):
    """A mount works whether it is empty, as `docker run -v` makes it, or holds files."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from tests.unit.serving.process.test_atomic_files import fill; fill(Path(sys.argv[1]))"
    )
    script = f'for name in {before}; do touch $name; done; "$1" -c "$2" "$0" "$3" && ls -A'
    printed = in_a_mount(tmp_path / "out", script, sys.executable, program, str(root))
    assert printed.split() == sorted({"a", "b", *before.split()})


def test_a_move_that_fails_leaves_the_old_files(tmp_path, monkeypatch):
    """After a failure each file is wholly old or wholly new; no name is added, and the last file is old."""
    folder, move = tmp_path / "folder", Path.replace
    folder.mkdir()
    for name in ("a", "c", "kept"):
        (folder / name).write_text("old")

    def fails_at_c(path, to):
        if to.name == "c":
            raise OSError(28, "No space left on device")
        return move(path, to)

    monkeypatch.setattr(Path, "replace", fails_at_c)
    with pytest.raises(OSError, match="No space"), folder_written_whole(folder, last="a") as partial:  # noqa: PT012
        for name in ("a", "b", "c"):
            (partial / name).write_text("new")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "a": "old", "c": "old", "kept": "old",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["file", "circle", "link_to_file"])
def test_what_is_not_a_folder_is_known_before(tmp_path, name):
    """A file, a link to one, and a link to itself are refused; nothing is left behind."""
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "link_to_file").symlink_to("file")
    reason = why_unwritable(tmp_path / name, is_folder=True)
    assert reason is not None
    assert reason.endswith("is not a folder")
    assert names_in(tmp_path) == ["circle", "file", "link_to_file"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("file/below.mp4", "file is not a folder"),
        ("file/new/below.mp4", "is not a folder"),
        ("b" * 256, "the name has 256 bytes, at most 255 are possible there"),
        ("ü" * 128, "the name has 256 bytes"),
        ("new/" + "b" * 256 + "/c", "the name has 256 bytes"),
        ("/proc/nothing.mp4", "No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_known_before(tmp_path, name, told):
    """A file in place of a folder, an overlong name and a read-only file system are refused; nothing is left behind."""
    (tmp_path / "file").touch()
    reason = why_unwritable(tmp_path / name)
    assert reason is not None
    assert told in reason
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_too_little_room_is_known_before(tmp_path):
    """A disk with less free space than required is reported."""
    assert why_unwritable(tmp_path / "new" / "file", 1000) is None
    reason = why_unwritable(tmp_path / "new" / "file", 10**18)
    assert reason is not None
    assert reason.startswith("about 1e+09 GB are needed")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_nothing_is_known_before(tmp_path):
    """The check really writes: it fails in a process that may write no byte."""
    program = (
        "import signal, sys, pathlib; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from serving.process.atomic_files import why_unwritable; print(why_unwritable(pathlib.Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "out.mp4")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == "File too large"
    assert list(tmp_path.iterdir()) == []


def test_pictures_survive_being_written(tmp_path):
    """RGB comes back as RGB; a missing picture is an error."""
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_picture(tmp_path / "new" / "picture.png", picture)
    np.testing.assert_array_equal(read_picture(tmp_path / "new" / "picture.png"), picture)
    with pytest.raises(OSError, match="missing"):
        read_picture(tmp_path / "missing.png")
