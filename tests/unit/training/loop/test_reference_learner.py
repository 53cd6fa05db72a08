"""The body's training with references, in a few steps of a tiny network."""

from dataclasses import replace

import pytest
import torch

from serving.actors.store import NetworkShape
from tests.unit.training.conftest import walking_bar
from training.data.references import ReferenceRules
from training.loop.body_learner import BodyLearner, with_lower_share
from training.loop.learner import Computing
from training.preset_setup import pairs_for, references_for
from training.presets import with_losses


@pytest.fixture
def preset(tiny):
    """The tiny recipe with a reference; every second step is made up."""
    shape = NetworkShape(base_channels=4, downsamplings=1, blocks=1, plate=True, reference=True)
    return replace(tiny, generator=shape, face=None, references=ReferenceRules(made_up=0.5))


@pytest.fixture
def learner(preset, tmp_path):
    """Makes a learner, always with the same first weights."""
    prepared = walking_bar(tmp_path, frames=64)
    split = prepared.split()

    def make(recipe=preset, batch=1):
        pairs = pairs_for(recipe, prepared, split, 1, references_for(recipe, prepared, split))
        return BodyLearner(recipe, pairs, Computing(seed=1, batch=batch))

    return make


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_first_picture_is_nearly_the_reference_over_the_plate(learner):
    """Training starts with the wardrobe's picture, of which a share of 0.73 is copied at once."""
    first = learner()
    pair = first._pairs.pair(0)
    with torch.no_grad():
        (picture, _), _ = first._drawn(pair)
    reference = pair.references[0]
    over = reference[:, :3] + (1 - reference[:, 3:]) * pair.plate
    covered, empty = reference[:, 3:] > 0.95, reference[:, 3:] == 0
    assert ((picture - over).abs() * empty).max() < 0.1
    assert ((picture - over).abs() * covered).sum() / covered.sum() / 3 < 0.3


def test_served_networks_copy_more_than_training_draws(learner, preset):
    """The share begins at 0.73 in training and at 0.82 when served; a logit lowered by 0.5 is what training draws."""
    served = learner().averaged(torch.rand(1, 10, 32, 32))
    torch.testing.assert_close(served[:, 4:].logit(), torch.full_like(served[:, 4:], 1.5))
    in_training = with_lower_share(served, preset.references.copy_more)
    torch.testing.assert_close(in_training[:, 4:].logit(), torch.full_like(served[:, 4:], 1.0))
    torch.testing.assert_close(in_training[:, :4], served[:, :4])


def test_made_up_steps_train_the_generator_alone(learner):
    """Their target is no filmed picture, so the discriminator neither judges nor learns it."""
    made_up = learner()
    number = next(number for number in range(2, 100, 2) if made_up._pairs.makes_up(number))
    made_up.pictures_seen = number
    judge, generator = weights(made_up.discriminator), weights(made_up.generator)
    assert list(made_up.step(0.0)) == ["l1", "opacity"]
    torch.testing.assert_close(weights(made_up.discriminator), judge, rtol=0, atol=0)
    assert not torch.equal(made_up.generator.tail.weight, generator["tail.weight"])


def test_gradients_have_the_precision_of_the_weights(learner, preset):
    """Only pictures and losses are computed in bf16, in made-up steps too: gradients follow outside of autocast."""
    mixed = learner(replace(preset, precision="bf16"))
    during = []
    mixed.generator.tail.weight.register_hook(lambda gradient: during.append(torch.is_autocast_enabled("cpu")))
    names = {tuple(mixed.step(0.0)) for _ in range(6)}
    assert len(names) == 2
    assert during == [False] * 6


def test_pairs_of_a_batch_are_all_made_up_or_none(learner):
    """A step has one set of losses, whatever the number of its pairs."""
    both = learner(batch=2)
    names = {tuple(both.step(0.0)) for _ in range(6)}
    assert names == {("adversarial", "feature_matching", "l1", "opacity", "judge"), ("l1", "opacity")}


def test_resumed_training_with_references_takes_the_same_steps(learner):
    """References and made-up poses derive from the number of pictures, so the losses are the same to the last bit."""
    whole, begun = learner(), learner()
    expected = [whole.step(0.0) for _ in range(4)]
    for _ in range(2):
        begun.step(0.0)
    resumed = learner()
    resumed.load_state(begun.state())
    assert [resumed.step(0.0) for _ in range(2)] == expected[2:]


def test_row_without_time_still_sees_the_reference(learner, preset):
    """Without temporal losses the weights of the previous picture are zero, those of the reference are not."""
    head = learner(with_losses(preset, "pix2pixhd")).generator.head.conv.weight
    assert not head[:, 3:6].any()
    assert head[:, 6:].any()
