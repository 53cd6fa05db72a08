from dataclasses import replace

import pytest

from benchmarks.slim_preset import slim_256
from training.loop.budgets import Budgets
from training.loop.trainer import Budget
from training.presets import paper_1024, quick_256


def test_minutes_are_shared_by_body_and_face():
    """The body gets 85 % of the minutes and the face 15 %; without a face network the body gets all."""
    budgets = Budgets(slim_256(), 20, None, coarse=False)
    assert budgets.of_body(100).seconds == pytest.approx(20 * 60 * 0.85)
    assert budgets.of_face(100).seconds == pytest.approx(20 * 60 * 0.15)
    assert Budgets(replace(slim_256(), face=None), 20, None, coarse=False).of_body(100) == Budget(seconds=1200)


def test_frames_are_those_of_body_and_face_each():
    """The coarse stage takes its share of the body's frames."""
    assert Budgets(slim_256(), None, 700, coarse=False).of_body(100) == Budget(pictures=700)
    assert Budgets(slim_256(), None, 700, coarse=False).of_face(9) == Budget(pictures=700)
    budgets = Budgets(paper_1024(), None, 700, coarse=True)
    assert (budgets.of_coarse(9), budgets.of_body(9)) == (Budget(pictures=100), Budget(pictures=600))


def test_paper_trains_by_epochs_where_nothing_else_is_asked():
    """The paper's epochs are 5, 30 and 5; a pair is two pictures, a crop is one. Requested minutes win."""
    budgets = Budgets(paper_1024(), None, None, coarse=True)
    assert budgets.of_coarse(1000) == Budget(pictures=10_000)
    assert budgets.of_body(1000) == Budget(pictures=60_000)
    assert budgets.of_face(1000) == Budget(pictures=5000)
    assert Budgets(paper_1024(), 70, None, coarse=True).of_coarse(1000).seconds == pytest.approx(70 * 60 * 0.85 / 7)


def test_record_says_how_long_it_was():
    """The record states minutes, frames, both, or epochs."""
    assert Budgets(slim_256(), None, None, coarse=False).text == "15 minutes"
    assert Budgets(slim_256(), 2.5, 700, coarse=False).text == "2.5 minutes, at most 700 frames of body and face each"
    assert Budgets(paper_1024(), None, None, coarse=True).text == "30 epochs of body, 5 of face"


def test_small_presets_train_for_their_minutes():
    """Without minutes and frames, the preset's minutes are used."""
    assert Budgets(slim_256(), None, None, coarse=False).of_body(9).seconds == pytest.approx(15 * 60 * 0.85)


def test_presets_may_limit_their_frames_too():
    """The first limit ends the training; minutes or frames that are asked for replace both."""
    quick = quick_256()
    assert quick.pictures == 700
    assert Budgets(quick, None, None, coarse=False).of_body(9) == Budget(seconds=60 * quick.minutes, pictures=700)
    assert Budgets(quick, None, None, coarse=False).text == "15 minutes, at most 700 frames"
    assert Budgets(quick, 2, None, coarse=False).of_body(9) == Budget(seconds=120)
    assert Budgets(quick, None, 9, coarse=False).of_body(9) == Budget(pictures=9)
