"""What killed processes leave is found by its name; what others have stays."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from services.generator import leftovers
from services.generator.leftovers import (
    private_folder,
    region_prefix,
    regions,
    remove_regions,
    socket_folder,
    sweep,
)
from serving.errors import BadSettings

SPACE = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A temporary folder and a shared memory for this test alone."""
    temporary, shared = tmp_path / "tmp", tmp_path / "shm"
    for folder in (temporary, shared):
        folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(leftovers, "SHARED_MEMORY", shared)
    return temporary, shared


@pytest.fixture
def dead_pid() -> int:
    """Of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_what_the_dead_left_is_removed(places: tuple[Path, Path], dead_pid: int):
    """Folders with all that is in them, and regions."""
    temporary, shared = places
    left = [temporary / f"dance-{kind}-{dead_pid}-{SPACE}-x" for kind in ("triton", "generator", "socket")]
    for folder in left:
        (folder / "repository").mkdir(parents=True)
        (folder / "repository" / "model.py").touch()
    left.append(shared / f"dance_{dead_pid}_{SPACE}_0123abcd_5e6f")
    left[-1].write_bytes(b"a picture")
    assert sorted(sweep()) == sorted(left)
    assert not list(temporary.iterdir())
    assert not list(shared.iterdir())
    assert sweep() == []


def test_everything_else_stays(places: tuple[Path, Path], dead_pid: int, monkeypatch: pytest.MonkeyPatch):
    """What lives, what is another container's, what is not named as ours, and a link in place of a folder's content."""
    temporary, shared = places
    names = [
        f"dance-triton-{os.getpid()}-{SPACE}-x",
        f"dance-triton-{dead_pid}-{SPACE + 1}-x",
        f"dance-logs-{dead_pid}-{SPACE}-x",
        "dance-triton-abcdefgh",
        f"x-dance-triton-{dead_pid}-{SPACE}-x",
    ]
    for name in names:
        (temporary / name).mkdir()
    kept_regions = [
        f"dance_{os.getpid()}_{SPACE}_0123abcd_1",
        f"dance_{dead_pid}_{SPACE + 1}_0123abcd_1",
        f"dance_{dead_pid}_0123abcd_1",
        "dance_0123abcd",
        "other",
    ]
    for name in kept_regions:
        (shared / name).touch()
    assert sweep() == []
    outside = temporary / "kept"
    outside.mkdir()
    (outside / "file").touch()
    left = temporary / f"dance-triton-{dead_pid}-{SPACE}-x"
    left.mkdir()
    (left / "link").symlink_to(outside)
    assert sweep() == [left]
    assert (outside / "file").exists()
    others = shared / f"dance_{dead_pid}_{SPACE}_0123abcd_1"
    others.touch()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)  # then all of it is somebody else's
    assert sweep() == []
    assert others.exists()


def test_names_say_whose_they_are(places: tuple[Path, Path]):
    """So that `sweep` of another process knows them; no name comes twice."""
    temporary, shared = places
    with private_folder("triton") as first, private_folder("triton") as second:
        assert first != second
        assert Path(first).stat().st_mode & 0o777 == 0o700
        assert re.fullmatch(rf"dance-triton-{os.getpid()}-{SPACE}-\w+", Path(first).name)
        assert Path(first).parent == temporary
    prefix = region_prefix()
    assert prefix != region_prefix()
    (shared / f"{prefix}one").write_bytes(b"12345")
    (shared / f"{prefix}two").touch()
    (shared / "another").touch()
    assert regions(prefix) == {f"{prefix}one": 5, f"{prefix}two": 0}
    remove_regions(prefix)
    assert [path.name for path in shared.iterdir()] == ["another"]


@pytest.mark.parametrize("named", ["x" * 100, "spa ce", "Ünterlagen"])
def test_a_socket_lies_where_its_path_can_be_one(
    places: tuple[Path, Path], named: str, monkeypatch: pytest.MonkeyPatch
):
    """Where TMPDIR has a path that no socket can have, beside it; what was tried first is gone."""
    temporary, _ = places
    odd = temporary / named
    odd.mkdir()
    monkeypatch.setenv("TMPDIR", str(odd))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with socket_folder() as folder:
        assert Path(folder).parent == Path("/tmp")
        assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert not list(odd.iterdir())
    monkeypatch.setattr(leftovers, "_LONGEST_FOLDER_BYTES", 5)
    with pytest.raises(BadSettings, match=r"TMPDIR.*short ASCII path"):
        socket_folder()
