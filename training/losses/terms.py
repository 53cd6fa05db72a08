"""The loss terms: adversarial, feature matching, perceptual, and of pixels. Each returns a scalar."""

# Shapes: B batch, H and W pixels, S pixels, the side of a face crop.
from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from training.networks.discriminator import LayerOutputs

AdversarialLoss = Literal["least_squares", "log"]
"""Least squares (Mao et al., ICCV 2017), or the log loss of the first GAN."""
OverScales = Literal["mean", "sum"]
"""How feature matching combines the scales: pix2pixHD's published code takes the mean; its objective (eq. 5) and that
of Chan et al. 2019 take the sum."""
LAYER_WEIGHTS: Final = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""The weights of VGG19's relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 in the perceptual loss."""


def real_or_fake(outputs: Sequence[LayerOutputs], *, is_real: bool, loss: AdversarialLoss) -> Tensor:
    """The distance of the verdicts from "real" or "fake", summed over the scales (pix2pixHD, eq. 3).

    outputs: the discriminator's, one per scale. The discriminator minimises the loss on real pictures with is_real and
    on drawn ones without; the generator minimises it on drawn ones with is_real (the non-saturating form).
    """
    return torch.stack([_verdict_loss(of_scale[-1].float(), is_real, loss) for of_scale in outputs]).sum()


def _verdict_loss(verdicts_B1HW: Tensor, is_real: bool, loss: AdversarialLoss) -> Tensor:
    target_B1HW = torch.full_like(verdicts_B1HW, float(is_real))
    if loss == "least_squares":
        return F.mse_loss(verdicts_B1HW, target_B1HW)
    return F.binary_cross_entropy_with_logits(verdicts_B1HW, target_B1HW)


def feature_matching(
    fake: Sequence[LayerOutputs], real: Sequence[LayerOutputs], over_scales: OverScales = "mean"
) -> Tensor:
    """Mean L1 between the discriminator's features of drawn and real pictures, summed over layers (pix2pixHD, eq. 4).

    The scales are averaged or summed. The maps of verdicts do not count. `real` is only a target: no gradient flows
    into it.
    """
    total = torch.stack(
        [
            F.l1_loss(fake_features.float(), real_features.detach().float())
            for fake_outputs, real_outputs in zip(fake, real, strict=True)
            for fake_features, real_features in zip(fake_outputs[:-1], real_outputs[:-1], strict=True)
        ]
    ).sum()
    return total / len(fake) if over_scales == "mean" else total


def perceptual(drawn: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Mean L1 between VGG19's features of five layers, `[B, C, H, W]` each, weighted by layer and summed (pix2pixHD).

    `real` is only a target: no gradient flows into it. Raises ValueError for another number of layers.
    """
    return torch.stack(
        [
            weight * F.l1_loss(drawn_features.float(), real_features.detach().float())
            for weight, drawn_features, real_features in zip(LAYER_WEIGHTS, drawn, real, strict=True)
        ]
    ).sum()


def weighted_l1(
    drawn_B3HW: Tensor, real_B3HW: Tensor, person_B1HW: Tensor, counted_B1HW: Tensor, gain: float
) -> Tensor:
    """Mean absolute difference, each pixel weighted `counted * (1 + gain * person)`.

    person: in [0, 1], the person's mask, dilated so that outlines count too. counted: 0 for pixels to leave out,
    otherwise 1.
    """
    weight_B1HW = counted_B1HW * (1 + gain * person_B1HW)
    return (weight_B1HW * (drawn_B3HW - real_B3HW).abs()).mean()


def l1_of_face(refined_B3SS: Tensor, real_B3SS: Tensor, person_B1SS: Tensor, beside_gain: float = 9.0) -> Tensor:
    """Mean absolute difference of crops, each pixel weighted `1 + gain * (1 - person)`. person: the mask, in [0, 1].

    Beside the person the body's picture already is the plate. Instance norms tempt the network to leave a bright or
    dark spot there, so an error costs more there.
    """
    return ((1 + beside_gain * (1 - person_B1SS)) * (refined_B3SS - real_B3SS).abs()).mean()


def opacity_l1(opacity_B1HW: Tensor, mask_B1HW: Tensor, counted_B1HW: Tensor) -> Tensor:
    """Mean absolute difference between the opacity and the person's mask, both in [0, 1]; counted as above."""
    return (counted_B1HW * (opacity_B1HW - mask_B1HW).abs()).mean()
