"""The adversarial losses: least squares (Mao et al., ICCV 2017) and the log loss of the first GAN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from training.networks.discriminator import Judgement

AdversarialLoss = Literal["least_squares", "log"]


def real_or_fake(judgements: Sequence[Judgement], *, is_real: bool, loss: AdversarialLoss) -> Tensor:
    """How far the verdicts are from "real" or from "fake", summed over the scales (pix2pixHD, eq. 3). A scalar.

    The discriminator minimises it on real pictures with is_real and on drawn ones without; the generator minimises it
    on drawn ones with is_real (the non-saturating form).
    """
    return torch.stack([_verdict_loss(judgement[-1].float(), is_real, loss) for judgement in judgements]).sum()


def _verdict_loss(verdicts_B1HW: Tensor, is_real: bool, loss: AdversarialLoss) -> Tensor:
    target_B1HW = torch.full_like(verdicts_B1HW, float(is_real))
    if loss == "least_squares":
        return F.mse_loss(verdicts_B1HW, target_B1HW)
    return F.binary_cross_entropy_with_logits(verdicts_B1HW, target_B1HW)
