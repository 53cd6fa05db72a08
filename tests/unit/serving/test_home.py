"""Users without an entry and without a home."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from serving.home import provide_home

STRANGER = 12345678


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
