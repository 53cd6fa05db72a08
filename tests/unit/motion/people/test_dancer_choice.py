"""The dancer is chosen by a rule, which is parsed strictly."""

from __future__ import annotations

import pytest

from motion.people.dancer_choice import DancerChoice


@pytest.mark.parametrize(
    "rule", ["", "biggest", "largest=1", "nearest", "nearest=1", "nearest=a,b", "nearest=7,0", "id=0", "id=x"]
)
def test_invalid_rules_are_rejected(rule):
    """Unknown rules and invalid values raise ValueError with the expected form."""
    with pytest.raises(ValueError, match=r"expected|fractions|numbered|convert|invalid|enough"):
        DancerChoice.parsed(rule)
