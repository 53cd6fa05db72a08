"""What the report says about the views that footage shows."""

import numpy as np
import pytest

from training.footage_report.coverage import View
from training.footage_report.coverage_checks import check_coverage

RATE_HZ = 10.0


def found(what, **seconds):
    """The finding of this name for footage of 20 s that shows everything for 2 s, but these views for so long."""
    shown = {view: np.arange(200) < 10 * seconds.get(view.name, 2.0) for view in View}
    (finding,) = [finding for finding in check_coverage(shown, RATE_HZ) if finding.what == what]
    return finding


def test_footage_that_shows_everything_needs_no_advice():
    """Every view for two seconds is good, and the seconds are stated."""
    for what in ("sides", "arms", "hand shapes", "feet", "back"):
        assert (found(what).level, found(what).advice) == ("good", "")
    assert found("sides").measured == "front 2.0 s, left side 2.0 s, right side 2.0 s"


@pytest.mark.parametrize(
    ("what", "view", "advice"),
    [
        ("sides", "LEFT_SIDE", "turn until your left side faces the camera"),
        ("arms", "ARMS_AWAY", "stretch both arms out to the sides"),
        ("arms", "RIGHT_ARM_UP", "raise your right arm above your head"),
        ("hand shapes", "LEFT_HAND_CLOSED", "make a fist with your left hand"),
        ("hand shapes", "RIGHT_HAND_OPEN", "show your right hand with the fingers spread"),
        ("feet", "LEFT_FOOT", "step back until your left foot is in the picture"),
    ],
)
def test_what_is_missing_is_asked_for(what, view, advice):
    """A view of less than half a second is a warning, with the one sentence that films it."""
    finding = found(what, **{view: 0.4})
    assert finding.level == "warning"
    assert advice in finding.advice
    assert ";" not in finding.advice
    assert "not shown" in found(what, **{view: 0}).measured


def test_two_missing_views_are_both_asked_for():
    """The advice names both hands if neither was closed."""
    finding = found("hand shapes", LEFT_HAND_CLOSED=0, RIGHT_HAND_CLOSED=0)
    assert finding.advice.count("make a fist") == 2


def test_the_back_is_optional():
    """Footage without the back is good; the advice is for those who need it."""
    finding = found("back", BACK=0)
    assert (finding.level, finding.measured) == ("good", "not shown")
    assert finding.advice == "only for dances that turn away: turn your back to the camera for two seconds"
