"""Removals while other processes finish removals too."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from serving.actors.removals import Removals


def test_what_others_delete_meanwhile_keeps_nothing_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each entry goes in one step, so there is nothing that they could delete before it."""
    entries = [tmp_path / "anna", tmp_path / "serving.json"]
    entries[0].mkdir()
    entries[1].touch()
    rename = Path.rename

    def after_others(path: Path, target: Path) -> Path:
        Removals(tmp_path).finish()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", after_others)
    Removals(tmp_path).bury([*entries, tmp_path / "missing"])
    assert list(tmp_path.iterdir()) == []


def test_two_processes_may_delete_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What one of them has deleted is not missed by the other."""
    (tmp_path / "anna" / "1").mkdir(parents=True)
    rmtree = shutil.rmtree

    def after_another(path: Path, **options: Any) -> None:
        monkeypatch.undo()
        rmtree(path / "1")
        raise FileNotFoundError(path / "1")

    monkeypatch.setattr(shutil, "rmtree", after_another)
    Removals(tmp_path).bury([tmp_path / "anna"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_still_in_its_place_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It must not pass for deleted."""
    (tmp_path / "anna").mkdir()

    def lost(path: Path, target: Path) -> Path:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "rename", lost)
    with pytest.raises(OSError, match="was written again while it was deleted"):
        Removals(tmp_path).bury([tmp_path / "anna"])
