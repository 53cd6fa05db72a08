"""Feature matching: drawn pictures should look alike to the discriminator's layers, not only to its verdict."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from training.discriminator import Judgement


def feature_matching(fake: Sequence[Judgement], real: Sequence[Judgement]) -> Tensor:
    """Mean L1 between features of drawn and real pictures, summed over layers, averaged over scales (pix2pixHD, eq. 4).

    Averaged as pix2pixHD's published code does; the paper's objective (eq. 5) sums over the scales k. The maps of
    verdicts do not count. `real` is only a target: no gradient flows into it. Returns a scalar.
    """
    return torch.stack(
        [
            F.l1_loss(fake_features.float(), real_features.detach().float())
            for fake_judgement, real_judgement in zip(fake, real, strict=True)
            for fake_features, real_features in zip(fake_judgement[:-1], real_judgement[:-1], strict=True)
        ]
    ).sum() / len(fake)
