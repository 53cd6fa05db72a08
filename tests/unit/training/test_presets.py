from dataclasses import replace

import pytest

from serving.actors import NetworkShape
from serving.errors import BadInput
from training.presets import PRESETS, preset_named, slim_256


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_found_by_their_own_name(name):
    """Every preset says the name that it is found by."""
    assert preset_named(name).name == name


def test_unknown_presets_are_refused_with_the_known_ones():
    """A misspelt preset is answered with the list."""
    with pytest.raises(BadInput, match="slim-256"):
        preset_named("slim-265")


def test_small_presets_draw_onto_a_plate():
    """The recipe that was measured to work in minutes is the default of the small presets."""
    assert slim_256().generator == NetworkShape(base_channels=32, downsamplings=3, blocks=6, plate=True)
    assert slim_256().face == NetworkShape(base_channels=16, downsamplings=3, blocks=5)


def test_sizes_that_cannot_be_halved_are_refused():
    """Three downsamplings need multiples of 8."""
    with pytest.raises(ValueError, match="multiple of 8"):
        replace(slim_256(), width_px=260)


def test_published_way_weighs_every_pixel_alike_and_begins_on_zeros():
    """Where it is a matter of a number, the published way is as published."""
    paper = preset_named("paper-512")
    assert (paper.person_gain, paper.previous_zeros, paper.weights.opacity) == (0, 1, 0)


@pytest.mark.parametrize(("field", "value"), [("previous_zeros", 1.5), ("person_gain", -1.0)])
def test_numbers_out_of_range_are_refused(field, value):
    """A share beyond 1 and a negative gain are named."""
    with pytest.raises(ValueError, match=field):
        replace(slim_256(), **{field: value})
