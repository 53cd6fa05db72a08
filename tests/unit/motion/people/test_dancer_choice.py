"""The dancer is chosen by a rule, which is parsed strictly."""

from __future__ import annotations

import pytest

from motion.frame import FrameSize
from motion.people.dancer_choice import DancerChoice, place_of
from tests.unit.motion.standing_people import standing


@pytest.mark.parametrize(
    "rule", ["", "biggest", "largest=1", "nearest", "nearest=1", "nearest=a,b", "nearest=7,0", "id=0", "id=x"]
)
def test_invalid_rules_are_rejected(rule):
    """Unknown rules and invalid values raise ValueError with the expected form."""
    with pytest.raises(ValueError, match=r"expected|fractions|numbered|convert|invalid|enough"):
        DancerChoice.parsed(rule)


def test_a_place_is_a_fraction_of_the_frame():
    """A person in the centre of the frame has x = 0.5."""
    assert place_of(standing(320), FrameSize(640, 360))[0] == pytest.approx(0.5, abs=0.02)
