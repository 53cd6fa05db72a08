"""Users without an entry and without a home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from serving.process import home
from serving.process.home import provide_home

STRANGER = 12345678
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give these tests a folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def own_uid(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return this user's uid, as if the host did not know it, so that the folders made here belong to this user."""
    monkeypatch.setattr(home, "_known", lambda uid: False)
    return os.getuid()


def test_a_stranger_gets_a_home_and_a_name(folder: Path, own_uid: int):
    """The home is a folder in the one for temporary files, not readable by others."""
    environment: dict[str, str] = {}
    assert provide_home(environment, own_uid) == folder / f"dance-home-{own_uid}"
    assert (folder / f"dance-home-{own_uid}").stat().st_mode & 0o777 == 0o700
    assert environment == {"HOME": str(folder / f"dance-home-{own_uid}"), "LOGNAME": f"uid{own_uid}"}


def test_a_home_stays_the_same(folder: Path, own_uid: int):
    """The next process finds the files that libraries stored there."""
    first = provide_home({}, own_uid)
    assert first is not None
    (first / "kept").touch()
    assert provide_home({}, own_uid) == first
    assert list(folder.iterdir()) == [first]
    assert (first / "kept").exists()


def test_what_is_there_is_left_alone(folder: Path):
    """A HOME that is set stays, even if it is not writable; so does that of a user with an entry."""
    environment = {"HOME": "/nowhere", "USER": "me"}
    assert provide_home(environment, STRANGER) is None
    assert environment == {"HOME": "/nowhere", "USER": "me"}
    environment = {}
    assert provide_home(environment, 0) is None
    assert environment == {}
    assert list(folder.iterdir()) == []


def test_a_link_is_not_taken(folder: Path, own_uid: int):
    """A link is not used: another user may have made it, even if it leads to a folder of our own."""
    target = folder / "trap"
    target.mkdir()
    waiting = folder / f"dance-home-{own_uid}"
    waiting.symlink_to(target)
    given = provide_home({}, own_uid)
    assert given is not None
    assert given not in (waiting, target)
    assert not given.is_symlink()
    assert given.parent == folder


def test_a_folder_of_another_user_is_not_used(folder: Path):
    """A folder of another user is not used: that user would control what libraries store there."""
    waiting = folder / f"dance-home-{STRANGER}"
    waiting.mkdir()
    given = provide_home({}, STRANGER)
    assert given is not None
    assert given != waiting
    assert given.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process as another uid")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
@pytest.mark.parametrize(
    "module", ["services.face.refiner", "services.generator.servicer", "client.cluster.kubernetes_api"]
)
def test_processes_of_a_stranger_can_import_what_they_need(tmp_path: Path, module: str):
    """For a uid without an entry and without HOME, libraries find a home and a user name."""
    tmp_path.chmod(0o777)
    # The capability lets the stranger read this Python, wherever its installer put it.
    caps = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    stranger = ["setpriv", "--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups", *caps]
    words = f"import getpass, pathlib, {module}; print(getpass.getuser(), pathlib.Path.home())"
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*stranger, sys.executable, "-c", words]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == [f"uid{STRANGER}", str(tmp_path / f"dance-home-{STRANGER}")]
