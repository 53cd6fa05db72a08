"""`Detector`: says of a clip whether it looks drawn by an actor of this project, or filmed.

A forensic aid, for clips whose watermark and credentials are gone. Its network, `detector.onnx`, was trained by this
project on dancers that `samples/` draws; docs/results/detector.md says how, and on what it was measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from motion.frame import Picture
from provenance.detector.pairs import SIDE_PX, Pair, pairs_of
from serving.errors import DanceError

WEIGHTS: Final = Path(__file__).with_name("detector.onnx")
FEWEST_PAIRS: Final = 12
"""A clip with fewer pairs is not judged: single pairs are wrong too often."""
MOST_PAIRS: Final = 64
"""A longer clip is judged by this many pairs, or up to twice as many, spread evenly over it."""
REAL_BELOW: Final = 0.05
SYNTHETIC_FROM: Final = 0.5
"""Clips whose score lies between the two are not judged. The upper one rather misses a clip than accuses a film."""
LIMITS: Final = (
    "This is a forensic aid, not proof: a score is neither a probability nor evidence by itself.",
    "Of people it had never seen, it recognised 61 of 252 synthetic pieces and took 69 for real, and it called none of "
    "126 filmed pieces synthetic (docs/results/detector.md).",
    "It knows nothing of other generators, and compression, scaling or edits can hide what it looks for.",
)


class DetectorUnusable(DanceError):
    """The detector's network is missing or damaged."""


class Verdict(Enum):
    """What a clip looks like."""

    REAL = "looks real"
    SYNTHETIC = "looks synthetic"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the detector found in a clip.

    score: the mean over all pairs, in [0, 1], where 1 is synthetic; None without any pair. pairs: how many were judged.
    reason: why this verdict, in one sentence. limits: what a reader must know before relying on it.
    """

    verdict: Verdict
    score: float | None
    pairs: int
    reason: str
    limits: tuple[str, ...] = LIMITS


class Detector:
    """Judges pairs and clips on the CPU, with OpenCV. Not thread-safe. Raises DetectorUnusable."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        if not weights.is_file():
            raise DetectorUnusable(f"the detector's network {weights.name} is missing: install the project again")
        try:
            self._network: Any = cv2.dnn.readNetFromONNX(str(weights))
            self.pair_score(np.zeros((6, SIDE_PX, SIDE_PX), np.uint8))
        except cv2.error as error:
            raise DetectorUnusable(
                f"{weights.name} is not the detector's network: install the project again"
            ) from error

    def pair_score(self, pair: Pair) -> float:
        """Return how synthetic a pair, `[6, S, S]` uint8, looks: in [0, 1]."""
        self._network.setInput(pair[None].astype(np.float32))
        return float(self._network.forward().item())

    def judge(self, pictures: Iterable[Picture]) -> Finding:
        """Judge a clip: its consecutive pictures, `[H, W, 3]` uint8 RGB of one size. Reads them once, in order."""
        pairs = spread(pairs_of(pictures))
        return finding([self.pair_score(pair) for pair in pairs])


def spread(pairs: Iterable[Pair | None], most: int = MOST_PAIRS) -> list[Pair]:
    """Return at least `most` and fewer than twice as many pairs, evenly spread; all of them if there are fewer.

    None stands for two frames that make no pair.
    """
    kept: list[Pair] = []
    every, usable = 1, 0
    for pair in pairs:
        if pair is None:
            continue
        if usable % every == 0:
            kept.append(pair)
            if len(kept) == 2 * most:
                kept, every = kept[::2], 2 * every
        usable += 1
    return kept


def finding(scores: list[float]) -> Finding:
    """Return what the scores of a clip's pairs say about it."""
    count = len(scores)
    if count < FEWEST_PAIRS:
        score = float(np.mean(scores)) if scores else None
        counted = "no pair" if count == 0 else f"only {count} pair{'s' if count > 1 else ''}"
        reason = f"{counted} of consecutive frames in which something moves; it takes {FEWEST_PAIRS}"
        return Finding(Verdict.UNKNOWN, score, count, reason)
    score = float(np.mean(scores))
    if score >= SYNTHETIC_FROM:
        return Finding(Verdict.SYNTHETIC, score, count, f"the mean score is at least {SYNTHETIC_FROM:.2f}")
    if score < REAL_BELOW:
        return Finding(
            Verdict.REAL, score, count, f"the mean score is below {REAL_BELOW:.2f}, as many synthetic clips are"
        )
    reason = f"the mean score lies between {REAL_BELOW:.2f} and {SYNTHETIC_FROM:.2f}"
    return Finding(Verdict.UNKNOWN, score, count, reason)
