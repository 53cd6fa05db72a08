"""The sample actor at half its size, as benchmarks serve it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cases import QUICK_256, make_actor
from motion.wardrobe.storage import WARDROBE_FILE, read_wardrobe
from serving.actors.store import ActorStore


def test_the_half_has_all_pieces_at_half_their_size(root: Path, tmp_path: Path):
    """It has the network, the key frames and the pieces of the sample actor, in pictures of 256x256."""
    whole = ActorStore(root / "samples" / "actors").load("sample")
    half = make_actor(QUICK_256, ActorStore(tmp_path))
    assert (half.crop.out_width_px, half.crop.out_height_px) == (256, 256)
    assert half.generator == whole.generator == QUICK_256.shape
    large, small = read_wardrobe(whole.folder / WARDROBE_FILE), read_wardrobe(half.folder / WARDROBE_FILE)
    assert (small.width_px, small.key_frames) == (256, large.key_frames)
    for layer in range(large.corners_px.shape[1]):
        piece, shrunk = large.piece(0, layer), small.piece(0, layer)
        assert (piece is None) == (shrunk is None)
        if piece is not None and shrunk is not None:
            assert abs(shrunk.shape[0] * 2 - piece.shape[0]) <= 1
