"""Held-out frames: a stopped job ends between two of them, and a preview shows some of them."""

import numpy as np
import pytest

from motion.frame import Picture
from training.data.split import split_footage
from training.evaluation.held_out_frames import HeldOut, preview_sheet


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
