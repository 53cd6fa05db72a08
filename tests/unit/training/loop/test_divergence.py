import math

import pytest
import torch

from training.loop.divergence import Watch
from training.losses.terms import real_or_fake


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinity_are_noticed_at_once(value):
    """The broken loss is named."""
    assert Watch("least_squares", 3).trouble({"l1": 0.1, "adversarial": value, "judge": 0.5}).startswith("adversarial")


def test_discriminator_that_is_never_wrong_has_collapsed():
    """A collapse needs many consecutive steps; an interruption restarts the count."""
    watch = Watch("least_squares", 3, patience_steps=3)
    losses = [1e-4, 1e-4, 0.5, 1e-4, 1e-4]
    assert [watch.trouble({"judge": loss}) for loss in losses] == [""] * 5
    assert watch.suspect == 2
    assert "never wrong" in watch.trouble({"judge": 1e-4})


@pytest.mark.parametrize(("loss", "same"), [("least_squares", 0.25), ("log", math.log(2))])
def test_discriminator_that_always_says_the_same_has_collapsed(loss, same):
    """Its loss is that of an undecided verdict at all scales; a slightly different loss is a discriminator in doubt."""
    watch = Watch(loss, 2, patience_steps=2)
    assert not watch.trouble({"judge": 2 * same + 2e-3})
    assert watch.suspect == 0
    watch.trouble({"judge": 2 * same})
    assert "same answer" in watch.trouble({"judge": 2 * same})


@pytest.mark.parametrize(("loss", "halfway"), [("least_squares", 0.5), ("log", 0.0)])
def test_discriminator_that_always_says_the_same_has_collapsed_in_bf16_too(loss, halfway):
    """In bf16, verdicts near one half are 0.002 to 0.004 apart, so equal verdicts are only nearly equal."""
    steps = torch.tensor([-0.012, -0.004, 0.004, 0.012])
    verdicts = (halfway + steps).bfloat16().reshape(1, 1, 2, 2)
    assert len(verdicts.unique()) == 4
    outputs = [[verdicts]] * 3
    discriminator = 0.5 * sum(float(real_or_fake(outputs, is_real=real, loss=loss)) for real in (True, False))
    watch = Watch(loss, 3, patience_steps=2)
    assert not watch.trouble({"judge": discriminator})
    assert "same answer" in watch.trouble({"judge": discriminator})


def test_healthy_discriminator_may_be_wrong_as_often_as_right():
    """A healthy discriminator's loss crosses that of a blind one; only one that stays there has collapsed."""
    watch = Watch("least_squares", 3, patience_steps=3)
    around = [0.75, 0.7512, 0.77, 0.7495, 0.75, 0.742, 0.7505, 0.81]
    assert not any(watch.trouble({"judge": loss}) for loss in around * 3)


def test_discriminator_that_trains_alone_may_be_certain():
    """Steps that train only the discriminator do not count, but NaN is still noticed."""
    watch = Watch("least_squares", 1, patience_steps=2)
    assert not any(watch.trouble({"judge": loss}, discriminator_alone=True) for loss in (1e-9, 1e-9, 0.25, 0.25))
    assert watch.suspect == 0
    assert "nan" in watch.trouble({"judge": math.nan}, discriminator_alone=True)
