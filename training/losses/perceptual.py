"""The perceptual loss: drawn pictures should look real to a network that recognises objects (pix2pixHD, VGG19)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

LAYER_WEIGHTS: Final = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""The weights of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1."""


def perceptual(drawn: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Mean L1 between features of five layers, `[B, C, H, W]` each, weighted by layer and summed. A scalar.

    `real` is only a target: no gradient flows into it. Raises ValueError for another number of layers.
    """
    return torch.stack(
        [
            weight * F.l1_loss(drawn_features.float(), real_features.detach().float())
            for weight, drawn_features, real_features in zip(LAYER_WEIGHTS, drawn, real, strict=True)
        ]
    ).sum()
