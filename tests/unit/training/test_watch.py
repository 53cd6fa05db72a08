import math

import pytest

from training.watch import Watch


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_none_are_noticed_at_once(value):
    """The loss that is broken is named."""
    assert Watch("least_squares", 3).trouble({"l1": 0.1, "adversarial": value, "judge": 0.5}).startswith("adversarial")


def test_judge_that_is_never_wrong_has_collapsed():
    """Not after one step, but after so many without a break; a break begins the count anew."""
    watch = Watch("least_squares", 3, patience_steps=3)
    losses = [1e-4, 1e-4, 0.5, 1e-4, 1e-4]
    assert [watch.trouble({"judge": loss}) for loss in losses] == [""] * 5
    assert watch.suspect == 2
    assert "never wrong" in watch.trouble({"judge": 1e-4})


@pytest.mark.parametrize(("loss", "same"), [("least_squares", 0.25), ("log", math.log(2))])
def test_judge_that_always_says_the_same_has_collapsed(loss, same):
    """Its loss is exactly that of a verdict halfway, at all of its scales; close to that is a judge in doubt."""
    watch = Watch(loss, 2, patience_steps=2)
    assert not watch.trouble({"judge": 2 * same + 1e-3})
    assert watch.suspect == 0
    watch.trouble({"judge": 2 * same})
    assert "same answer" in watch.trouble({"judge": 2 * same})
