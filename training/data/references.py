"""References for training and scores: the wardrobe of the training frames, and what a frame may be drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion.pose import Pose
from motion.wardrobe.choose import Choice
from motion.wardrobe.draw import Reference, draw_reference
from motion.wardrobe.limbs import LIMB_COUNT, Limb
from motion.wardrobe.make import make_wardrobe
from motion.wardrobe.pieces import WARDROBE_VERSION, Wardrobe
from motion.wardrobe.storage import read_wardrobe, write_wardrobe
from serving.process.atomic_files import written_whole
from training.data.prepared_footage import PreparedFootage
from training.data.split import Split

EXCLUDED_SECONDS: Final = 0.5
"""Nearer frames are nearly the same picture: a network that copies them would learn nothing about other poses."""

_MOST_FRAMES: Final = 6000
"""Key frames are chosen among this many, spread evenly: more take time and memory, and look like those."""

ReferencePicture = NDArray[np.uint8]
"""`[H, W, 4]` uint8: RGB multiplied by the coverage, and the coverage."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceRules:
    """How training makes references worse than served ones, so that the network learns to heal them.

    noisy: the share of pairs whose choice of key frames is disturbed, by `noise` (standard deviation, in the costs of
    the choice). incomplete: the share of pairs that lack limbs, and left_out how often each limb is missing in them.
    made_up: the share of steps that draw made-up poses of the arms, with pixel losses only.
    share_logit: the reference's share in a pixel, as a logit, before the first step. copy_more: how much higher that
    logit is when served than in training. Pixel losses teach softness; where the network does not mind, this copies
    instead.

    Raises ValueError for numbers out of range.
    """

    noisy: float = 0.5
    noise: float = 0.5
    incomplete: float = 0.15
    left_out: float = 0.12
    made_up: float = 0.35
    share_logit: float = 1.0
    copy_more: float = 0.5

    def __post_init__(self) -> None:
        shares = (self.noisy, self.incomplete, self.left_out, self.made_up)
        if not all(0 <= share <= 1 for share in shares) or self.noise < 0 or self.made_up == 1:
            raise ValueError(f"rules for references out of range: {self}")


@dataclass(frozen=True, slots=True)
class Difficulties:
    """What is wrong with the references of one pair: `noise`, `[K, LIMB_COUNT]`, and the limbs left out."""

    noise: NDArray[np.float64] | None = None
    left_out: tuple[Limb, ...] = ()


class References:
    """Draws references of the frames of the footage that `wardrobe` was made from.

    The reference of a frame never comes from within half a second of it.
    """

    def __init__(self, wardrobe: Wardrobe, frame_rate_hz: float) -> None:
        self.wardrobe = wardrobe
        self._near_frames = max(1, math.ceil(EXCLUDED_SECONDS * frame_rate_hz))

    def allowed(self, frame: int) -> NDArray[np.bool_]:
        """`[K]` bool: the key frames that the reference of this frame may come from."""
        return np.asarray(np.abs(self.wardrobe.frames - frame) > self._near_frames)

    def draw(
        self, frame: int, pose: Pose, before: Choice | None = None, difficulties: Difficulties | None = None
    ) -> Reference:
        """Draw the reference of a frame. pose: in pixels of the crop, possibly moved. before: the choice before."""
        made_harder = difficulties or Difficulties()
        return draw_reference(
            self.wardrobe,
            pose,
            before,
            allowed=self.allowed(frame),
            noise=made_harder.noise,
            left_out=made_harder.left_out,
        )

    def run(self, frames: Iterable[tuple[int, Pose]]) -> list[ReferencePicture]:
        """The references of consecutive frames, with their poses in pixels of the crop, as steady as when served."""
        pictures: list[ReferencePicture] = []
        before = None
        for frame, pose in frames:
            drawn = self.draw(frame, pose, before)
            before = drawn.choice
            pictures.append(drawn.picture)
        return pictures

    def of_poses(self, poses: Iterable[Pose]) -> list[ReferencePicture]:
        """The references of consecutive poses of no frame, in pixels of the crop, from all key frames."""
        pictures: list[ReferencePicture] = []
        before = None
        for pose in poses:
            drawn = draw_reference(self.wardrobe, pose, before)
            before = drawn.choice
            pictures.append(drawn.picture)
        return pictures

    def difficulties(self, rules: ReferenceRules, random: np.random.Generator) -> Difficulties:
        """Draw the difficulties of one pair."""
        noisy, incomplete = random.random() < rules.noisy, random.random() < rules.incomplete
        noise = random.normal(0, rules.noise, (self.wardrobe.key_frames, LIMB_COUNT)) if noisy else None
        missing = random.random(LIMB_COUNT) < rules.left_out
        return Difficulties(noise, tuple(limb for limb in Limb if incomplete and missing[limb]))


def training_wardrobe(
    prepared: PreparedFootage, split: Split, on_progress: Callable[[int, int], None] = lambda done, of: None
) -> Wardrobe:
    """The wardrobe of the training frames, made once and kept beside the arrays of the crop.

    It has no held-out frame and none from a gap, so it may be published and scores stay honest. Raises ValueError if no
    training frame can be cut.
    """
    path = _wardrobe_path(prepared)
    frames = [frame for frame in np.flatnonzero(split.trained).tolist() if prepared.poses[frame] is not None]
    frames = frames[:: max(1, math.ceil(len(frames) / _MOST_FRAMES))]
    try:
        kept = read_wardrobe(path)
        if set(kept.frames.tolist()) <= set(frames):
            return kept
    except (OSError, ValueError):  # not made yet, damaged, or of another version
        pass
    wardrobe = make_wardrobe(
        [prepared.targets[frame] for frame in frames],
        [prepared.masks[frame] for frame in frames],
        [prepared.crop_pose(frame) for frame in frames],
        frames,
        filmed=[prepared.pictures[frame] for frame in frames],
        on_progress=on_progress,
    )
    with written_whole(path) as partial:
        write_wardrobe(partial, wardrobe)
    return wardrobe


def _wardrobe_path(prepared: PreparedFootage) -> Path:
    return prepared.folder / f"wardrobe{WARDROBE_VERSION}.npz"
