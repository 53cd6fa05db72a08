"""The shipped detector loads, scores pairs, and judges clips only where it can."""

from __future__ import annotations

import numpy as np
import pytest

from provenance.detector.judge import (
    FEWEST_PAIRS,
    LIMITS,
    REAL_BELOW,
    SYNTHETIC_FROM,
    WEIGHTS,
    Detector,
    DetectorUnusable,
    Verdict,
    finding,
    spread,
)
from provenance.detector.pairs import SIDE_PX
from tests.unit.provenance.detector.moving_squares import clip


@pytest.fixture(scope="module")
def detector() -> Detector:
    """The detector with its shipped network."""
    return Detector()


def test_the_shipped_network_scores_between_0_and_1(detector):
    """Also for a flat pair and for noise; it is smaller than a megabyte."""
    noise = np.random.default_rng(0).integers(0, 255, (6, SIDE_PX, SIDE_PX)).astype(np.uint8)
    for pair in (np.zeros_like(noise), noise):
        assert 0 <= detector.pair_score(pair) <= 1
    assert WEIGHTS.stat().st_size < 1_000_000


def test_a_clip_is_judged_by_all_its_pairs(detector):
    """The score is their mean, and the finding says what to know before relying on it."""
    found = detector.judge(clip(FEWEST_PAIRS + 1))
    assert found.pairs == FEWEST_PAIRS
    assert found.score is not None
    assert 0 <= found.score <= 1
    assert found.limits == LIMITS


@pytest.mark.parametrize("frames", [0, 1, 2, FEWEST_PAIRS])
def test_a_short_clip_is_not_judged(detector, frames):
    """The reason says how many pairs it takes."""
    found = detector.judge(clip(frames))
    assert found.verdict is Verdict.UNKNOWN
    assert f"it takes {FEWEST_PAIRS}" in found.reason


def test_a_clip_in_which_nothing_moves_is_not_judged(detector):
    """A still picture is not a dance, however long it is shown."""
    found = detector.judge(clip(1) * 40)
    assert (found.verdict, found.score, found.pairs) == (Verdict.UNKNOWN, None, 0)


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (0.0, Verdict.REAL),
        (REAL_BELOW, Verdict.UNKNOWN),
        ((REAL_BELOW + SYNTHETIC_FROM) / 2, Verdict.UNKNOWN),
        (SYNTHETIC_FROM, Verdict.SYNTHETIC),
        (1.0, Verdict.SYNTHETIC),
    ],
)
def test_the_mean_score_decides(score, verdict):
    """Between the two thresholds it cannot tell."""
    assert finding([score] * 16).verdict is verdict


def test_a_long_clip_is_judged_by_pairs_from_all_of_it():
    """They are evenly spread, whatever its length, and frames without a pair are left out."""
    pairs = [np.full((6, 1, 1), number, np.uint8) for number in range(200)]
    kept = [int(pair[0, 0, 0]) for pair in spread([None, *pairs, None], most=8)]
    assert 8 <= len(kept) < 16
    assert set(np.diff(kept)) == {16}
    assert kept[0] == 0
    assert [int(pair[0, 0, 0]) for pair in spread(pairs[:9], most=8)] == list(range(9))


def test_a_missing_or_damaged_network_is_told(tmp_path):
    """The error names the file and what to do."""
    with pytest.raises(DetectorUnusable, match=r"none\.onnx is missing: install the project again"):
        Detector(tmp_path / "none.onnx")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"not a network")
    with pytest.raises(DetectorUnusable, match=r"damaged\.onnx is not the detector's network"):
        Detector(damaged)
