"""Training pairs: two consecutive frames of the actor, chosen by the number of pictures seen so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motion.frame import Picture
from motion.labelmap import draw_label_map
from serving.errors import NoBody
from training.data.augmentation import Affine, Jitter, moved_picture, moved_pose
from training.data.plate import grown
from training.data.prepared_footage import PreparedFootage
from training.data.split import Split

# Shapes: B 1, H and W pixels.

Targets = Literal["filmed", "masked", "painted"]
"""How target pictures are made from the footage.

filmed: unchanged. masked: the plate replaces everything beyond a margin around the person, and pixels of props within
the margin do not count. painted: props in front of and beside the person are painted over, then masked.
"""

_HALF = 127


@dataclass(frozen=True, slots=True)
class Pair:
    """Two consecutive frames and the picture before them. Float32, channels last in memory.

    labels: two of `[1, 3, H, W]` in [0, 1]. pictures: two of `[1, 3, H, W]` in [-1, 1].
    masks: two of `[1, 1, H, W]` in [0, 1], the person; grown_masks: the same with a margin.
    counted: two of `[1, 1, H, W]`, 0 for pixels to leave out of the pixel losses, otherwise 1.
    previous: `[1, 3, H, W]` in [-1, 1], often zeros. plate: the same shape, moved with the pair; None without one.
    """

    labels: tuple[Tensor, Tensor]
    pictures: tuple[Tensor, Tensor]
    masks: tuple[Tensor, Tensor]
    grown_masks: tuple[Tensor, Tensor]
    counted: tuple[Tensor, Tensor]
    previous: Tensor
    plate: Tensor | None


class Pairs:
    """All pairs of consecutive training frames that show the person, except across a cut or jump.

    onto_plate: whether pairs have the plate. targets: the pictures that the network should draw and its discriminator
    sees; only "filmed" without a plate. Poses do not show props, passers-by and moving leaves, so a network that learns
    them draws them in the wrong place. jitter: how pairs are moved; only with a plate. previous_zeros: how often the
    previous picture is zeros, in [0, 1]. previous_noise: standard deviation, in [-1, 1] units, of the noise on a real
    previous picture.

    usable_frames: the training frames that show the person. Raises NoBody if there is no pair, ValueError for options
    that need a plate without one.
    """

    def __init__(
        self,
        prepared: PreparedFootage,
        split: Split,
        *,
        onto_plate: bool,
        targets: Targets = "painted",
        previous_zeros: float,
        previous_noise: float,
        jitter: Jitter | None = None,
        seed: int,
    ) -> None:
        if jitter is not None and not onto_plate:
            raise ValueError("jitter needs a plate: without one it would move the place too")
        if targets != "filmed" and not onto_plate:
            raise ValueError(f"{targets} targets show the plate beside the person: without a plate use filmed ones")
        usable = split.trained & np.array([pose is not None for pose in prepared.poses])
        follows = np.ones(len(usable), bool)
        follows[sorted(prepared.starts)] = False
        self.first_frames = np.flatnonzero(usable[:-1] & usable[1:] & follows[1:])
        if not len(self.first_frames):
            raise NoBody("no two consecutive frames show the person, apart from those that are held out for scores")
        self.usable_frames: list[int] = np.flatnonzero(usable).tolist()
        self._prepared = prepared
        self._usable = usable
        self._plate = prepared.crop_plate if onto_plate else None
        self._targets = targets
        self._zeros, self._noise = previous_zeros, previous_noise
        self._jitter = jitter
        self._seed = seed

    def pair(self, pictures_seen: int) -> Pair:
        """The pair after this many pictures. It depends only on this number and the seed."""
        random = np.random.default_rng((self._seed, pictures_seen))
        first = int(random.choice(self.first_frames))
        frames = (first, first + 1)
        height_px, width_px = self._prepared.masks.shape[1:]
        affine = None if self._jitter is None else self._jitter.draw(random, width_px, height_px)

        def moved(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return picture if affine is None else moved_picture(picture, affine)

        masks = [self._prepared.masks[frame] for frame in frames]
        margins = [person_margin(mask) for mask in masks]
        pictures = [moved(self.target(frame, margin)) for frame, margin in zip(frames, margins, strict=True)]
        counted = [self._counted(frame, margin) for frame, margin in zip(frames, margins, strict=True)]
        before = self._before(first, random)
        previous = torch.zeros_like(picture_tensor(pictures[0], 0, 255))
        if before is not None:
            noise_HW3 = random.standard_normal((height_px, width_px, 3), dtype=np.float32)
            noise_13HW = torch.from_numpy(noise_HW3).permute(2, 0, 1)[None]
            previous = picture_tensor(moved(before), 127.5, 127.5) + self._noise * noise_13HW
        return Pair(
            labels=_two([picture_tensor(self._label(frame, affine), 0, 255) for frame in frames]),
            pictures=_two([picture_tensor(picture, 127.5, 127.5) for picture in pictures]),
            masks=_two([picture_tensor(moved(mask)[..., None], 0, 255) for mask in masks]),
            grown_masks=_two([picture_tensor(moved(margin)[..., None], 0, 255) for margin in margins]),
            counted=_two([picture_tensor(moved(mask)[..., None] > _HALF, 0, 1) for mask in counted]),
            previous=previous,
            plate=None if self._plate is None else picture_tensor(moved(self._plate), 127.5, 127.5),
        )

    def target(self, frame: int, margin: NDArray[np.uint8] | None = None) -> Picture:
        """The picture that the network should draw for this frame, `[H, W, 3]` uint8 RGB."""
        picture: Picture = (self._prepared.targets if self._targets == "painted" else self._prepared.pictures)[frame]
        if self._targets == "filmed" or self._plate is None:
            return picture
        if margin is None:
            margin = person_margin(self._prepared.masks[frame])
        weight = margin[..., None].astype(np.float32) / 255
        mixed = self._plate + (picture.astype(np.float32) - self._plate) * weight
        target: Picture = np.rint(mixed).astype(np.uint8)
        return target

    def _label(self, frame: int, affine: Affine | None) -> Picture:
        if affine is None:
            label: Picture = self._prepared.labels[frame]
            return label
        # Drawn again, not moved, so that lines keep their width, as for a person of another size.
        height_px, width_px = self._prepared.masks.shape[1:]
        return draw_label_map(moved_pose(self._prepared.crop_pose(frame), affine), width_px, height_px)

    def _counted(self, frame: int, margin: NDArray[np.uint8]) -> NDArray[np.uint8]:
        # Beyond the margin the target is the plate, which always counts.
        left_out = (self._prepared.props[frame] > 0) & (margin > 0) & (self._targets != "filmed")
        return np.where(left_out, 0, 255).astype(np.uint8)

    def _before(self, first: int, random: np.random.Generator) -> Picture | None:
        if random.random() < self._zeros or first == 0 or not self._usable[first - 1]:
            return None
        if first in self._prepared.starts:
            return None
        return self.target(first - 1)


def person_margin(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The person's mask, `[H, W]` uint8, grown by a thirtieth of the picture's height, with a soft edge."""
    height_px = mask.shape[0]
    wide = grown(mask, height_px / 40)
    softness_px = 2 * round(height_px / 120) + 1
    return np.asarray(cv2.blur(wide, (softness_px, softness_px)), np.uint8)


def picture_tensor(picture: NDArray[np.uint8 | np.bool_], zero: float, scale: float) -> Tensor:
    """`[H, W, C]` uint8 or bool to `[1, C, H, W]` float32, `(value - zero) / scale`, channels last in memory."""
    values = torch.from_numpy(np.array(picture, dtype=np.float32))
    return ((values - zero) / scale).permute(2, 0, 1)[None]


def _two(tensors: list[Tensor]) -> tuple[Tensor, Tensor]:
    first, second = tensors
    return first, second
