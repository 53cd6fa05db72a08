"""Train the detector on labelled pairs, and export it. Needs torch and onnx, the extra `training`.

Everything is drawn from one seed, so the same pairs, seed and number of threads give the same weights.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from motion.crop import resized
from provenance.detector.network import PairNetwork, ServedPairNetwork
from provenance.detector.pairs import SIDE_PX
from serving.process.atomic_files import written_whole

_OPSET: Final = 17
_MOST_ENLARGED: Final = 1.6
_INPUT, _OUTPUT = "pairs", "drawn"


@dataclass(frozen=True, eq=False, slots=True)
class LabelledPairs:
    """Pairs to train on.

    pairs: `[N, 6, M, M]` uint8, with M at least `SIDE_PX`; training cuts squares of `SIDE_PX` out at random.
    is_synthetic: `[N]` bool. person: `[N]` int, who is shown. Both classes count the same, and all people within each.
    """

    pairs: NDArray[np.uint8]
    is_synthetic: NDArray[np.bool_]
    person: NDArray[np.int_]

    def __post_init__(self) -> None:
        count, side_px = len(self.pairs), self.pairs.shape[-1]
        if self.pairs.shape[1:] != (6, side_px, side_px) or side_px < SIDE_PX:
            raise ValueError(f"pairs must be [N, 6, M, M] with M of {SIDE_PX} or more, got {self.pairs.shape}")
        if len(self.is_synthetic) != count or len(self.person) != count:
            raise ValueError(f"{count} pairs need as many labels and people")
        if len(np.unique(self.is_synthetic)) != 2:
            raise ValueError("training needs both real and synthetic pairs")

    def weights(self) -> NDArray[np.float64]:
        """How likely each pair is drawn, `[N]`, adding up to 1."""
        weights = np.zeros(len(self.pairs))
        for synthetic in (False, True):
            people = np.unique(self.person[self.is_synthetic == synthetic])
            for person in people:
                own = (self.is_synthetic == synthetic) & (self.person == person)
                weights[own] = 0.5 / len(people) / np.count_nonzero(own)
        return weights


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorTraining:
    """How to train. steps: of `batch` pairs each. learning_rate: the highest, reached after a tenth of the steps."""

    steps: int = 1500
    batch: int = 32
    learning_rate: float = 2e-3
    seed: int = 0


OnStep = Callable[[int, float], None]
"""Called with the number of steps done and the last loss."""


def train_detector(
    labelled: LabelledPairs, training: DetectorTraining, on_step: OnStep = lambda done, loss: None
) -> PairNetwork:
    """Train a network from random weights. Returns it ready to judge."""
    torch.manual_seed(training.seed)
    random = np.random.default_rng(training.seed)
    network = PairNetwork()
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), training.learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: _rate_at(done / training.steps))
    weights = labelled.weights()
    for done in range(1, training.steps + 1):
        chosen = random.choice(len(weights), training.batch, p=weights)
        pairs_BCHW = torch.from_numpy(np.stack([varied(labelled.pairs[index], random) for index in chosen]))
        target_B = torch.from_numpy(labelled.is_synthetic[chosen].astype(np.float32))
        loss = F.binary_cross_entropy_with_logits(network(pairs_BCHW)[:, 0], 0.98 * target_B + 0.01)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        on_step(done, float(loss.detach()))
    network.eval()
    return network


def _rate_at(progress: float) -> float:
    """The learning rate at `progress` in [0, 1], as a part of the highest: a short rise, then half a cosine."""
    return min(1.0, 0.05 + progress / 0.1) * 0.5 * (1 + math.cos(math.pi * progress))


def varied(pair: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.float32]:
    """Return a square of a pair, `[6, S, S]` float32 in levels: in other light, sharper, softer, mirrored or swapped.

    Both frames change alike, so what tells drawn from filmed stays.
    """
    # Half of the squares are smaller and enlarged, as if a larger picture had been drawn or filmed.
    side_px = round(SIDE_PX / random.uniform(1, _MOST_ENLARGED)) if random.random() < 0.5 else SIDE_PX
    row, column = random.integers(0, pair.shape[-1] - side_px + 1, 2)
    square = pair[:, row : row + side_px, column : column + side_px]
    levels = np.stack([resized(plane, SIDE_PX, SIDE_PX) for plane in square]).astype(np.float32)
    if random.random() < 0.5:
        levels = levels[:, :, ::-1]
    frames = levels.reshape(2, 3, SIDE_PX, SIDE_PX)[:: -1 if random.random() < 0.5 else 1]
    frames = frames[:, random.permutation(3)]
    levels = np.array(frames.reshape(6, SIDE_PX, SIDE_PX))
    if random.random() < 0.7:
        soft = _blurred(levels, float(random.uniform(0.4, 1.0)))
        # Below 0 it is sharpened: how sharp a picture is depends on its camera and its size.
        levels += (soft - levels) * float(random.uniform(-1.2, 1.0))
    gain, lift = random.uniform(0.7, 1.25), random.uniform(-15, 15)
    # Rounded and cut off, as a camera or a player would.
    return np.asarray(np.clip(np.rint(levels * gain + lift), 0, 255), np.float32)


def _blurred(levels: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    return np.stack([cv2.GaussianBlur(plane, (0, 0), sigma_px) for plane in levels])


@torch.inference_mode()
def judge(network: PairNetwork, pairs: NDArray[np.uint8], batch: int = 64) -> NDArray[np.float32]:
    """Return the probability that each pair, `[N, 6, S, S]` uint8, was drawn: `[N]` float32."""
    scores: list[Tensor] = [
        network(torch.from_numpy(pairs[start : start + batch].astype(np.float32)))[:, 0].sigmoid()
        for start in range(0, len(pairs), batch)
    ]
    return np.asarray(torch.cat(scores).numpy(), np.float32) if scores else np.zeros(0, np.float32)


def export_detector(network: PairNetwork, path: Path) -> None:
    """Write the network as ONNX: a pair, `[1, 6, S, S]` float32 in levels of 0 to 255, in; `[1, 1]` in [0, 1] out."""
    served = ServedPairNetwork(network).eval().requires_grad_(False)
    example = torch.zeros(1, 6, SIDE_PX, SIDE_PX)
    with written_whole(path) as partial, warnings.catch_warnings():
        # As for the other networks, the tracer, which warns that torch has a newer exporter.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            served,
            (example,),
            str(partial),
            input_names=[_INPUT],
            output_names=[_OUTPUT],
            opset_version=_OPSET,
            dynamo=False,
        )
        onnx.checker.check_model(onnx.load(str(partial)))
