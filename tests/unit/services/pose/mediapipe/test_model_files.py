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
    """The error names the file, the release and the size."""
    with pytest.raises(BadSettings, match=r"pose_detection\.tflite.*missing.*mediapipe 0\.10\.21, 2959046 bytes"):
        models_folder(tmp_path)


def test_a_file_of_another_release_is_named(tmp_path):
    """The error names the file, its size and the expected one."""
    for file in ALL_FILES:
        path = tmp_path / file.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(file.size_bytes))
    assert models_folder(tmp_path) == tmp_path
    (tmp_path / model_files.HAND_RECROP.path).write_bytes(b"other")
    with pytest.raises(BadSettings, match=r"hand_recrop\.tflite.* 5 bytes.*expected .*123792 bytes"):
        models_folder(tmp_path)


def test_without_the_wheel_its_name_is_in_the_error(monkeypatch):
    """The error says what to install."""
    monkeypatch.setattr(model_files, "find_spec", lambda name: None)
    with pytest.raises(BadSettings, match=r"mediapipe 0\.10\.21, which is not installed"):
        models_folder()
