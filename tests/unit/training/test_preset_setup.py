"""What follows from a preset: its references."""

from dataclasses import replace

import pytest

from serving.actors.store import NetworkShape
from serving.errors import NoBody
from tests.unit.training.conftest import walking_bar
from training.data.references import ReferenceRules
from training.preset_setup import references_for


@pytest.fixture
def preset(tiny):
    """The tiny recipe with a reference."""
    shape = NetworkShape(base_channels=4, downsamplings=1, blocks=1, plate=True, reference=True)
    return replace(tiny, generator=shape, face=None, references=ReferenceRules())


def test_footage_without_references_far_enough_away_is_refused_in_words(preset, tmp_path):
    """In three quarters of a second, the frames in the middle have no other that is half a second away."""
    prepared = walking_bar(tmp_path, frames=18)
    with pytest.raises(
        NoBody, match=r"too short: .*at least 0.5 s before or after it, and 8 of 18 frames have none; film"
    ):
        references_for(preset, prepared, prepared.split())


def test_two_seconds_of_footage_are_long_enough(preset, tmp_path):
    """Every frame has limbs at least half a second away."""
    prepared = walking_bar(tmp_path, frames=48)
    assert references_for(preset, prepared, prepared.split()) is not None


def test_presets_without_a_reference_take_shorter_footage(tiny, tmp_path):
    """They have no wardrobe."""
    prepared = walking_bar(tmp_path, frames=18)
    assert references_for(tiny, prepared, prepared.split()) is None
