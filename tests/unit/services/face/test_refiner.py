"""The refiner: whose network runs, which are held, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from motion.frame import Picture
from services.face.refiner import FaceCrop, FaceNetwork, FaceRefiner, open_face_network
from serving.actors import Actor, ActorStore
from serving.errors import ActorNotFound, ActorUnusable, BadPicture

SIDE_PX = 8


class FakeEngine:
    """Adds the actor's version to the face; the label must be what comes first."""

    precision = "f32"

    def __init__(self, version: int, grows: bool = False) -> None:
        self.version = version
        self.grows = grows

    def run(self, first: Picture, second: Picture) -> Picture:
        """See `serving.engine.PictureEngine`."""
        assert (first == 255).all()
        return np.zeros((9, 9, 3), np.uint8) if self.grows else (second + self.version).astype(np.uint8)

    def run_batch(self, pairs: Sequence[tuple[Picture, Picture]]) -> list[Picture]:
        """See `serving.engine.PictureEngine`."""
        return [self.run(*pair) for pair in pairs]


class FakeStore:
    """Actors "a", "b" and "c" of versions 1 and 2; "plain" without a face network."""

    def ids(self) -> list[str]:
        """See `ActorStore.ids`."""
        return ["a", "b", "c", "plain"]

    def load(self, actor_id: str, version: int = 0) -> Actor:
        """See `ActorStore.load`."""
        if actor_id not in self.ids() or version > 2:
            raise ActorNotFound(f"no {actor_id} {version}")
        face = None if actor_id == "plain" else object()
        rule = SimpleNamespace(crop_px=SIDE_PX)
        return cast("Actor", SimpleNamespace(id=actor_id, version=version or 2, face=face, face_rule=rule))


def refiner(opened: list[tuple[str, int]] | None = None, *, max_networks: int = 2, grows: bool = False) -> FaceRefiner:
    """A refiner of fakes, which notes the networks that it opens."""

    def open_network(actor: Actor) -> FaceNetwork:
        if opened is not None:
            opened.append((actor.id, actor.version))
        return FaceNetwork(actor, FakeEngine(actor.version, grows))

    return FaceRefiner(cast("ActorStore", FakeStore()), open_network, max_networks=max_networks)


def crop(value: int, side_px: int = SIDE_PX) -> FaceCrop:
    """A face of one colour, on an empty label map."""
    return FaceCrop(np.full((side_px, side_px, 3), value, np.uint8), np.full((side_px, side_px, 3), 255, np.uint8))


def test_each_version_has_its_own_network():
    """Crops come back in order, from the network of the version that was asked for."""
    faces = refiner().refine("a", 2, [crop(10), crop(20)])
    assert [int(np.asarray(face)[0, 0, 0]) for face in faces] == [12, 22]
    assert int(np.asarray(refiner().refine("a", 1, [crop(10)])[0])[0, 0, 0]) == 11


def test_networks_are_opened_once_and_the_oldest_goes():
    """A network stays open while it is used; beyond the bound, the one used least recently goes."""
    opened: list[tuple[str, int]] = []
    held = refiner(opened)
    for actor_id in ("a", "b", "a", "c", "a"):
        held.refine(actor_id, 1, [crop(1)])
    assert opened == [("a", 1), ("b", 1), ("c", 1)]
    assert held.held() == [("c", 1), ("a", 1)]


def test_a_crop_of_another_size_harms_only_itself():
    """The wrong crop is refused by name and size, its neighbours in the batch are refined."""
    good, bad = refiner().refine("a", 1, [crop(10), crop(10, side_px=4)])
    assert int(np.asarray(good)[0, 0, 0]) == 11
    assert isinstance(bad, BadPicture)
    assert "4x4" in str(bad)
    assert "8x8" in str(bad)


def test_a_network_of_another_size_is_the_actors_fault():
    """What the network gives is checked, and the actor is named."""
    with pytest.raises(ActorUnusable, match=r"'a' version 1.*\(9, 9, 3\)"):
        refiner(grows=True).refine("a", 1, [crop(1)])


def test_an_actor_without_a_face_network_is_unusable(tmp_path: Path):
    """It says that it was trained without one."""
    actor = FakeStore().load("plain", 1)
    with pytest.raises(ActorUnusable, match="without a face network"):
        open_face_network(actor, device="cpu", threads=1, precision="auto")


def test_warm_up_opens_the_newest_as_far_as_there_is_room():
    """Warm-up opens newest versions, and stops where the next would push out the first."""
    opened: list[tuple[str, int]] = []
    refiner(opened, max_networks=2).warm_up()
    assert opened == [("a", 2), ("b", 2)]
