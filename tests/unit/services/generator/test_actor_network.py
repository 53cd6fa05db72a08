"""The painter: shapes, batches and errors."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from motion.frame import Picture
from services.generator.actor_network import Painter
from serving.actors.store import Actor, NetworkShape
from serving.errors import ActorUnusable, BadInput, BadPicture


def actor(*, reference: bool = False) -> Actor:
    """An actor with a crop of 6x4 pixels, with or without a wardrobe."""
    crop, generator = SimpleNamespace(out_width_px=6, out_height_px=4), NetworkShape(1, 0, 0, reference=reference)
    return cast("Actor", SimpleNamespace(id="a", version=3, crop=crop, generator=generator))


ACTOR = actor()


class FakeEngine:
    """Returns the label map with `dtype` and `shape`; records the sizes of its batches."""

    precision = "f32"

    def __init__(self, shape: tuple[int, ...] = (4, 6, 3), dtype: type = np.uint8, fails: bool = False) -> None:
        self.shape, self.dtype, self.fails = shape, dtype, fails
        self.batches: list[int] = []
        self.shapes: list[tuple[int, ...]] = []

    def run(self, *pictures: Picture) -> Picture:
        """See `serving.inference.engine.PictureEngine`."""
        return self.run_batch([pictures])[0]

    def run_batch(self, items: Sequence[Sequence[Picture]]) -> list[Picture]:
        """See `serving.inference.engine.PictureEngine`."""
        if self.fails:
            raise RuntimeError("shapes do not match")
        self.batches.append(len(items))
        self.shapes = [picture.shape for picture in items[0]]
        return [np.resize(first, self.shape).astype(self.dtype) for first, *_ in items]

    def run_all(self, items: Sequence[Sequence[Picture]]) -> list[tuple[Picture, ...]]:
        """See `serving.inference.engine.PictureEngine`; the reference comes back as the person."""
        return [(frame, *pictures[2:]) for frame, pictures in zip(self.run_batch(items), items, strict=True)]


def pair(value: int) -> tuple[Picture, Picture]:
    """A label map of one colour, and the zero picture."""
    return np.full((4, 6, 3), value, np.uint8), np.full((4, 6, 3), 128, np.uint8)


@pytest.mark.parametrize(("one_by_one", "batches"), [(True, [1, 1, 1, 1]), (False, [1, 3])])
def test_a_cpu_paints_one_by_one_and_a_gpu_together(one_by_one: bool, batches: list[int]):
    """After a warm-up of one picture, three are drawn one by one or together, in order, each with its time."""
    engine = FakeEngine()
    painted = Painter(ACTOR, engine, one_by_one=one_by_one).paint([pair(1), pair(2), pair(3)])
    assert engine.batches == batches
    assert [int(item.frame[0, 0, 0]) for item in painted] == [1, 2, 3]
    assert all(item.compute_seconds > 0 for item in painted)


def test_the_person_is_drawn_only_on_request():
    """With a reference the network returns the person as well, if it is requested."""
    item = (*pair(1), np.full((4, 6, 4), 9, np.uint8))
    painter = Painter(actor(reference=True), FakeEngine(), one_by_one=True)
    assert painter.draws_person
    assert painter.paint([item])[0].person is None
    drawn = painter.paint([item], with_person=True)[0]
    assert int(drawn.frame[0, 0, 0]) == 1
    assert drawn.person is not None
    assert (drawn.person == 9).all()


def test_a_network_without_a_person_cannot_return_one():
    """An actor of an earlier release has one output; asking for the person names the actor."""
    painter = Painter(ACTOR, FakeEngine(), one_by_one=True)
    assert not painter.draws_person
    with pytest.raises(
        ActorUnusable, match=r"'a' version 3: its network returns uint8 \(4, 6, 3\), expected.*and uint8"
    ):
        painter.paint([pair(1)], with_person=True)


def test_an_empty_batch_is_allowed():
    """An empty batch, which a client may send, returns an empty one."""
    for one_by_one in (True, False):
        assert Painter(ACTOR, FakeEngine(), one_by_one=one_by_one).paint([]) == []


@pytest.mark.parametrize("engine", [FakeEngine(shape=(4, 4, 3)), FakeEngine(dtype=np.float32), FakeEngine(fails=True)])
def test_a_network_that_breaks_the_contract_is_rejected_at_load(engine: FakeEngine):
    """Triton does not check shapes and types; the warm-up does, and its error names the actor."""
    with pytest.raises(ActorUnusable, match="'a' version 3"):
        Painter(ACTOR, engine, one_by_one=True)


def test_pictures_are_checked_by_name():
    """The error names the input, its shape and type, and what the actor expects."""
    painter = Painter(ACTOR, FakeEngine(), one_by_one=True)
    painter.check("LABEL_MAP", pair(1)[0])
    for wrong in (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 6, 3), np.float32)):
        with pytest.raises(BadPicture, match=r"PREVIOUS_FRAME.*'a' version 3 takes uint8 \(4, 6, 3\)"):
            painter.check("PREVIOUS_FRAME", wrong)


def test_only_actors_with_a_wardrobe_take_a_reference():
    """The warm-up draws with a reference if the actor has one; a missing or an unexpected input is named."""
    engine = FakeEngine()
    painter = Painter(actor(reference=True), engine, one_by_one=True)
    assert engine.shapes == [(4, 6, 3), (4, 6, 3), (4, 6, 4)]
    painter.check("REFERENCE", np.zeros((4, 6, 4), np.uint8))
    with pytest.raises(BadPicture, match=r"REFERENCE.*takes uint8 \(4, 6, 4\)"):
        painter.check("REFERENCE", np.zeros((4, 6, 3), np.uint8))
    painter.check_names({"LABEL_MAP", "PREVIOUS_FRAME", "REFERENCE"})
    with pytest.raises(BadInput, match="REFERENCE: is missing, and actor 'a' version 3 needs it"):
        painter.check_names({"LABEL_MAP", "PREVIOUS_FRAME"})
    plain = Painter(ACTOR, engine, one_by_one=True)
    assert engine.shapes == [(4, 6, 3), (4, 6, 3)]
    with pytest.raises(BadInput, match="REFERENCE: was sent, and actor 'a' version 3 does not take it"):
        plain.check_names({"LABEL_MAP", "PREVIOUS_FRAME", "REFERENCE"})
