"""What the page is told of a training."""

from __future__ import annotations

import pytest

from web.making.view import stage_of


@pytest.mark.parametrize(
    ("phase", "versions", "stage"),
    [
        ("starting", 0, "starting"),
        ("looking for poses", 0, "looking"),
        ("painting over props", 0, "looking"),
        ("making the wardrobe", 0, "cutting"),
        ("evaluating", 0, "cutting"),
        ("body", 1, "learning"),
        ("face", 1, "learning"),
        ("evaluating", 1, "finishing"),
        ("a phase of a later release", 0, "looking"),
        ("a phase of a later release", 1, "finishing"),
    ],
)
def test_every_phase_has_a_word_for_the_page(phase, versions, stage):
    """The words are stable; phases that are new to the gateway have one too."""
    assert stage_of(phase, versions) == stage
