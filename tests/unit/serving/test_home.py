"""Users without an entry and without a home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from serving.home import provide_home

STRANGER = 12345678
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder for temporary files of these tests."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_stranger_gets_a_home_and_a_name(folder: Path):
    """A folder below that for temporary files, which others cannot take in advance."""
    environment: dict[str, str] = {}
    home = provide_home(environment, STRANGER)
    assert home is not None
    assert home.stat().st_mode & 0o777 == 0o700
    assert home.parent == folder
    assert environment == {"HOME": str(home), "LOGNAME": f"uid{STRANGER}"}


def test_what_is_there_is_left_alone(folder: Path):
    """A home that is set stays, also one that cannot be written; so does that of a user with an entry."""
    environment = {"HOME": "/nowhere", "USER": "me"}
    assert provide_home(environment, STRANGER) is None
    assert environment == {"HOME": "/nowhere", "USER": "me"}
    environment = {}
    assert provide_home(environment, 0) is None
    assert environment == {}
    assert list(folder.iterdir()) == []


def test_a_folder_of_somebody_else_is_not_taken(folder: Path):
    """A link that waits there may lead anywhere."""
    target = folder / "trap"
    target.mkdir()
    (folder / f"dance-home-{os.getuid() + STRANGER}").symlink_to(target)
    home = provide_home({}, os.getuid() + STRANGER)
    assert home is not None
    assert not home.is_symlink()
    assert list(target.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process as another uid")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
@pytest.mark.parametrize("module", ["services.face.refiner", "services.generator.servicer", "client.jobs_api"])
def test_processes_of_a_stranger_can_import_what_they_need(tmp_path: Path, module: str):
    """As a uid without an entry and without HOME, the home and the name that libraries ask for are there."""
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
