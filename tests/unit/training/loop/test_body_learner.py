"""The promises of the body's training, checked in one step of a tiny network."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from services.generator.network import LocalEnhancer
from training.data.split import split_footage
from training.loop.batches import collated
from training.loop.body_learner import BodyLearner
from training.loop.learner import Computing, StepAbandoned
from training.losses import LossWeights
from training.losses.temporal import paired, single
from training.preset_setup import pairs_for
from training.presets import coarse_stage, with_losses


class Seen(nn.Module):
    """Replaces VGG19: returns the picture itself five times."""

    def forward(self, x_B3HW):
        return [x_B3HW] * 5


@pytest.fixture
def learner(prepared, tiny):
    """Makes a learner, always with the same first weights."""

    def make(preset=tiny, batch=1, **options):
        split = split_footage([True] * len(prepared))
        return BodyLearner(preset, pairs_for(preset, prepared, split, 1), Computing(seed=1, batch=batch), **options)

    return make


@pytest.fixture
def enhanced(tiny):
    """The tiny recipe with a local enhancer."""
    return replace(tiny, generator=replace(tiny.generator, enhanced=True))


def gradients(learner):
    return [weight.grad for network in (learner.generator, learner.discriminator) for weight in network.parameters()]


def test_gradient_of_two_pairs_is_the_mean_of_each(learner):
    """The gradients of a batch of 2 are the mean of those of its two pairs."""
    both, first, second = learner(batch=2), learner(), learner()
    second.pictures_seen = 2
    for each in (both, first, second):
        each.step(0.0)
    assert (both.pictures_seen, first.pictures_seen) == (4, 2)
    for of_both, *of_each in zip(*map(gradients, (both, first, second)), strict=True):
        mean = sum(of_each) / 2
        torch.testing.assert_close(of_both, mean, rtol=1e-3, atol=1e-5 * float(mean.abs().max()) + 1e-9)


def test_discriminator_sees_a_pair_together_or_each_frame_apart():
    """The discriminator sees a pair in 12 channels, or without smoothing two pictures in 6 channels."""
    labels = (torch.full((3, 3, 2, 2), 1.0), torch.full((3, 3, 2, 2), 2.0))
    pictures = (torch.full((3, 3, 2, 2), 3.0), torch.full((3, 3, 2, 2), 4.0))
    together, apart = paired(labels, pictures), single(labels, pictures)
    assert together[0, ::3, 0, 0].tolist() == [1, 2, 3, 4]
    assert apart.shape == (6, 6, 2, 2)
    assert apart[[0, 3], ::3, 0, 0].tolist() == [[1, 3], [2, 4]]


def test_first_row_ignores_time(learner, tiny):
    """pix2pixhd ignores the previous picture, also after training, and its discriminator sees one picture."""
    row = with_losses(tiny, "pix2pixhd")
    trained = learner(row)
    for _ in range(3):
        trained.step(0.0)
    assert trained.discriminator.judges[0].stages[0][0].weight.shape[1] == 6
    label, random = torch.rand(1, 3, 32, 32), torch.Generator().manual_seed(0)
    drawn = [trained.averaged(torch.cat([label, torch.rand(1, 3, 32, 32, generator=random)], dim=1)) for _ in range(2)]
    assert torch.equal(*drawn)
    smooth = learner(with_losses(tiny, "smoothing"))
    assert smooth.discriminator.judges[0].stages[0][0].weight.shape[1] == 12


def test_perceptual_loss_counts_both_frames(learner, tiny):
    """If the features are the pictures themselves, the loss is their L1 times the weights of the layers."""
    preset = replace(tiny, weights=LossWeights(perceptual=5.0, l1=10.0, opacity=0.0), person_gain=0.0)
    losses = learner(preset, vgg=Seen()).step(0.0)
    layers = 1 / 32 + 1 / 16 + 1 / 8 + 1 / 4 + 1
    assert losses["perceptual"] == pytest.approx(layers * losses["l1"], rel=1e-5)
    with pytest.raises(ValueError, match="perceptual"):
        learner(preset)


@pytest.mark.parametrize(("losses", "share"), [("pix2pixhd", 0.5), ("smoothing", 1.0)])
def test_pixel_terms_weigh_as_much_as_the_discriminator_counts_pictures(learner, tiny, losses, share):
    """A pixel term is summed over a pair, or averaged over two separate pictures."""
    preset = with_losses(
        replace(tiny, weights=LossWeights(perceptual=5.0, l1=10.0), person_gain=0.0, previous_zeros=1.0), losses
    )
    learning = learner(preset, vgg=Seen())
    pair = collated([learning._pairs.pair(item) for item in learning._items(0)])
    with torch.no_grad():
        (first, second), opacities = learning._drawn(pair)
        terms = learning._pixel_terms(pair, (first, second), opacities)
    by_hand = {
        "l1": sum(
            (counted * (drawn - real).abs()).mean()
            for drawn, real, counted in zip((first, second), pair.pictures, pair.counted, strict=True)
        ),
        "opacity": sum(
            (counted * (opacity - mask).abs()).mean()
            for opacity, mask, counted in zip(opacities, pair.masks, pair.counted, strict=True)
        ),
        "perceptual": sum(
            (1 / 32 + 1 / 16 + 1 / 8 + 1 / 4 + 1) * (drawn - real).abs().mean()
            for drawn, real in zip((first, second), pair.pictures, strict=True)
        ),
    }
    assert set(terms) == set(by_hand)
    for name, total in by_hand.items():
        torch.testing.assert_close(terms[name], share * total, rtol=1e-5, atol=1e-7)


def test_feature_matching_is_summed_over_three_scales_where_asked(learner, tiny):
    """With sum, the first step's term is three times that with mean."""
    mean, total = (
        learner(replace(tiny, discriminator_scales=3, feature_matching=over)).step(0.0)["feature_matching"]
        for over in ("mean", "sum")
    )
    assert total == pytest.approx(3 * mean, rel=1e-3)


def test_terms_of_weight_0_are_not_computed(learner, tiny):
    """A term of weight 0 is not computed."""
    preset = replace(tiny, weights=LossWeights(feature_matching=0.0, l1=0.0))
    assert set(learner(preset).step(0.0)) == {"adversarial", "opacity", "judge"}


def test_enhancer_starts_warm_and_its_trunk_waits(learner, enhanced):
    """The enhancer takes the coarse generator's weights; they are fixed for the first tenth, and then learn."""
    coarse = learner(coarse_stage(enhanced), half_size=True)
    coarse.step(0.0)
    fine = learner(enhanced)
    coarse.restores = 1
    fine.warm_start(coarse)
    again = learner(enhanced)
    again.load_state(fine.state())  # what the record says of it is known after a restart too
    assert (again.coarse_pictures, again.coarse_restores) == (2, 1)
    assert isinstance(fine.generator, LocalEnhancer)
    trunk = fine.generator.trunk
    warm = {name: value.clone() for name, value in trunk.state_dict().items()}
    head = fine.generator.head.conv.weight.clone()
    torch.testing.assert_close(warm["head.conv.weight"], coarse.averaged.head.conv.weight, rtol=0, atol=0)
    fine.step(0.05)
    assert not torch.equal(fine.generator.head.conv.weight, head)
    torch.testing.assert_close(dict(trunk.state_dict()), warm, rtol=0, atol=0)
    fine.step(0.1)
    assert not torch.equal(trunk.head.conv.weight, warm["head.conv.weight"])
    with pytest.raises(ValueError, match="only a local enhancer"):
        coarse.warm_start(coarse)


def test_abandoned_step_changes_nothing(learner):
    """A step that is stopped while drawing changes no weight, no count and no optimizer."""
    given_up, whole = learner(), learner()
    given_up.asked_to_stop = lambda: True
    with pytest.raises(StepAbandoned):
        given_up.step(0.0)
    assert given_up.pictures_seen == 0
    given_up.asked_to_stop = lambda: False
    assert given_up.step(0.0) == whole.step(0.0)


def test_last_weights_are_served_where_none_are_averaged(learner, tiny):
    """A half-life of 0 serves the last weights, as in the published code."""
    last = learner(replace(tiny, average_half_life=0.0))
    last.step(0.0)
    torch.testing.assert_close(last.averaged.state_dict(), last.generator.state_dict(), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler meets warnings of torch's own
def test_compiled_training_computes_the_same(prepared, tiny):
    """torch.compile changes no loss beyond rounding, and weights keep their names."""
    pairs = pairs_for(tiny, prepared, split_footage([True] * len(prepared)), 1)
    plain, compiled = (BodyLearner(tiny, pairs, Computing(seed=1, compiled=how)) for how in (False, True))
    assert compiled.step(0.0) == pytest.approx(plain.step(0.0), rel=1e-3)
    assert compiled.state()["generator"].keys() == plain.state()["generator"].keys()
