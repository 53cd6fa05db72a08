"""The distance of a drawn picture, or of its opacity, from the real one."""

# Shapes: B batch, H and W pixels.
from __future__ import annotations

from torch import Tensor


def weighted_l1(
    drawn_B3HW: Tensor, real_B3HW: Tensor, person_B1HW: Tensor, counted_B1HW: Tensor, gain: float
) -> Tensor:
    """Mean absolute difference, each pixel weighted `counted * (1 + gain * person)`. A scalar.

    person: in [0, 1], the person's mask, dilated so that outlines count too.
    counted: 0 for pixels to leave out, otherwise 1.
    """
    weight_B1HW = counted_B1HW * (1 + gain * person_B1HW)
    return (weight_B1HW * (drawn_B3HW - real_B3HW).abs()).mean()


def opacity_l1(opacity_B1HW: Tensor, mask_B1HW: Tensor, counted_B1HW: Tensor) -> Tensor:
    """Mean absolute difference between the opacity and the person's mask, both in [0, 1]. A scalar.

    counted: 0 for pixels to leave out, otherwise 1.

    """
    return (counted_B1HW * (opacity_B1HW - mask_B1HW).abs()).mean()
