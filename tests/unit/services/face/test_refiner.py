"""The refiner: its results, and the crops it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from motion.frame import Picture
from services.face.refiner import FaceCrop, FaceNetwork, open_face_network, refine
from serving.actors.store import Actor
from serving.errors import ActorUnusable, BadPicture

SIDE_PX = 8


class FakeEngine:
    """Adds the actor's version to the face; the label must come first."""

    precision = "f32"

    def __init__(self, version: int, grows: bool = False) -> None:
        self.version = version
        self.grows = grows

    def run(self, *pictures: Picture) -> Picture:
        """See `serving.inference.engine.PictureEngine`."""
        return self.run_all([pictures])[0][0]

    def run_all(self, items: Sequence[Sequence[Picture]]) -> list[tuple[Picture, ...]]:
        """See `serving.inference.engine.PictureEngine`."""
        return [(self._refined(*pictures),) for pictures in items]

    def _refined(self, first: Picture, second: Picture) -> Picture:
        assert (first == 255).all()
        return np.zeros((9, 9, 3), np.uint8) if self.grows else (second + self.version).astype(np.uint8)

    def run_batch(self, items: Sequence[Sequence[Picture]]) -> list[Picture]:
        """See `serving.inference.engine.PictureEngine`."""
        return [self.run(*pictures) for pictures in items]


def network(version: int, *, grows: bool = False) -> FaceNetwork:
    """The network of one version of the actor "a"."""
    rule = SimpleNamespace(crop_px=SIDE_PX)
    actor = cast("Actor", SimpleNamespace(id="a", version=version, face_rule=rule))
    return FaceNetwork(actor, FakeEngine(version, grows))


def crop(value: int, side_px: int = SIDE_PX) -> FaceCrop:
    """A face of one colour, on an empty label map."""
    return FaceCrop(np.full((side_px, side_px, 3), value, np.uint8), np.full((side_px, side_px, 3), 255, np.uint8))


def test_crops_come_back_in_order():
    """Each result is what its network makes of the crop."""
    faces = refine(network(2), [crop(10), crop(20)])
    assert [int(np.asarray(face)[0, 0, 0]) for face in faces] == [12, 22]


def test_a_crop_of_another_size_harms_only_itself():
    """The wrong crop is refused by name and size; its neighbours in the batch are refined."""
    good, bad = refine(network(1), [crop(10), crop(10, side_px=4)])
    assert int(np.asarray(good)[0, 0, 0]) == 11
    assert isinstance(bad, BadPicture)
    assert "4x4" in str(bad)
    assert "8x8" in str(bad)


def test_a_network_of_another_size_is_the_actors_fault():
    """The network's output is checked, and the error names the actor."""
    with pytest.raises(ActorUnusable, match=r"'a' version 1.*\(9, 9, 3\)"):
        refine(network(1, grows=True), [crop(1)])


def test_an_actor_without_a_face_network_is_unusable():
    """The error says that the actor was trained without a face network."""
    actor = cast("Actor", SimpleNamespace(id="plain", version=1, face=None))
    with pytest.raises(ActorUnusable, match="without a face network"):
        open_face_network(actor, device="cpu", threads=1, precision="auto")
