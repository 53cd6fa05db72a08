"""Feature matching: drawn pictures should look real to every layer of the discriminator, not only to its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from training.networks.discriminator import LayerOutputs

OverScales = Literal["mean", "sum"]
"""How the values of the scales are combined: pix2pixHD's published code takes their mean; its objective (eq. 5) and
that of Chan et al. 2019 take their sum."""


def feature_matching(
    fake: Sequence[LayerOutputs], real: Sequence[LayerOutputs], over_scales: OverScales = "mean"
) -> Tensor:
    """Mean L1 between the features of drawn and real pictures, summed over layers, and mean or sum over scales.

    Source: pix2pixHD, eq. 4. The maps of verdicts do not count. `real` is only a target: no gradient flows into it.
    Returns a scalar.
    """

    total = torch.stack(
        [
            F.l1_loss(fake_features.float(), real_features.detach().float())
            for fake_outputs, real_outputs in zip(fake, real, strict=True)
            for fake_features, real_features in zip(fake_outputs[:-1], real_outputs[:-1], strict=True)
        ]
    ).sum()
    return total / len(fake) if over_scales == "mean" else total
