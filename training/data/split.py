"""The split of the footage into training frames and frames held out for scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serving.errors import NoBody

FEWEST_FRAMES: Final = 16
_GAP_SECONDS: Final = 0.125
_FRAMES_PER_BLOCK: Final = 400
_FEWEST_BLOCKS, _MOST_BLOCKS = 4, 16


@dataclass(frozen=True, slots=True)
class Split:
    """The frames held out for scores and those trained on. A frame in a gap is neither.

    blocks: the held-out frames as ranges, in order. trained: `[F]` bool.
    """

    blocks: list[range]
    trained: NDArray[np.bool_]

    def part(self, frame: int) -> str:
        """A frame's part in words: training, held out, or gap."""
        if self.trained[frame]:
            return "training"
        return "held out" if any(frame in block for block in self.blocks) else "gap"


def split_by_length(shows_person: Sequence[bool], frame_rate_hz: float) -> Split:
    """`split_footage` with a block for every 400 frames that show the person (at least 4, at most 16).

    A gap lasts at least an eighth of a second and 3 frames. Raises NoBody.
    """
    shown = int(np.count_nonzero(shows_person))
    blocks = min(max(shown // _FRAMES_PER_BLOCK, _FEWEST_BLOCKS), _MOST_BLOCKS)
    return split_footage(shows_person, blocks, gap_frames=_gap_frames(frame_rate_hz))


def near_blocks(blocks: Sequence[range], frame_rate_hz: float) -> set[int]:
    """The frames of the blocks and of the gaps around them."""
    gap = _gap_frames(frame_rate_hz)
    return {frame for block in blocks for frame in range(block.start - gap, block.stop + gap)}


def _gap_frames(frame_rate_hz: float) -> int:
    return max(3, round(_GAP_SECONDS * frame_rate_hz))


def split_footage(shows_person: Sequence[bool], blocks: int = 4, block_frames: int = 8, gap_frames: int = 3) -> Split:
    """Spread blocks of held-out frames evenly over those that show the person, with a gap on either side.

    shows_person: for every frame of the footage. Neighbouring frames are nearly the same picture: without the gap,
    scores would measure memory. If few frames show the person, blocks are shorter, so that about three quarters are
    trained on. Raises NoBody if fewer than 16 frames show the person.
    """
    shown = np.flatnonzero(shows_person)
    frames = len(shown)
    if frames < FEWEST_FRAMES:
        raise NoBody(
            f"only {frames} frames show the person, which is too few to train on some and score others; it takes at "
            f"least {FEWEST_FRAMES}, and several hundred for a good likeness"
        )
    while blocks * (block_frames + 2 * gap_frames) > frames / 4 and (block_frames > 1 or gap_frames > 1):
        block_frames, gap_frames = max(1, block_frames - 1), max(1, gap_frames - (block_frames < 2 * gap_frames))
    while blocks > 1 and blocks * (block_frames + 2 * gap_frames) > frames / 4:
        blocks -= 1
    trained = np.ones(len(shows_person), bool)
    held_out = []
    for index in range(blocks):
        start = round((index + 0.5) / blocks * frames - block_frames / 2)
        block = range(int(shown[start]), int(shown[start + block_frames - 1]) + 1)
        held_out.append(block)
        trained[max(0, block.start - gap_frames) : block.stop + gap_frames] = False
    return Split(held_out, trained)
