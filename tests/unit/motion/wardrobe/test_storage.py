"""The wardrobe's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from motion.documents import BadDocument
from motion.pose import Pose
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.storage import WARDROBE_FILE, read_wardrobe, write_wardrobe


def test_a_wardrobe_survives_its_file(wardrobe: Wardrobe, poses: list[Pose], tmp_path: Path) -> None:
    """A wardrobe read back draws the same bytes."""
    write_wardrobe(tmp_path / WARDROBE_FILE, wardrobe)
    read = read_wardrobe(tmp_path / WARDROBE_FILE)
    assert read.frames.tolist() == wardrobe.frames.tolist()
    assert np.array_equal(draw_reference(read, poses[2]).picture, draw_reference(wardrobe, poses[2]).picture)


def test_a_truncated_file_is_refused(wardrobe: Wardrobe, tmp_path: Path) -> None:
    """A file that ends early is a bad document."""
    path = tmp_path / WARDROBE_FILE
    write_wardrobe(path, wardrobe)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BadDocument):
        read_wardrobe(path)
