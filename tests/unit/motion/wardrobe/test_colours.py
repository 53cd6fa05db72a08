"""The usual colours of limbs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motion.wardrobe.colours import colour_costs, costs_of
from motion.wardrobe.limbs import LIMB_COUNT, Limb

BLUE, SKIN, BLACK = (40, 60, 180), (200, 150, 120), (20, 20, 20)


def pixels(*colours: tuple[int, int, int], count: int = 200) -> NDArray[np.uint8]:
    return np.repeat(np.array(colours, np.uint8), count, axis=0)


def cost(samples: list[tuple[Limb, NDArray[np.uint8]]], colour: tuple[int, int, int]) -> NDArray[np.float32]:
    picture = np.full((9, 9, 3), colour, np.uint8)
    return costs_of(picture, colour_costs(samples))[:, 4, 4]


def test_a_limb_pays_for_the_colour_of_another() -> None:
    """Skin is no part of a blue shirt, and blue is none of a hand; left and right hands have one skin."""
    samples = [(Limb.TORSO, pixels(BLUE)), (Limb.RIGHT_HAND, pixels(SKIN))]
    skin, blue = cost(samples, SKIN), cost(samples, BLUE)
    assert skin[Limb.TORSO] > 0.9
    assert skin[Limb.RIGHT_HAND] == skin[Limb.LEFT_HAND] == 0
    assert blue[Limb.RIGHT_HAND] > 0.9
    assert blue[Limb.TORSO] == 0


def test_clothes_of_one_colour_cost_nothing() -> None:
    """Of a person all in black, colours decide nothing."""
    samples = [(limb, pixels(BLACK)) for limb in Limb]
    assert not cost(samples, BLACK).any()


def test_a_shirt_of_two_colours_keeps_both() -> None:
    """A print belongs to the shirt as its cloth does."""
    samples = [(Limb.TORSO, pixels(BLUE, SKIN)), (Limb.RIGHT_HAND, pixels(SKIN))]
    assert cost(samples, SKIN)[Limb.TORSO] < 0.35


def test_limbs_without_samples_pay_nothing() -> None:
    """A limb whose colours could not be learnt is cut by distance alone."""
    costs = colour_costs([(Limb.TORSO, pixels(BLUE)), (Limb.HEAD, pixels(SKIN, count=3))])
    assert costs.shape == (16, 16, 16, LIMB_COUNT)
    assert not costs[..., Limb.HEAD].any()
    assert not colour_costs([]).any()
