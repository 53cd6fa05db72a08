import math

import pytest
import torch

from training.losses import LossWeights
from training.losses.terms import feature_matching, l1_of_face, opacity_l1, real_or_fake, weighted_l1


def verdicts(*values):
    """Outputs for each scale, with its map of verdicts filled with one value."""
    return [[torch.zeros(1, 2, 4, 4), torch.full((1, 1, 3, 3), value)] for value in values]


def test_least_squares_sums_over_scales():
    """Verdicts of 1, 0 and 3 on real pictures cost 0 + 1 + 4; on drawn ones 1 + 0 + 9."""
    judged = verdicts(1.0, 0.0, 3.0)
    assert real_or_fake(judged, is_real=True, loss="least_squares") == pytest.approx(5)
    assert real_or_fake(judged, is_real=False, loss="least_squares") == pytest.approx(10)


def test_log_loss_is_that_of_a_logit():
    """A verdict of 0 is undecided and costs log 2, for real and drawn pictures."""
    for is_real in (True, False):
        assert real_or_fake(verdicts(0.0), is_real=is_real, loss="log") == pytest.approx(math.log(2))


def test_feature_matching_ignores_the_verdicts_and_averages_scales():
    """Two layers that differ by 1 and 2 cost 3 at a scale; verdicts cost nothing."""
    fake = [[torch.ones(1, 2, 4, 4), torch.full((1, 2, 2, 2), 2.0), torch.full((1, 1, 2, 2), 9.0)]] * 2
    real = [[torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 2, 2)]] * 2
    assert feature_matching(fake, real) == pytest.approx(3)


def test_feature_matching_may_be_summed_over_scales():
    """The scales sum to 8, and their mean is a third of that."""
    apart = ((1.0, 2.0), (4.0, 0.0), (0.5, 0.5))
    fake = [[torch.full((1, 2, 4, 4), a), torch.full((1, 3, 2, 2), b), torch.full((1, 1, 2, 2), 9.0)] for a, b in apart]
    real = [[torch.zeros_like(layer) for layer in outputs] for outputs in fake]
    assert feature_matching(fake, real, "sum") == pytest.approx(8)
    assert feature_matching(fake, real, "sum") == pytest.approx(3 * feature_matching(fake, real, "mean"))


def test_no_gradient_flows_into_real_features():
    """No gradient flows into real features."""
    fake, real = torch.ones(1, 1, 2, 2, requires_grad=True), torch.zeros(1, 1, 2, 2, requires_grad=True)
    feature_matching([[fake, fake]], [[real, real]]).backward()
    assert fake.grad is not None
    assert real.grad is None


def test_person_counts_five_times():
    """An error of 1 costs 1 on the place and, with a gain of 4, 5 on the person."""
    drawn, real, everywhere = torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 2, 2)
    assert weighted_l1(drawn, real, torch.zeros(1, 1, 2, 2), everywhere, 4.0) == pytest.approx(1)
    assert weighted_l1(drawn, real, everywhere, everywhere, 4.0) == pytest.approx(5)
    assert weighted_l1(drawn, real, everywhere, everywhere, 0.0) == pytest.approx(1)


def test_pixels_that_do_not_count_cost_nothing():
    """An error at a pixel that is left out costs nothing and gives no gradient."""
    drawn = torch.zeros(1, 3, 2, 2, requires_grad=True)
    counted = torch.tensor([[[[0.0, 1.0], [1.0, 1.0]]]])
    real = torch.zeros(1, 3, 2, 2)
    real[..., 0, 0] = 1
    assert weighted_l1(drawn, real, torch.ones(1, 1, 2, 2), counted, 4.0) == 0
    opacity_l1(drawn[:, :1], 1 - counted, counted).backward()
    assert drawn.grad is not None
    assert drawn.grad[0, 0, 0, 0] == 0


def test_opacity_is_compared_with_the_mask():
    """An opacity of one half where the person is everywhere costs one half."""
    assert opacity_l1(torch.full((1, 1, 2, 2), 0.5), torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)) == pytest.approx(
        0.5
    )


def test_the_face_pays_ten_times_as_much_beside_the_person():
    """An error of one half costs one half on the person and five beside him."""
    drawn, real, person = torch.full((1, 3, 2, 2), 0.5), torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 2, 2)
    assert l1_of_face(drawn, real, person) == pytest.approx(0.5)
    assert l1_of_face(drawn, real, 1 - person) == pytest.approx(5)


def test_terms_are_weighed_by_name():
    """The total is the weighted sum; an unknown term is an error."""
    weights = LossWeights(adversarial=1, feature_matching=2, l1=3, opacity=4)
    assert weights.total({"l1": torch.tensor(2.0), "opacity": torch.tensor(1.0)}) == pytest.approx(10)
    with pytest.raises(AttributeError):
        weights.total({"beauty": torch.tensor(1.0)})


def test_negative_weights_are_refused():
    """A negative weight would train for the worse."""
    with pytest.raises(ValueError, match="opacity"):
        LossWeights(opacity=-1)
