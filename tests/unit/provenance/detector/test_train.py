"""Training tells separable classes apart, is repeatable, and its export scores the same."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from provenance.detector.judge import Detector
from provenance.detector.pairs import SIDE_PX
from provenance.detector.train import (
    DetectorTraining,
    LabelledPairs,
    export_detector,
    judge,
    train_detector,
    varied,
)


def labelled(count: int = 12) -> LabelledPairs:
    """Sharp pairs are real, blurred ones synthetic."""
    pairs = np.random.default_rng(0).integers(0, 255, (count, 6, SIDE_PX, SIDE_PX)).astype(np.uint8)
    synthetic = np.arange(count) % 2 == 1
    pairs[synthetic] = [[cv2.blur(plane, (3, 3)) for plane in pair] for pair in pairs[synthetic]]
    return LabelledPairs(pairs, synthetic, np.arange(count) % 3)


SHORT = DetectorTraining(steps=10, batch=4, learning_rate=5e-3)


@pytest.fixture(scope="module")
def trained():
    """A network after ten steps, and its losses."""
    losses: list[float] = []
    return train_detector(labelled(), SHORT, lambda done, loss: losses.append(loss)), losses


def test_a_short_training_learns_two_separable_classes(trained):
    """After ten steps the loss has fallen, and every synthetic pair scores above every real one."""
    network, losses = trained
    given = labelled()
    scores = judge(network, given.pairs)
    assert len(losses) == SHORT.steps
    assert losses[-1] < losses[0] / 1.5
    assert scores[given.is_synthetic].min() > scores[~given.is_synthetic].max()


def test_the_export_scores_as_the_network(trained, tmp_path):
    """OpenCV reads it, and it is small."""
    network, _ = trained
    path = tmp_path / "detector.onnx"
    export_detector(network, path)
    pairs = labelled(2).pairs
    assert [Detector(path).pair_score(pair) for pair in pairs] == pytest.approx(
        judge(network, pairs).tolist(), abs=1e-3
    )
    assert path.stat().st_size < 1_000_000


def test_the_same_seed_trains_the_same_network():
    """Another seed trains another one."""
    given, two_steps = labelled(4), DetectorTraining(steps=2, batch=2)
    one, again = (judge(train_detector(given, two_steps), given.pairs) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    other = judge(train_detector(given, DetectorTraining(steps=2, batch=2, seed=1)), given.pairs)
    assert not np.array_equal(one, other)


def test_both_classes_and_all_people_count_the_same():
    """However many pairs they have."""
    pairs = np.zeros((6, 6, SIDE_PX, SIDE_PX), np.uint8)
    given = LabelledPairs(pairs, np.array([0, 0, 0, 0, 1, 1], bool), np.array([0, 0, 0, 1, 0, 1]))
    np.testing.assert_allclose(given.weights(), [1 / 12, 1 / 12, 1 / 12, 1 / 4, 1 / 4, 1 / 4])


def test_pairs_vary_by_seed_and_keep_their_size():
    """Levels stay whole numbers from 0 to 255, as in a file."""
    pair = np.random.default_rng(0).integers(0, 255, (6, SIDE_PX + 16, SIDE_PX + 16)).astype(np.uint8)
    one, again, other = (varied(pair, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (6, SIDE_PX, SIDE_PX)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert one.min() >= 0
    assert one.max() <= 255
    np.testing.assert_array_equal(one, np.rint(one))


def test_pairs_without_a_second_class_are_refused():
    """The error says what is missing."""
    with pytest.raises(ValueError, match="both real and synthetic"):
        LabelledPairs(np.zeros((2, 6, SIDE_PX, SIDE_PX), np.uint8), np.zeros(2, bool), np.zeros(2, int))
    with pytest.raises(ValueError, match=r"must be \[N, 6, M, M\]"):
        LabelledPairs(np.zeros((2, 6, 64, 64), np.uint8), np.array([True, False]), np.zeros(2, int))
