"""The committed samples are complete and small."""

from __future__ import annotations

from pathlib import Path

from motion.labelmap import LABEL_MAP_VERSION
from serving.actors.store import ActorStore


def test_the_sample_actor_can_be_served(root: Path):
    """The sample actor loads, with this code's label-map version, a face network and a plate."""
    actor = ActorStore(root / "samples" / "actors").load("sample")
    assert actor.label_map_version == LABEL_MAP_VERSION
    assert actor.face is not None
    assert actor.read_plate().shape == (512, 512, 3)


def test_the_samples_are_small(root: Path):
    """Generator, face network and plate are under 20 MB together, the source clip under 1 MB."""
    actor = ActorStore(root / "samples" / "actors").load("sample")
    files = (actor.generator_path, actor.face_path, actor.plate_path)
    assert sum(path.stat().st_size for path in files) < 20_000_000
    assert (root / "samples" / "source_clip.mp4").stat().st_size < 1_000_000
