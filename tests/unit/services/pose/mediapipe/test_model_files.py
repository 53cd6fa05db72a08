"""The files of MediaPipe's networks are checked before they are used."""

from __future__ import annotations

import pytest

from services.pose.mediapipe import model_files
from services.pose.mediapipe.model_files import ALL_FILES, models_folder
from serving.errors import BadSettings


def test_the_wheel_has_all_files():
    """The installed wheel has every network in the size that is expected."""
    folder = models_folder()
    assert all((folder / file.path).stat().st_size == file.size_bytes for file in ALL_FILES)


def test_a_missing_file_is_named(tmp_path):
    """The error names the file, and the command that brings it back although pip has the wheel already."""
    cure = r"pip install --no-deps --force-reinstall mediapipe==0\.10\.21"
    with pytest.raises(BadSettings, match=rf"network file .*pose_detection\.tflite is missing; .*{cure}$"):
        models_folder(tmp_path)


def test_a_file_of_another_release_is_named(tmp_path):
    """The error names the file, its size, the expected one, and what to run."""
    for file in ALL_FILES:
        path = tmp_path / file.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(file.size_bytes))
    assert models_folder(tmp_path) == tmp_path
    (tmp_path / model_files.HAND_RECROP.path).write_bytes(b"other")
    with pytest.raises(BadSettings, match=r"hand_recrop\.tflite has 5 bytes, not the 123792 of .*; .*force-reinstall"):
        models_folder(tmp_path)


def test_without_the_wheel_its_name_is_in_the_error(monkeypatch):
    """The error is the command that installs them."""
    monkeypatch.setattr(model_files, "find_spec", lambda name: None)
    with pytest.raises(
        BadSettings, match=r"not installed; install them with: pip install --no-deps mediapipe==0\.10\.21$"
    ):
        models_folder()
