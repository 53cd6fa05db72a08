"""The committed samples are complete and small."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from motion.labelmap import LABEL_MAP_VERSION
from motion.wardrobe.pieces import FACINGS
from serving.actors.preview import PREVIEW_FRAMES, has_preview
from serving.actors.store import ActorStore


def test_the_sample_actor_can_be_served(root: Path):
    """The sample actor loads, with this code's label-map version, a plate, and a network at 512x512."""
    actor = ActorStore(root / "samples" / "actors").load("sample")
    assert actor.label_map_version == LABEL_MAP_VERSION
    assert (actor.crop.out_width_px, actor.crop.out_height_px) == (512, 512)
    plate = actor.read_plate()
    assert plate.shape == (actor.frame_size.height_px, actor.frame_size.width_px, 3)


def test_the_sample_actor_has_a_wardrobe_from_every_side(root: Path):
    """Its limbs are moved into the asked pose; front, both sides and back are among the key frames."""
    actor = ActorStore(root / "samples" / "actors").load("sample")
    assert actor.generator.reference
    wardrobe = actor.read_wardrobe()
    assert wardrobe.facings() == FACINGS
    assert wardrobe.memory_bytes <= 64 * 2**20


def test_the_sample_actor_has_a_moving_preview(root: Path):
    """It shows two seconds of the dance, and is small enough for a list."""
    preview = ActorStore(root / "samples" / "actors").load("sample").preview_path
    assert has_preview(preview.parent)
    assert preview.stat().st_size < 150_000
    read, moving = cv2.imreadanimation(str(preview))
    assert read
    assert len(moving.frames) == PREVIEW_FRAMES
    assert all(np.any(one != other) for one, other in pairwise(moving.frames))


def test_the_samples_are_small(root: Path):
    """Networks, wardrobe and plate are under 20 MB together, the source clip under 1 MB."""
    actor = ActorStore(root / "samples" / "actors").load("sample")
    assert actor.folder is not None
    assert sum(path.stat().st_size for path in actor.folder.iterdir()) < 20_000_000
    assert (root / "samples" / "source_clip.mp4").stat().st_size < 1_000_000
