"""Held-out frames: a stopped job ends between two of them, and a preview shows some of them."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from motion.frame import Picture
from training.data.split import split_footage
from training.evaluation.held_out_frames import HeldOut, allowed_for_scores, preview_sheet


class Stopped(Exception):
    """The job was asked to stop."""


@pytest.mark.parametrize("work", ["drawn", "refined", "scores", "pose_scores", "baselines"])
def test_a_stop_is_heard_between_two_frames(prepared, tiny, fake_estimator, work):
    """After a stop was requested no second frame is started, whatever is done with the frames."""
    begun: list[int] = []

    def check():
        if begun:
            raise Stopped
        begun.append(1)

    held_out = HeldOut(prepared, split_footage([True] * len(prepared)), tiny, check)
    assert len(held_out.frames) == 2
    real: list[list[Picture]] = [[prepared.pictures[frame] for frame in run] for run in held_out.runs]
    works = {
        "drawn": lambda: held_out.drawn(lambda label, previous: previous),
        "refined": lambda: held_out.refined(lambda label, drawn: drawn, real),
        "scores": lambda: held_out.scores(real),
        "pose_scores": lambda: held_out.pose_scores(real),
        "baselines": lambda: held_out.baselines,
    }
    with pytest.raises(Stopped):
        works[work]()
    if work == "pose_scores":
        assert fake_estimator.looked == 1


def test_preview_has_one_column_per_frame():
    """Each frame is a column of three pictures, with a caption above all columns."""
    picture = np.zeros((32, 40, 3), np.uint8)
    sheet = preview_sheet("1 minute", [[picture] * 3] * 2)
    assert sheet.shape[1:] == (80, 3)
    assert sheet.shape[0] > 96
    with pytest.raises(ValueError, match="at least one frame"):
        preview_sheet("", [])


def test_scores_never_copy_the_frames_they_are_compared_with():
    """Key frames within half a second of a frame, held-out ones and those in the gaps do not serve as its reference."""
    wardrobe: Any = SimpleNamespace(frames=np.arange(0, 60, 2))
    before, after = allowed_for_scores(wardrobe, [10, 40], [range(10, 14), range(40, 44)], frame_rate_hz=24.0) or []
    assert wardrobe.frames[before].tolist() == [24, 26, 28, 30, 32, 34, 36, 48, 50, 52, 54, 56, 58]
    assert wardrobe.frames[after].tolist() == [0, 2, 4, 6, 18, 20, 22, 24, 26, 54, 56, 58]
    assert allowed_for_scores(None, [10], [range(10, 14)], 24.0) is None


def test_quality_has_all_that_the_gate_compares(prepared, tiny, fake_estimator, monkeypatch):
    """One call measures sharpness, likeness, poses, flicker and the poses that the footage lacks, by name."""
    held_out = HeldOut(prepared, split_footage([True] * len(prepared)), tiny)
    real: list[list[Picture]] = [[prepared.pictures[frame] for frame in run] for run in held_out.runs]
    monkeypatch.setattr("training.evaluation.unseen_poses.scores.mediapipe_estimator", fake_estimator)
    quality = held_out.quality(real, held_out.posing(lambda label, previous: prepared.pictures[0]))
    assert quality["held_out"]["sharpness"] == pytest.approx(1)
    assert quality["flicker"]["ratio"] is None or quality["flicker"]["ratio"] == pytest.approx(1)
    assert quality["pose_distance"]["face_missed"] == 0
    assert set(held_out.baselines["film"]) == {"inner_gradient", "head_elsewhere"}
    assert quality["unseen_poses"] is None or quality["unseen_poses"]["poses"] == len(held_out.unseen)
