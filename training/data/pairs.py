"""What one training step sees: two consecutive frames of the actor, chosen by the number of pictures seen so far."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motion.frame import Picture
from training.data.plate import grown
from training.data.prepare import PreparedFootage

# Shapes: B 1, H and W pixels.


@dataclass(frozen=True, slots=True)
class Split:
    """Which frames are held out for scores, and which may be trained on: `[F]` bool each. A gap is neither.

    blocks: the held-out frames as ranges, in their order.
    """

    blocks: list[range]
    trained: NDArray[np.bool_]


def split_footage(frames: int, blocks: int = 4, block_frames: int = 8, gap_frames: int = 3) -> Split:
    """Blocks of held-out frames spread evenly over the footage, with a gap on either side.

    Neighbouring frames are nearly the same picture: without the gap, scores would measure memory. Short footage gets
    shorter blocks, so that at least three quarters are trained on. Raises ValueError below 16 frames.
    """
    if frames < 16:
        raise ValueError(f"footage of {frames} frames is too short to hold any out; it takes at least 16")
    while blocks * (block_frames + 2 * gap_frames) > frames / 4 and (block_frames > 1 or gap_frames > 1):
        block_frames, gap_frames = max(1, block_frames - 1), max(1, gap_frames - (block_frames < 2 * gap_frames))
    while blocks > 1 and blocks * (block_frames + 2 * gap_frames) > frames / 4:
        blocks -= 1
    trained = np.ones(frames, bool)
    held_out = []
    for index in range(blocks):
        start = round((index + 0.5) / blocks * frames - block_frames / 2)
        held_out.append(range(start, start + block_frames))
        trained[max(0, start - gap_frames) : start + block_frames + gap_frames] = False
    return Split(held_out, trained)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two consecutive frames, and what the network drew before them. Float32, channels last in memory.

    labels: two of `[1, 3, H, W]` in [0, 1]. pictures: two of `[1, 3, H, W]` in [-1, 1].
    masks: two of `[1, 1, H, W]` in [0, 1], the person; grown_masks: the same with a margin.
    previous: `[1, 3, H, W]` in [-1, 1], zeros half of the time.
    """

    labels: tuple[Tensor, Tensor]
    pictures: tuple[Tensor, Tensor]
    masks: tuple[Tensor, Tensor]
    grown_masks: tuple[Tensor, Tensor]
    previous: Tensor


class Pairs:
    """All pairs of consecutive training frames that show the person.

    With `onto_plate`, what is farther from the person than a margin is replaced by the plate, in what the network is to
    draw and in what its judge sees: props, passers-by and moving leaves are in no pose, and would be drawn somewhere.
    previous_noise: standard deviation, in [-1, 1] units, of the noise on a real previous picture.

    Raises ValueError where there is no such pair.
    """

    def __init__(
        self, prepared: PreparedFootage, split: Split, *, onto_plate: bool, previous_noise: float, seed: int
    ) -> None:
        usable = split.trained & np.array([pose is not None for pose in prepared.poses])
        self.first_frames = np.flatnonzero(usable[:-1] & usable[1:])
        if not len(self.first_frames):
            raise ValueError("no two consecutive frames show the person")
        self._prepared = prepared
        self._usable = usable
        self._plate = prepared.stage_plate if onto_plate else None
        self._noise = previous_noise
        self._seed = seed

    def pair(self, pictures_seen: int) -> Pair:
        """The pair after this many pictures: the same for the same seed, whatever happened before."""
        random = np.random.default_rng((self._seed, pictures_seen))
        first = int(random.choice(self.first_frames))
        frames = (first, first + 1)
        masks = [self._prepared.masks[frame] for frame in frames]
        margins = [person_margin(mask) for mask in masks]
        pictures = [self.target(frame, margin) for frame, margin in zip(frames, margins, strict=True)]
        before = self._before(first, random)
        return Pair(
            labels=_two([picture_tensor(self._prepared.labels[frame], 0, 255) for frame in frames]),
            pictures=_two([picture_tensor(picture, 127.5, 127.5) for picture in pictures]),
            masks=_two([picture_tensor(mask[..., None], 0, 255) for mask in masks]),
            grown_masks=_two([picture_tensor(margin[..., None], 0, 255) for margin in margins]),
            previous=torch.zeros_like(picture_tensor(pictures[0], 0, 255)) if before is None else before,
        )

    def target(self, frame: int, margin: NDArray[np.uint8] | None = None) -> Picture:
        """`[H, W, 3]` uint8 RGB: what the network is to draw for this frame."""
        picture: Picture = self._prepared.pictures[frame]
        if self._plate is None:
            return picture
        if margin is None:
            margin = person_margin(self._prepared.masks[frame])
        weight = margin[..., None].astype(np.float32) / 255
        mixed = self._plate + (picture.astype(np.float32) - self._plate) * weight
        target: Picture = np.rint(mixed).astype(np.uint8)
        return target

    def _before(self, first: int, random: np.random.Generator) -> Tensor | None:
        if random.random() < 0.5 or first == 0 or not self._usable[first - 1]:
            return None
        real = picture_tensor(self.target(first - 1), 127.5, 127.5)
        noise_HW3 = random.standard_normal((*real.shape[2:], 3), dtype=np.float32)
        return real + self._noise * torch.from_numpy(noise_HW3).permute(2, 0, 1)[None]


def person_margin(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The person's mask, `[H, W]` uint8, grown by a thirtieth of the picture's height, with a soft edge."""
    height_px = mask.shape[0]
    wide = grown(mask, height_px / 40)
    softness_px = 2 * round(height_px / 120) + 1
    return np.asarray(cv2.blur(wide, (softness_px, softness_px)), np.uint8)


def picture_tensor(picture: NDArray[np.uint8], zero: float, scale: float) -> Tensor:
    """`[H, W, C]` uint8 to `[1, C, H, W]` float32, `(value - zero) / scale`, channels last in memory."""
    values = torch.from_numpy(np.array(picture, dtype=np.float32))
    return ((values - zero) / scale).permute(2, 0, 1)[None]


def _two(tensors: list[Tensor]) -> tuple[Tensor, Tensor]:
    first, second = tensors
    return first, second
