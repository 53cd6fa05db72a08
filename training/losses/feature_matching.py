"""Feature matching: drawn pictures should look alike to the discriminator's layers, not only to its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from training.networks.discriminator import Judgement

OverScales = Literal["mean", "sum"]
"""What becomes of the discriminators' values: pix2pixHD's published code takes their mean; its objective (eq. 5) and
that of Chan et al. 2019 sum over them."""


def feature_matching(fake: Sequence[Judgement], real: Sequence[Judgement], over_scales: OverScales = "mean") -> Tensor:
    """Mean L1 between features of drawn and real pictures, summed over layers, and mean or sum over scales.

    Source: pix2pixHD, eq. 4. The maps of verdicts do not count. `real` is only a target: no gradient flows into it.
    Returns a scalar.
    """
    total = torch.stack(
        [
            F.l1_loss(fake_features.float(), real_features.detach().float())
            for fake_judgement, real_judgement in zip(fake, real, strict=True)
            for fake_features, real_features in zip(fake_judgement[:-1], real_judgement[:-1], strict=True)
        ]
    ).sum()
    return total / len(fake) if over_scales == "mean" else total
