"""Whether MediaPipe's wheel is installed, or only the files of its networks."""

from __future__ import annotations

import shutil
from importlib.machinery import PathFinder

import pytest

from motion.pose_choice import PoseBackend
from services.pose.backends import Backends
from services.pose.mediapipe import model_files
from services.pose.mediapipe.model_files import ALL_FILES, models_folder
from services.pose.mediapipe_solution import wheel

OURS, SOLUTION = PoseBackend.MEDIAPIPE, PoseBackend.MEDIAPIPE_SOLUTION


INSTALLED = models_folder()
"""The wheel's networks, found before a test narrows the search."""


@pytest.fixture
def site_packages(tmp_path, monkeypatch):
    """An empty folder, the only one in which MediaPipe is searched."""

    def found(name: str):
        return PathFinder.find_spec(name, [str(tmp_path)])

    monkeypatch.setattr(wheel, "find_spec", found)
    monkeypatch.setattr(model_files, "find_spec", found)
    return tmp_path


def test_with_the_wheel_both_backends_are_served():
    """The wheel has the networks and the code, so neither backend lacks anything."""
    assert wheel.is_installed()
    assert [Backends().lacks(backend) for backend in (OURS, SOLUTION)] == ["", ""]


def test_the_networks_alone_are_enough_for_the_engine(site_packages):
    """With nothing but the networks' files, as in an image, `mediapipe` is served and `mediapipe-solution` is not."""
    modules = site_packages / "mediapipe" / "modules"
    for file in ALL_FILES:
        (modules / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(INSTALLED / file.path, modules / file.path)
    assert models_folder() == modules
    assert Backends().lacks(OURS) == ""
    assert not Backends().serves(SOLUTION)
    assert "pip install -e '.[solution]'" in Backends().lacks(SOLUTION)


def test_without_any_of_it_neither_is_served(site_packages):
    """Each backend says what it lacks."""
    assert not wheel.is_installed()
    assert "its network files are not installed; install them with: pip install" in Backends().lacks(OURS)
    assert "wheel of mediapipe 0.10.21 is not installed" in Backends().lacks(SOLUTION)
