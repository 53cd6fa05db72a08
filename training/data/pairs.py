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
from motion.pose import Pose
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.placing import place
from serving.errors import NoBody
from serving.pictures.compositing import laid_over
from training.data.augmentation import Affine, Jitter, moved_picture, moved_pose
from training.data.made_up_poses import with_arms_elsewhere
from training.data.plate import grown
from training.data.prepared_footage import PreparedFootage
from training.data.references import ReferencePicture, ReferenceRules, References
from training.data.shadows import covered_with_shadow
from training.data.split import Split

# Shapes: B 1, H and W pixels.

Targets = Literal["filmed", "masked", "painted"]
"""How target pictures are made from the footage.

filmed: unchanged. masked: the plate replaces everything beyond a margin around the person, and pixels of props within
the margin do not count. painted: props in front of and beside the person are painted over, then masked.
"""

_HALF = 127
_OF_REFERENCES = 7
"""Seeds the choices about references apart from all others, which stay the same without them."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two consecutive frames and the picture before them. Float32, channels last in memory.

    labels: two of `[1, 3, H, W]` in [0, 1]. pictures: two of `[1, 3, H, W]` in [-1, 1].
    masks: two of `[1, 1, H, W]` in [0, 1], the person, and beside it the shadow's opacity; grown_masks: with a margin.
    counted: two of `[1, 1, H, W]`, 0 for pixels to leave out of the pixel losses, otherwise 1.
    previous: `[1, 3, H, W]` in [-1, 1], often zeros. plate: the same shape, moved with the pair; None without one.
    references: two of `[1, 4, H, W]`, see `reference_tensor`; None without a wardrobe.
    made_up: whether the poses are made up; the pictures are then what the wardrobe shows, not what was filmed.
    """

    labels: tuple[Tensor, Tensor]
    pictures: tuple[Tensor, Tensor]
    masks: tuple[Tensor, Tensor]
    grown_masks: tuple[Tensor, Tensor]
    counted: tuple[Tensor, Tensor]
    previous: Tensor
    plate: Tensor | None
    references: tuple[Tensor, Tensor] | None = None
    made_up: bool = False


class Pairs:
    """All pairs of consecutive training frames that show the person, except across a cut or jump.

    onto_plate: whether pairs have the plate. targets: the pictures that the network should draw and its discriminator
    sees; only "filmed" without a plate. Poses do not show props, passers-by and moving leaves, so a network that learns
    them draws them in the wrong place. jitter: how pairs are moved; only with a plate. previous_zeros: how often the
    previous picture is zeros, in [0, 1]. previous_noise: standard deviation, in [-1, 1] units, of the noise on a real
    previous picture. references, rules: for pairs with references; only with a plate.

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
        references: References | None = None,
        rules: ReferenceRules | None = None,
        seed: int,
    ) -> None:
        if (references is not None or rules is not None) and (references is None or rules is None or not onto_plate):
            raise ValueError("pairs with references need a wardrobe, its rules and a plate")
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
        self._references = references
        self._rules = rules
        self._seed = seed

    def makes_up(self, pictures_seen: int) -> bool:
        """Whether the step after this many pictures draws made-up poses: all of its pairs do, or none."""
        if self._rules is None or pictures_seen == 0:  # the first step has all losses
            return False
        random = np.random.default_rng((self._seed, pictures_seen, _OF_REFERENCES, 0))
        return bool(random.random() < self._rules.made_up)

    def pair(self, pictures_seen: int, *, made_up: bool = False) -> Pair:
        """The pair after this many pictures. It depends only on this number, the seed and `made_up`.

        made_up: draw poses that the footage does not show. Raises ValueError without references.
        """
        random = np.random.default_rng((self._seed, pictures_seen))
        of_references = np.random.default_rng((self._seed, pictures_seen, _OF_REFERENCES, 1))
        first = int(random.choice(self.first_frames))
        frames = (first, first + 1)
        height_px, width_px = self._prepared.masks.shape[1:]
        affine = None if self._jitter is None else self._jitter.draw(random, width_px, height_px)

        def moved(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return picture if affine is None else moved_picture(picture, affine)

        plate = None if self._plate is None else moved(self._plate)
        if made_up:
            return self._made_up(frames, affine, plate, of_references)
        masks, margins = zip(*map(self._covered, frames), strict=True)
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
            plate=None if plate is None else picture_tensor(plate, 127.5, 127.5),
            references=self._drawn_references(frames, affine, of_references),
        )

    def target(self, frame: int, margin: NDArray[np.uint8] | None = None) -> Picture:
        """The picture that the network should draw for this frame, `[H, W, 3]` uint8 RGB."""
        picture: Picture = (self._prepared.targets if self._targets == "painted" else self._prepared.pictures)[frame]
        if self._targets == "filmed" or self._plate is None:
            return picture
        if margin is None:
            _, margin = self._covered(frame)
        weight = margin[..., None].astype(np.float32) / 255
        mixed = self._plate + (picture.astype(np.float32) - self._plate) * weight
        target: Picture = np.rint(mixed).astype(np.uint8)
        return target

    def _covered(self, frame: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """How much the person, with the shadow of the wardrobe, covers; and the same with a margin."""
        mask: NDArray[np.uint8] = self._prepared.masks[frame]
        margin = person_margin(mask)
        shadow = None if self._references is None else self._references.wardrobe.shadow
        if shadow is None:
            return mask, margin
        covered, shaded = covered_with_shadow(shadow, np.ascontiguousarray(mask), self._prepared.crop_pose(frame))
        return covered, np.maximum(margin, person_margin(shaded))

    def _drawn_references(
        self, frames: tuple[int, int], affine: Affine | None, random: np.random.Generator
    ) -> tuple[Tensor, Tensor] | None:
        references, rules = self._references, self._rules
        if references is None or rules is None:
            return None
        difficulties = references.difficulties(rules, random)
        first, second = (self._pose(frame, affine) for frame in frames)
        drawn = references.draw(frames[0], first, difficulties=difficulties)
        after = references.draw(frames[1], second, drawn.choice, difficulties)
        return reference_tensor(drawn.picture), reference_tensor(after.picture)

    def _made_up(
        self, frames: tuple[int, int], affine: Affine | None, plate: Picture | None, random: np.random.Generator
    ) -> Pair:
        """A pair without filmed pictures: from references with difficulties, the network should draw those without."""
        references, rules = self._references, self._rules
        if references is None or rules is None or plate is None:
            raise ValueError("only pairs with references have made-up poses")
        wardrobe, difficulties = references.wardrobe, references.difficulties(rules, random)
        swing = int(random.integers(2**32))  # the same for both frames
        poses: list[Pose] = []
        for frame in frames:
            pose = self._pose(frame, affine)
            torso_px = place(pose, wardrobe.limb_lengths_px).scale_px
            poses.append(with_arms_elsewhere(pose, torso_px, np.random.default_rng(swing)))
        height_px, width_px = plate.shape[:2]
        seen = draw_reference(wardrobe, poses[0])
        best = [seen.picture, draw_reference(wardrobe, poses[1], seen.choice).picture]
        drawn = references.draw(frames[0], poses[0], difficulties=difficulties)
        worse = [drawn.picture, references.draw(frames[1], poses[1], drawn.choice, difficulties).picture]
        masks = [np.ascontiguousarray(picture[..., 3]) for picture in best]
        pictures = [picture_tensor(laid_over(picture, plate), 127.5, 127.5) for picture in best]
        return Pair(
            labels=_two([picture_tensor(draw_label_map(pose, width_px, height_px), 0, 255) for pose in poses]),
            pictures=_two(pictures),
            masks=_two([picture_tensor(mask[..., None], 0, 255) for mask in masks]),
            grown_masks=_two([picture_tensor(person_margin(mask)[..., None], 0, 255) for mask in masks]),
            counted=_two([torch.ones(1, 1, height_px, width_px) for _ in masks]),
            previous=torch.zeros_like(pictures[0]),
            plate=picture_tensor(plate, 127.5, 127.5),
            references=_two([reference_tensor(picture) for picture in worse]),
            made_up=True,
        )

    def _pose(self, frame: int, affine: Affine | None) -> Pose:
        pose = self._prepared.crop_pose(frame)
        return pose if affine is None else moved_pose(pose, affine)

    def _label(self, frame: int, affine: Affine | None) -> Picture:
        if affine is None:
            label: Picture = self._prepared.labels[frame]
            return label
        # Drawn again, not moved, so that lines keep their width, as for a person of another size.
        height_px, width_px = self._prepared.masks.shape[1:]
        return draw_label_map(self._pose(frame, affine), width_px, height_px)

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


def reference_tensor(picture: ReferencePicture) -> Tensor:
    """`[H, W, 4]` uint8 to `[1, 4, H, W]` float32: RGB in [-1, 1] times the coverage, and the coverage in [0, 1]."""
    values = torch.from_numpy(picture.astype(np.float32))
    coverage = values[..., 3:] / 255
    return torch.cat([values[..., :3] / 127.5 - coverage, coverage], dim=2).permute(2, 0, 1)[None]


def _two(tensors: list[Tensor]) -> tuple[Tensor, Tensor]:
    first, second = tensors
    return first, second
