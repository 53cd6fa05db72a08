"""Training of the face network: it draws a residual for face crops of the finished body's pictures.

Source: Chan et al. 2019, section 3.3: `min_Gf max_Df E[log Df(xF, yF)] + E[log(1 - Df(xF, G(x)F + r))]`; the body's
generator does not change.
"""

# Shapes: B the batch's crops, S pixels, the side of the face crop.
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from services.face.network import FaceGenerator
from serving.actors.store import NetworkShape
from training.data.pairs import picture_tensor
from training.loop.batches import Ahead
from training.loop.face_crops import FaceCrop
from training.loop.learner import Computing, Learner, weights_fixed
from training.losses.terms import feature_matching, l1_of_face, real_or_fake
from training.networks.discriminator import STORED_NAME, MultiscaleDiscriminator
from training.presets import Preset

_SHOWN_CHANNELS = 6
"""The discriminator's input: a label crop and a picture crop."""


def new_face_network(shape: NetworkShape) -> FaceGenerator:
    """An untrained face network of this shape."""
    return FaceGenerator(shape.base_channels, shape.downsamplings, shape.blocks, shape.padding)


def new_face_discriminator(preset: Preset) -> MultiscaleDiscriminator:
    """The untrained discriminator of faces."""
    return MultiscaleDiscriminator(
        _SHOWN_CHANNELS, preset.face_discriminator_channels, preset.discriminator_layers, scales=1
    )


class FaceLearner(Learner):
    """Trains the face network of `preset` on crops. Raises ValueError without crops or without a face network.

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
            new_face_discriminator(preset),
            preset,
            computing,
            weights=preset.face_weights,
            vgg=vgg,
            pictures_per_item=1,
        )
        self.crops = crops
        self._batches = Ahead(self._batch, self.pictures_per_step)

    def discriminator_alone(self, progress: float) -> bool:
        """See `Learner.discriminator_alone`."""
        return progress < self._preset.face_judge_alone

    def step(self, progress: float) -> dict[str, float]:
        """See `Learner.step`: a batch of crops."""
        preset, weights = self._preset, self._weights
        label, drawn, real, person = (tensor.to(self.device, non_blocking=True) for tensor in self._next(self._batches))
        with self._autocast():
            residual = self.generator(torch.cat([label, drawn], dim=1)).float()
            refined = drawn + residual
            self._abandon_if_asked()
            # Clamped for the discriminator, as when served; the pixel losses pull back what the clamp would hide.
            shown = torch.cat([label, refined.clamp(-1, 1)], dim=1)
            with weights_fixed(self.discriminator):
                on_drawn = self.discriminator(shown)
            on_real = self.discriminator(torch.cat([label, real], dim=1))
            terms = {"adversarial": real_or_fake(on_drawn, is_real=True, loss=preset.adversarial)}
            if weights.feature_matching:
                terms["feature_matching"] = feature_matching(on_drawn, on_real, preset.feature_matching)
            if weights.perceptual:
                terms["perceptual"] = self._perceptual(refined, real)
            if weights.l1:
                terms["l1"] = l1_of_face(refined, real, person)
        if not self.discriminator_alone(progress):
            self._update("generator", weights.total(terms), progress)
        terms[STORED_NAME] = self._update_discriminator(on_real, shown, progress)
        return self._stepped(terms)

    def _batch(self, number: int) -> list[Tensor]:
        """Labels in [0, 1], drawn and real faces in [-1, 1], `[B, 3, S, S]`, and the person, `[B, 1, S, S]`."""

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
