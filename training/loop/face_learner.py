"""Training of the face's network: a residual on crops of what the finished body's generator draws.

Source: Chan et al. 2019, section 3.3: `min_Gf max_Df E[log Df(xF, yF)] + E[log(1 - Df(xF, G(x)F + r))]`; the body's
generator stays as it is.
"""

# Shapes: B the batch's crops, S pixels, the side of the face crop.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from motion.face_region import FaceRule, cut_face, face_region
from motion.frame import Picture
from motion.pose import Pose
from services.face.network import FaceGenerator
from serving.actors.store import NetworkShape
from training.data.pairs import picture_tensor
from training.loop.ahead import Ahead
from training.loop.learner import Computing, Learner, weights_fixed
from training.losses.adversarial import real_or_fake
from training.losses.feature_matching import feature_matching
from training.networks.discriminator import MultiscaleDiscriminator
from training.presets import Preset

_BESIDE_GAIN = 9.0
_JUDGED_CHANNELS = 6
"""A label crop and a picture's crop."""


def new_face_network(shape: NetworkShape) -> FaceGenerator:
    """A face network of this shape, its weights not yet trained."""
    return FaceGenerator(shape.base_channels, shape.downsamplings, shape.blocks, shape.padding)


def new_face_judge(preset: Preset) -> MultiscaleDiscriminator:
    """The judge of faces, not yet trained."""
    return MultiscaleDiscriminator(
        _JUDGED_CHANNELS, preset.face_discriminator_channels, preset.discriminator_layers, scales=1
    )


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """The face of one frame, `[S, S, 3]` uint8 RGB each: of the label map, as drawn, and as it really is.

    person: `[S, S]` uint8, 255 on the person and a margin around.
    """

    label: Picture
    drawn: Picture
    real: Picture
    person: NDArray[np.uint8]


def face_crop(
    label: Picture, drawn: Picture, real: Picture, person: NDArray[np.uint8], pose: Pose, rule: FaceRule
) -> FaceCrop | None:
    """Cuts the face out of pictures, `[H, W, 3]` uint8, and the person's mask, `[H, W]`; None where there is no face.

    pose: in pixels of the pictures.
    """
    height_px, width_px = label.shape[:2]
    region = face_region(pose, rule, width_px, height_px)
    if region is None:
        return None
    person_HW3 = np.repeat(person[..., None], 3, axis=2)
    label, drawn, real, person_SS3 = (cut_face(p, region, rule.crop_px) for p in (label, drawn, real, person_HW3))
    return FaceCrop(label, drawn, real, person_SS3[..., 0])


class FaceLearner(Learner):
    """Trains the face network of `preset` on crops. Raises ValueError without crops, and for a preset without one.

    vgg: see `Learner`.
    """

    def __init__(
        self, preset: Preset, crops: Sequence[FaceCrop], computing: Computing, *, vgg: nn.Module | None = None
    ) -> None:
        if preset.face is None:
            raise ValueError(f"preset {preset.name} has no face network")
        if not crops:
            raise ValueError("no face to train on")
        super().__init__(
            new_face_network(preset.face),
            new_face_judge(preset),
            preset,
            computing,
            weights=preset.face_weights,
            vgg=vgg,
            pictures_per_item=1,
        )
        self.crops = crops
        self._batches = Ahead(self._batch, self.pictures_per_step)

    def judge_alone(self, progress: float) -> bool:
        """See `Learner.judge_alone`."""
        return progress < self._preset.face_judge_alone

    def step(self, progress: float) -> dict[str, float]:
        """See `Learner.step`: a batch of crops."""
        preset, weights = self._preset, self._weights
        label, drawn, real, person = (tensor.to(self.device, non_blocking=True) for tensor in self._next(self._batches))
        with self._autocast():
            residual = self.generator(torch.cat([label, drawn], dim=1)).float()
            refined = drawn + residual
            self._abandon_if_asked()
            # Clamped for the judge as it is when served; losses by pixels pull back what the clamp would hide.
            judged = torch.cat([label, refined.clamp(-1, 1)], dim=1)
            with weights_fixed(self.judge):
                judged_drawn = self.judge(judged)
            judged_real = self.judge(torch.cat([label, real], dim=1))
            terms = {"adversarial": real_or_fake(judged_drawn, is_real=True, loss=preset.adversarial)}
            if weights.feature_matching:
                terms["feature_matching"] = feature_matching(judged_drawn, judged_real, preset.feature_matching)
            if weights.perceptual:
                terms["perceptual"] = self._seen_alike(refined, real)
            if weights.l1:
                # Beside the person the body's picture is the plate already. Instance norms tempt the network to leave a
                # bright or dark drop where nobody looks; this is dear.
                terms["l1"] = ((1 + _BESIDE_GAIN * (1 - person)) * (refined - real).abs()).mean()
        if not self.judge_alone(progress):
            self._update("generator", weights.total(terms), progress)
        terms["judge"] = self._update_judge(judged_real, judged, progress)
        return self._stepped(terms)

    def _batch(self, number: int) -> list[Tensor]:
        """Labels in [0, 1], faces as drawn and as they are in [-1, 1], `[B, 3, S, S]`; the person, `[B, 1, S, S]`."""
        crops = [self._crop(item) for item in self._items(number)]
        scaled = [
            torch.cat([picture_tensor(picture, zero, scale) for picture in pictures])
            for pictures, zero, scale in (
                ([crop.label for crop in crops], 0, 255),
                ([crop.drawn for crop in crops], 127.5, 127.5),
                ([crop.real for crop in crops], 127.5, 127.5),
                ([crop.person[..., None] for crop in crops], 0, 255),
            )
        ]
        return [tensor.pin_memory() for tensor in scaled] if self.device == "cuda" else scaled

    def _crop(self, item: int) -> FaceCrop:
        random = np.random.default_rng((self.computing.seed, item))
        return self.crops[int(random.integers(len(self.crops)))]
