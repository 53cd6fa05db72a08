"""Training of the body's generator on pairs, against a discriminator that sees both frames of a pair at once.

Source: Chan et al. 2019, temporal smoothing:
`min_G max_D E[log D(x0, x1, y0, y1)] + E[log(1 - D(x0, x1, G(x0), G(x1)))]`.
The second picture is drawn on the first, and gradients flow through both. In the ablation's first row, pix2pixHD, each
picture is drawn on zeros and the discriminator sees it by itself.
"""

# Shapes: B the batch's pairs, H and W pixels.
from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor, nn

from services.generator.network import CopyGenerator, Generator, GlobalGenerator, LocalEnhancer, copied
from serving.actors.store import NetworkShape
from training.data.pairs import Pair, Pairs
from training.loop.batches import Ahead, collated, halved, on_device, pinned
from training.loop.learner import Computing, Learner, weights_fixed
from training.losses.temporal import PAIR_CHANNELS, SINGLE_CHANNELS, paired, single
from training.losses.terms import feature_matching, opacity_l1, real_or_fake, weighted_l1
from training.networks.discriminator import STORED_NAME, MultiscaleDiscriminator
from training.presets import Preset

_PREVIOUS_CHANNELS: Final = slice(3, 6)
"""The previous picture in the generator's input, after the label map."""


def new_generator(shape: NetworkShape) -> Generator:
    """An untrained generator of this shape."""
    if shape.reference:
        return CopyGenerator(shape.base_channels, shape.downsamplings, shape.blocks, shape.padding)
    network = LocalEnhancer if shape.enhanced else GlobalGenerator
    return network(
        out_channels=4 if shape.plate else 3,
        base_channels=shape.base_channels,
        downsamplings=shape.downsamplings,
        blocks=shape.blocks,
        padding=shape.padding,
    )


def new_body_discriminator(preset: Preset) -> MultiscaleDiscriminator:
    """The untrained discriminator of pairs, or of single pictures if the preset has no temporal losses."""
    return MultiscaleDiscriminator(
        PAIR_CHANNELS if preset.temporal else SINGLE_CHANNELS,
        preset.discriminator_channels,
        preset.discriminator_layers,
        preset.discriminator_scales,
    )


def with_lower_share(drawn_B5HW: Tensor, logits: float) -> Tensor:
    """What a `CopyGenerator` drew, `[B, 5, H, W]`, with the logit of the reference's share lower by `logits`."""
    share_B1HW = drawn_B5HW[:, 4:]
    lower_B1HW = share_B1HW / (share_B1HW + (1 - share_B1HW) * math.exp(logits))
    return torch.cat([drawn_B5HW[:, :4], lower_B1HW], dim=1)


class BodyLearner(Learner):
    """Trains the generator of `preset` on `pairs`, which have a plate and references if the preset has them.

    vgg: see `Learner`. half_size: the pairs' pictures are twice as large as the preset's.

    coarse_pictures, coarse_restores: counts from the training of the generator given to `warm_start`; 0 without one.
    """

    def __init__(
        self,
        preset: Preset,
        pairs: Pairs,
        computing: Computing,
        *,
        vgg: nn.Module | None = None,
        half_size: bool = False,
    ) -> None:
        super().__init__(
            new_generator(preset.generator),
            new_body_discriminator(preset),
            preset,
            computing,
            weights=preset.weights,
            vgg=vgg,
            pictures_per_item=2,
        )
        self.coarse_pictures = 0
        self.coarse_restores = 0
        self._pairs = pairs
        self._half_size = half_size
        self._batches = Ahead(self._batch, self.pictures_per_step)
        self._forget_previous()
        if preset.references is not None:
            for network in (self.generator, self.averaged):
                assert isinstance(network, CopyGenerator)
                network.begin_with_copy(preset.references.share_logit + preset.references.copy_more)

    def warm_start(self, coarse: BodyLearner) -> None:
        """Take the trunk from a generator that was trained at half size. Raises ValueError for networks without one."""
        for network in (self.generator, self.averaged):
            if not isinstance(network, LocalEnhancer) or not isinstance(coarse.averaged, GlobalGenerator):
                raise ValueError("only a local enhancer starts from a global generator")
            network.warm_start(coarse.averaged)
        self.coarse_pictures, self.coarse_restores = coarse.pictures_seen, coarse.restores

    def state(self) -> dict[str, Any]:
        """See `Learner.state`."""
        coarse = {"coarse_pictures": self.coarse_pictures, "coarse_restores": self.coarse_restores}
        return super().state() | coarse

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state`."""
        super().load_state(state)
        # Absent from checkpoints of earlier releases.
        self.coarse_pictures = int(state.get("coarse_pictures", 0))
        self.coarse_restores = int(state.get("coarse_restores", 0))

    def start_from(self, generator: dict[str, Tensor], discriminator: dict[str, Tensor] | None, source: str) -> None:
        """See `Learner.start_from`."""
        super().start_from(generator, discriminator, source)
        self._forget_previous()

    def step(self, progress: float) -> dict[str, float]:
        """See `Learner.step`: a batch of pairs, two pictures each."""
        preset = self._preset
        pair = on_device(self._next(self._batches), self.device)
        if pair.made_up:
            return self._step_on_pixels(pair, progress)
        shown = paired if preset.temporal else single
        if isinstance(self.generator, LocalEnhancer):
            self.generator.trunk.requires_grad_(progress >= preset.frozen_trunk)
        with self._autocast():
            pictures, opacities = self._drawn(pair)
            self._abandon_if_asked()
            drawn_BCHW = shown(pair.labels, pictures)
            with weights_fixed(self.discriminator):
                on_drawn = self.discriminator(drawn_BCHW)
            # With gradients: the discriminator's own step uses these outputs again.
            on_real = self.discriminator(shown(pair.labels, pair.pictures))
            terms = {"adversarial": real_or_fake(on_drawn, is_real=True, loss=preset.adversarial)}
            if self._weights.feature_matching:
                terms["feature_matching"] = feature_matching(on_drawn, on_real, preset.feature_matching)
            terms |= self._pixel_terms(pair, pictures, opacities)
        self._update("generator", self._weights.total(terms), progress)
        terms[STORED_NAME] = self._update_discriminator(on_real, drawn_BCHW, progress)
        return self._stepped(terms)

    @property
    def loss_names(self) -> tuple[str, ...]:
        """See `Learner.loss_names`."""
        weights = self._weights
        weighed = {
            "feature_matching": weights.feature_matching,
            "perceptual": weights.perceptual,
            "l1": weights.l1,
            "opacity": weights.opacity if self._preset.generator.plate else 0,
        }
        return ("adversarial", *(name for name, weight in weighed.items() if weight), STORED_NAME)

    def _step_on_pixels(self, pair: Pair, progress: float) -> dict[str, float]:
        """A step without the discriminator: the wardrobe drew its target, which is not a filmed picture."""
        with self._autocast():
            pictures, opacities = self._drawn(pair)
            self._abandon_if_asked()
            terms = self._pixel_terms(pair, pictures, opacities)
        self._update("generator", self._weights.total(terms), progress)
        return self._stepped(terms)

    def _batch(self, number: int) -> Pair:
        made_up = self._pairs.makes_up(number)
        pair = collated([self._pairs.pair(item, made_up=made_up) for item in self._items(number)])
        if self._half_size:
            pair = halved(pair)
        return pinned(pair) if self.device == "cuda" else pair

    def _drawn(self, pair: Pair) -> tuple[tuple[Tensor, Tensor], list[Tensor]]:
        """Both pictures in [-1, 1] and, with a plate, both opacities; all float32."""
        nothing_B3HW = torch.zeros_like(pair.previous)
        temporal = self._preset.temporal
        first, first_opacity = self._draw(pair, 0, pair.previous if temporal else nothing_B3HW)
        second, second_opacity = self._draw(pair, 1, first if temporal else nothing_B3HW)
        return (first, second), [opacity for opacity in (first_opacity, second_opacity) if opacity is not None]

    def _draw(self, pair: Pair, index: int, previous_B3HW: Tensor) -> tuple[Tensor, Tensor | None]:
        seen, plate_B3HW = [pair.labels[index], previous_B3HW], pair.plate
        reference_B4HW = None if pair.references is None else pair.references[index]
        if reference_B4HW is not None:
            seen.append(reference_B4HW)
        drawn_BCHW = self.generator(torch.cat(seen, dim=1)).float()
        if plate_B3HW is None:
            return drawn_BCHW, None
        rules = self._preset.references
        if reference_B4HW is not None and rules is not None:
            drawn_BCHW = with_lower_share(drawn_BCHW, rules.copy_more)
            person_B3HW, opacity_B1HW = copied(drawn_BCHW, drawn_BCHW[:, :3], reference_B4HW)
            return person_B3HW + (1 - opacity_B1HW) * plate_B3HW, opacity_B1HW
        opacity_B1HW = drawn_BCHW[:, 3:]
        return plate_B3HW + opacity_B1HW * (drawn_BCHW[:, :3] - plate_B3HW), opacity_B1HW

    def _pixel_terms(self, pair: Pair, pictures: tuple[Tensor, Tensor], opacities: list[Tensor]) -> dict[str, Tensor]:
        """The terms that compare pictures: summed over both frames of a pair, or averaged over two single pictures.

        With temporal smoothing a pair is one example: the discriminator sees it once, and the paper's objective sums
        the pixel terms of its frames. In the `pix2pixhd` row each picture is an example, so all terms are averaged over
        the two, as the discriminator's are.
        """
        weights, gain, real = self._weights, self._preset.person_gain, pair.pictures
        share = 1.0 if self._preset.temporal else 0.5
        terms = {}
        if weights.perceptual:
            first, second = (self._perceptual(*both) for both in zip(pictures, real, strict=True))
            terms["perceptual"] = share * (first + second)
        if weights.l1:
            first, second = (
                weighted_l1(pictures[i], real[i], pair.grown_masks[i], pair.counted[i], gain) for i in (0, 1)
            )
            terms["l1"] = share * (first + second)
        if opacities and weights.opacity:
            first, second = (opacity_l1(opacities[i], pair.masks[i], pair.counted[i]) for i in (0, 1))
            terms["opacity"] = share * (first + second)
        return terms

    def _forget_previous(self) -> None:
        """Without temporal losses, zero the weights of the previous picture. Its zeros give them no gradient."""

        if self._preset.temporal:
            return
        for network in (self.generator, self.averaged):
            assert isinstance(network, GlobalGenerator | LocalEnhancer)
            heads = [network.head, network.trunk.head] if isinstance(network, LocalEnhancer) else [network.head]
            for head in heads:
                with torch.no_grad():
                    head.conv.weight[:, _PREVIOUS_CHANNELS] = 0
