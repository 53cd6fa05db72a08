"""`dance evaluate-pose` with both of MediaPipe's backends."""

from __future__ import annotations

from client.__main__ import run
from services.pose.mediapipe import model_files
from services.pose.mediapipe_solution import wheel


def test_without_the_wheel_its_backend_is_refused(root, monkeypatch, capsys):
    """The error names the backend and what to install."""
    monkeypatch.setattr(wheel, "is_installed", lambda: False)
    clip = str(root / "samples" / "source_clip.mp4")
    assert run(["evaluate-pose", clip, "--backends", "mediapipe,mediapipe-solution"]) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert "the pose backend mediapipe-solution cannot run here: the wheel of mediapipe 0.10.21" in message
    assert "pip install -e '.[solution]'" in message


def test_without_the_network_files_the_backend_is_named_once(root, monkeypatch, capsys):
    """The rest of the line is what is missing, and the command that installs it."""
    monkeypatch.setattr(model_files, "find_spec", lambda name: None)
    clip = str(root / "samples" / "source_clip.mp4")
    assert run(["evaluate-pose", clip, "--backends", "mediapipe"]) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert "the pose backend mediapipe cannot run here: its network files are not installed; install them" in message
    assert "pip install --no-deps mediapipe==0.10.21" in message
