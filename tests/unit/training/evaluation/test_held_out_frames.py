"""Held-out frames: a job that is asked to stop ends between two of them."""

import pytest

from motion.frame import Picture
from training.data.split import split_footage
from training.evaluation.held_out_frames import HeldOut


class Stopped(Exception):
    """Somebody asked."""


@pytest.mark.parametrize("work", ["drawn", "refined", "scores", "pose_scores", "baselines"])
def test_a_stop_is_heard_between_two_frames(prepared, tiny, fake_estimator, work):
    """Whatever is done with the held-out frames, no second one is begun once somebody asked."""
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
        "baselines": held_out.baselines,
    }
    with pytest.raises(Stopped):
        works[work]()
    if work == "pose_scores":
        assert fake_estimator.looked == 1
