"""The sizes at which an actor can be drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from motion.frame import FrameSize
from serving.actors.sizes import crop_at, own_size, picture_sizes
from serving.actors.store import Actor, ActorStore


@pytest.fixture(scope="module")
def sample(root: Path) -> Actor:
    """The sample actor, 512x512 with a wardrobe."""
    return ActorStore(root / "samples" / "actors").load("sample")


def of(sample: Actor, width_px: int, height_px: int, **shape: Any) -> list[tuple[int, int]]:
    """The sizes of an actor with this crop and network."""
    crop = replace(sample.crop, out_width_px=width_px, out_height_px=height_px)
    actor = replace(sample, crop=crop, generator=replace(sample.generator, **shape))
    return [(size.width_px, size.height_px) for size in picture_sizes(actor)]


def test_an_actor_with_a_wardrobe_has_smaller_sizes(sample: Actor) -> None:
    """The own size comes first, then three quarters and half of it."""
    assert of(sample, 512, 512) == [(512, 512), (384, 384), (256, 256)]
    assert of(sample, 1024, 768) == [(1024, 768), (768, 576), (512, 384)]


def test_other_actors_have_one_size(sample: Actor) -> None:
    """A network that invents the whole person is trained for one size."""
    assert of(sample, 512, 512, reference=False) == [(512, 512)]


def test_sizes_suit_the_network_and_the_eye(sample: Actor) -> None:
    """Sides are multiples of what the network halves, and at least 256."""
    assert of(sample, 256, 256) == [(256, 256)]
    assert of(sample, 512, 352) == [(512, 352), (384, 264)]
    assert of(sample, 512, 352, downsamplings=4) == [(512, 352)]


def test_a_crop_shows_the_same_at_every_size(sample: Actor) -> None:
    """Only the picture is smaller."""
    small = crop_at(sample, FrameSize(256, 256))
    assert own_size(replace(sample, crop=small)) == FrameSize(256, 256)
    assert replace(small, out_width_px=512, out_height_px=512) == sample.crop
