"""Published actors are drawn without services, as they would be when served."""

import numpy as np
import pytest

from serving.actors.store import ActorStore
from tests.tiny_actors import publish_tiny
from tests.tiny_wardrobes import tiny_wardrobe
from training.evaluation.actor_runner import PublishedActor


@pytest.fixture
def acting(tmp_path, pose_at):
    wardrobe = tiny_wardrobe([pose_at(x_px) for x_px in (10, 14, 18)], 32)
    return PublishedActor(publish_tiny(ActorStore(tmp_path / "actors"), tmp_path, "kind", wardrobe=wardrobe))


def test_references_come_from_the_allowed_key_frames(acting, pose_at):
    """Each key frame has other colours, so the pictures show which ones served as the reference."""
    pose = pose_at(14).transformed(2, 2)  # in pixels of the footage, whose crop is halved
    count = acting.wardrobe.key_frames
    only = [np.arange(count) == index for index in range(count)]
    drawn = [acting.run([pose], [allowed])[0][0] for allowed in only]
    assert count > 1
    assert not np.array_equal(drawn[0], drawn[1])
    assert any(np.array_equal(acting.run([pose])[0][0], picture) for picture in drawn)


def test_an_actor_without_a_wardrobe_is_drawn_without_a_reference(tmp_path, pose_at):
    """Actors of earlier releases are drawn from label map and previous picture alone."""
    acting = PublishedActor(publish_tiny(ActorStore(tmp_path / "actors"), tmp_path, "old"))
    assert acting.wardrobe is None
    unrefined, refined = acting.run([pose_at(14), pose_at(15)])
    assert (len(unrefined), len(refined)) == (2, 2)
    assert (acting.frames_per_second or 0) > 0
