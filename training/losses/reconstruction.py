"""How far a drawn picture, or its opacity, is from the real one."""

# Shapes: B batch, H and W pixels.
from __future__ import annotations

from torch import Tensor

ON_PERSON_GAIN = 4.0
"""A pixel of the person counts `1 + ON_PERSON_GAIN` times as much as one of the place (measured: it ends the smear)."""


def weighted_l1(drawn_B3HW: Tensor, real_B3HW: Tensor, person_B1HW: Tensor) -> Tensor:
    """Mean absolute difference, each pixel weighted `1 + 4 * person`. A scalar.

    person: in [0, 1], the person's mask, dilated so that outlines count too.
    """
    weight_B1HW = 1 + ON_PERSON_GAIN * person_B1HW
    return (weight_B1HW * (drawn_B3HW - real_B3HW).abs()).mean()


def opacity_l1(opacity_B1HW: Tensor, mask_B1HW: Tensor) -> Tensor:
    """Mean absolute difference between the opacity and the person's mask, both in [0, 1]. A scalar."""
    return (opacity_B1HW - mask_B1HW).abs().mean()
