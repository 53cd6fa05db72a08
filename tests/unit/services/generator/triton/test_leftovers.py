"""Leftovers of killed processes are recognised by their released locks; files of live processes are kept."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.generator.triton import leftovers
from services.generator.triton.leftovers import PrivateFolder, Regions, plain_folder, sweep
from serving.errors import BadSettings

TOKEN = "0123456789abcdef"

HERE = """
import sys
from pathlib import Path
from services.generator.triton import leftovers
temporary, shared = map(Path, sys.argv[1:])
leftovers.places = lambda: (temporary,)
leftovers.SHARED_MEMORY = shared
"""
MAKER = f"""{HERE}
folders = [leftovers.plain_folder(purpose).path for purpose in ("triton", "generator", "socket")]
(folders[1] / "repository").mkdir()
regions = leftovers.Regions()
(shared / (regions.prefix + "one")).write_bytes(b"a picture")
print("made", flush=True)
sys.stdin.read()
"""
SWEEPER = f"""{HERE}
print(*sorted(path.name for path in leftovers.sweep()), sep="\\n")
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A temporary folder and a shared memory of this test's own, instead of the machine's."""
    temporary, shared = tmp_path / "tmp", tmp_path / "shm"
    for folder in (temporary, shared):
        folder.mkdir()
    monkeypatch.setattr(leftovers, "places", lambda: (temporary, temporary))
    monkeypatch.setattr(leftovers, "SHARED_MEMORY", shared)
    return temporary, shared


@contextmanager
def maker(places: tuple[Path, Path], *within: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has made three folders and a region; `within` is the command that starts it."""
    command = [*within, sys.executable, "-c", MAKER, *map(str, places)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "made\n"
            yield process
        finally:
            process.kill()


def names_in(*folders: Path) -> list[str]:
    """Return the sorted names in these folders."""
    return sorted(path.name for folder in folders for path in folder.iterdir())


def another_pid_namespace() -> tuple[str, ...]:
    """A prefix that runs a command in its own process namespace, like a container; skips if that is not allowed."""
    command = ("unshare", "--pid", "--fork", "--kill-child")
    if os.geteuid() != 0 or subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can make a namespace of process ids, and not in every container")
    return command


@pytest.mark.parametrize("in_another_namespace", [False, True])
def test_what_a_killed_process_left_is_removed(places: tuple[Path, Path], in_another_namespace: bool):
    """Folders with their contents and regions with their locks are removed, but not while their process lives."""
    within = another_pid_namespace() if in_another_namespace else ()
    sweeper = [*within, sys.executable, "-c", SWEEPER, *map(str, places)]
    with maker(places) as process:
        made = names_in(*places)
        assert len(made) == 5
        assert subprocess.run(sweeper, capture_output=True, text=True, check=True).stdout.split() == []
        assert names_in(*places) == made
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert names_in(*places) == made
    assert subprocess.run(sweeper, capture_output=True, text=True, check=True).stdout.split() == made
    assert names_in(*places) == []


def test_what_lives_in_another_container_stays(places: tuple[Path, Path]):
    """Locks work between containers, although process ids differ."""
    with maker(places, *another_pid_namespace()) as process:
        made = names_in(*places)
        assert sweep() == []
        assert names_in(*places) == made
        assert process.stdin is not None
        process.stdin.close()  # it ends, without removing anything
        process.wait()
    assert sorted(path.name for path in sweep()) == made


def test_what_this_process_has_stays(places: tuple[Path, Path]):
    """This process's files stay until `remove`, which leaves nothing."""
    with plain_folder("socket") as folder, Regions() as regions:
        (folder / "file").touch()
        (places[1] / f"{regions.prefix}one").touch()
        made = names_in(*places)
        assert sweep() == []
        assert names_in(*places) == made
    assert names_in(*places) == []
    assert sweep() == []


def test_what_lost_its_lock_file_is_removed(places: tuple[Path, Path]):
    """A process may be killed before it makes the lock file, or while it removes the folder."""
    temporary, shared = places
    left = [temporary / f"dance-triton-{TOKEN}", shared / f"dance_{TOKEN}_one", shared / f"dance_{TOKEN}_two"]
    left[0].mkdir()
    left[1].touch()
    left[2].touch()
    assert set(left) <= set(sweep())
    assert names_in(*places) == []


@pytest.mark.parametrize(
    "name",
    [
        "dance-triton-9999999999-4026531836-x", "dance-triton-" + "9" * 200, f"dance-triton-{TOKEN}0", "dance-triton-",
        f"dance-logs-{TOKEN}", f"x-dance-triton-{TOKEN}", f"dance-triton-{TOKEN.upper()}", f"dance-triton-{TOKEN}\n",
        "dance_0123abcd", f"dance_{TOKEN}", f"dance_{TOKEN}_", "dance_fence_12_34_x", f"dance_{'9' * 200}_1", "other",
        "dance_" + "\N{ARABIC-INDIC DIGIT ONE}" * 16 + "_x",
    ],
)  # fmt: skip
def test_a_name_that_is_not_ours_stays_and_harms_nothing(places: tuple[Path, Path], name: str):
    """Any user can make such names in /tmp; the images' Triton uses `dance_` and arbitrary text for shared memory."""
    for place in places:
        (place / name).mkdir()
    assert sweep() == []
    assert names_in(*places) == [name, name]


def test_odd_things_with_our_names_harm_nothing(places: tuple[Path, Path]):
    """Links are not followed, files are not treated as folders, and one failed removal does not affect the next."""
    temporary, shared = places
    outside = temporary / "kept"
    outside.mkdir()
    (outside / "file").touch()
    (temporary / f"dance-triton-{TOKEN}").symlink_to(outside)
    (temporary / "dance-triton-00000000000000aa").touch()
    os.mkfifo(temporary / "dance-triton-00000000000000bb")
    (shared / "dance_00000000000000aa_x").mkdir()
    os.mkfifo(shared / "dance_00000000000000bb_lock")
    (shared / "dance_00000000000000cc_lock").symlink_to(outside / "file")
    odd = names_in(temporary)
    left = temporary / "dance-triton-ffffffffffffffff"
    left.mkdir()
    (left / "link").symlink_to(outside)
    last = shared / "dance_ffffffffffffffff_x"
    last.touch()
    assert {left, last} <= set(sweep())
    assert names_in(temporary) == odd
    assert names_in(outside) == ["file"]
    assert not last.exists()


def test_a_sweep_never_fails_a_start(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch):
    """`sweep` never raises: not for an unreadable folder, a missing temporary folder, or unexpected errors."""
    monkeypatch.setattr(leftovers, "places", lambda: (places[0] / "missing",))
    assert sweep() == []
    monkeypatch.undo()

    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert leftovers.places() == (Path("/tmp"), Path("/var/tmp"), leftovers.SHARED_MEMORY)

    def broken() -> tuple[Path, ...]:
        raise OverflowError("signed integer is greater than maximum")

    monkeypatch.setattr(leftovers, "places", broken)
    assert sweep() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_what_another_user_owns_stays(places: tuple[Path, Path]):
    """This holds even for root, and for a region whose lock file belongs to another user."""
    temporary, shared = places
    folder, region, lock = (
        temporary / f"dance-triton-{TOKEN}",
        shared / f"dance_{TOKEN}_x",
        shared / f"dance_{TOKEN}_lock",
    )
    folder.mkdir()
    region.touch()
    lock.touch()
    for path in (folder, region, lock):
        os.chown(path, 65534, 65534)
    assert sweep() == []
    assert names_in(*places) == sorted([folder.name, region.name, lock.name])
    assert names_in(folder) == []


def test_a_folder_that_a_sweep_takes_first_is_made_again(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch):
    """Another process may find the folder before it is locked, and remove it."""
    swept: list[Path] = []
    flock, mkdir = fcntl.flock, Path.mkdir

    def sweep_first(swept_at: int) -> None:
        if len(swept) < swept_at:
            swept.extend(sweep())

    def late_lock(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)  # the sweep's own
        sweep_first(1)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late_lock)
    with PrivateFolder("socket", places[0]) as folder:
        assert len(swept) == 1
        assert folder not in swept
        assert names_in(places[0]) == [folder.name]

    def late_mkdir(path: Path, mode: int = 0o777) -> None:
        mkdir(path, mode)
        sweep_first(2)

    monkeypatch.setattr(Path, "mkdir", late_mkdir)
    with PrivateFolder("socket", places[0]) as folder:
        assert len(swept) == 2
        assert folder not in swept
        assert sweep() == []
    monkeypatch.setattr(fcntl, "flock", late_lock)
    swept.clear()
    with Regions() as regions:
        assert len(swept) == 1
        assert names_in(places[1]) == [f"{regions.prefix}lock"]


def test_names_say_that_they_are_ours(places: tuple[Path, Path]):
    """Names are unique, only this user has access, and child processes do not inherit the lock."""
    temporary, shared = places
    with plain_folder("triton") as first, plain_folder("triton") as second, Regions() as regions, Regions() as others:
        assert first != second
        assert first.stat().st_mode & 0o777 == 0o700
        assert re.fullmatch(r"dance-triton-[0-9a-f]{16}", first.name)
        assert first.parent == temporary
        assert regions.prefix != others.prefix
        assert re.fullmatch(r"dance_[0-9a-f]{16}_", regions.prefix)
        lock = shared / f"{regions.prefix}lock"
        assert lock.stat().st_mode & 0o777 == 0o600
        held = [int(link.name) for link in Path("/proc/self/fd").iterdir() if link.resolve() == lock]
        assert [os.get_inheritable(descriptor) for descriptor in held] == [False]
        (shared / f"{regions.prefix}one").write_bytes(b"12345")
        (shared / f"{regions.prefix}two").touch()
        (shared / "another").touch()
        assert regions.sizes_bytes() == {f"{regions.prefix}one": 5, f"{regions.prefix}two": 0}
        regions.remove()
        regions.remove()  # once more does no harm
        assert names_in(shared) == ["another", f"{others.prefix}lock"]


@pytest.mark.parametrize("named", ["x" * 60, "spa ce", "Ünterlagen", "two\nlines"])
def test_a_folder_lies_where_its_path_can_be_used(tmp_path: Path, named: str):
    """If a parent's path is too long or not plain, the next one is used; the error lists all if none is suitable."""
    odd, plain = tmp_path / named, tmp_path / "p"
    odd.mkdir()
    plain.mkdir()
    most_bytes = len(f"{plain}/dance-socket-{TOKEN}")
    with plain_folder("socket", most_bytes, (odd, plain)) as folder:
        assert folder.parent == plain
        assert len(str(folder)) == most_bytes
        assert folder.stat().st_mode & 0o777 == 0o700
    assert names_in(odd, plain) == []
    with pytest.raises(BadSettings, match=r"(?s)TMPDIR.*plain path.*longer than.*Set TMPDIR"):
        plain_folder("socket", most_bytes - 1, (odd, plain))


def test_a_place_without_locks_is_skipped(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch):
    """Other processes could remove an unlocked folder, so it is removed again, and the error gives the reason."""

    def none(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(BadSettings, match="No locks available"):
        plain_folder("triton")
    assert names_in(*places) == []
    (places[0] / f"dance-triton-{TOKEN}").mkdir()
    assert sweep() == []
