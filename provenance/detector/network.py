"""The detector's network: a pair of frames in, the probability that it was drawn out.

Shapes: B batch, C channels, H and W pixels. A pair is `[B, 6, H, W]` float32 in levels of 0 to 255: red, green and blue
of a frame, then of the next one.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS: Final = (24, 32, 48, 64)
_RESIDUAL_LEVELS: Final = 24.0
"""A change this large, in levels of 255, or a detail half as large, counts fully; a larger one counts as much."""


class Residuals(nn.Module):
    """The fixed front end: what is fine in either frame, and what differs between the two.

    Each frame minus its blur, twice as strong, and the second frame minus the first, all cut off. Without it, the
    network would first learn the colours of the few people and places that it is trained on.
    """

    channels: Final = 9

    def __init__(self) -> None:
        super().__init__()
        blur = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("blur_611", (blur[:, None] * blur / 16).expand(6, 1, 3, 3).clone())

    def forward(self, pair_BCHW: Tensor) -> Tensor:
        smooth_BCHW = F.conv2d(F.pad(pair_BCHW, (1, 1, 1, 1), mode="replicate"), self.get_buffer("blur_611"), groups=6)
        fine_BCHW = 2 * (pair_BCHW - smooth_BCHW)
        change_BCHW = pair_BCHW[:, 3:] - pair_BCHW[:, :3]
        return (torch.cat([fine_BCHW, change_BCHW], 1) / _RESIDUAL_LEVELS).clamp(-1, 1)


class PairNetwork(nn.Module):
    """Four convolutions, each at half the size of the one before, one more, and the mean over all places.

    `forward` returns the logit of every pair, `[B, 1]`: above 0 looks drawn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.residuals = Residuals()
        layers: list[nn.Module] = []
        before = Residuals.channels
        for channels, stride in (*((channels, 2) for channels in CHANNELS), (CHANNELS[-1], 1)):
            layers += [
                nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
            before = channels
        self.features = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.2)
        self.judge = nn.Linear(before, 1)

    def forward(self, pair_BCHW: Tensor) -> Tensor:
        x_BCHW = self.features(self.residuals(pair_BCHW))
        logit_B1: Tensor = self.judge(self.drop(x_BCHW.mean((2, 3))))
        return logit_B1


class ServedPairNetwork(nn.Module):
    """What is exported: probabilities, `[B, 1]` in [0, 1], in place of logits."""

    def __init__(self, network: PairNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pair_BCHW: Tensor) -> Tensor:
        logit_B1: Tensor = self.network(pair_BCHW)
        return logit_B1.sigmoid()
