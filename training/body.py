"""Training of the body's generator on pairs, against a judge that sees both frames of a pair at once.

Source: Chan et al. 2019, temporal smoothing:
`min_G max_D E[log D(x0, x1, y0, y1)] + E[log(1 - D(x0, x1, G(x0), G(x1)))]`.
The second picture is drawn on the first, and gradients flow through both.
"""

# Shapes: B 1, H and W pixels.
from __future__ import annotations

import torch
from torch import Tensor

from services.generator.network import GlobalGenerator
from serving.actors import NetworkShape
from training.data.pairs import Pairs
from training.discriminator import MultiscaleDiscriminator
from training.learner import Learner, weights_fixed
from training.losses.adversarial import real_or_fake
from training.losses.feature_matching import feature_matching
from training.losses.reconstruction import opacity_l1, weighted_l1
from training.presets import Preset

_JUDGED_CHANNELS = 12
"""Two label maps and two pictures."""


def new_generator(shape: NetworkShape) -> GlobalGenerator:
    """A generator of this shape, its weights not yet trained."""
    return GlobalGenerator(
        out_channels=4 if shape.plate else 3,
        base_channels=shape.base_channels,
        downsamplings=shape.downsamplings,
        blocks=shape.blocks,
    )


class BodyLearner(Learner):
    """Trains the generator of `preset` on `pairs`, which bring a plate where the preset draws onto one."""

    def __init__(self, preset: Preset, pairs: Pairs, *, seed: int, device: str = "cpu") -> None:
        super().__init__(
            new_generator(preset.generator),
            MultiscaleDiscriminator(
                _JUDGED_CHANNELS,
                preset.discriminator_channels,
                preset.discriminator_layers,
                preset.discriminator_scales,
            ),
            learning_rate=preset.learning_rate,
            average_half_life=preset.average_half_life,
            precision=preset.precision,
            device=device,
            seed=seed,
        )
        self._preset = preset
        self._pairs = pairs

    def step(self, progress: float) -> dict[str, float]:
        """See `Learner.step`: one pair, two pictures."""
        pair = self._pairs.pair(self.pictures_seen)
        labels, real, masks, margins, counted = (
            [tensor.to(self.device) for tensor in tensors]
            for tensors in (pair.labels, pair.pictures, pair.masks, pair.grown_masks, pair.counted)
        )
        plate_13HW = None if pair.plate is None else pair.plate.to(self.device)
        terms: dict[str, Tensor] = {}
        with self._autocast():
            first, first_opacity = self._draw(labels[0], pair.previous.to(self.device), plate_13HW)
            second, second_opacity = self._draw(labels[1], first, plate_13HW)
            drawn_BCHW = torch.cat([*labels, first, second], dim=1)
            with weights_fixed(self.judge):
                judged_drawn = self.judge(drawn_BCHW)
            # Taken with gradients: the judge's own step below uses it again.
            judged_real = self.judge(torch.cat([*labels, *real], dim=1))
            terms["adversarial"] = real_or_fake(judged_drawn, is_real=True, loss=self._preset.adversarial)
            terms["feature_matching"] = feature_matching(judged_drawn, judged_real)
            gain = self._preset.person_gain
            terms["l1"] = weighted_l1(first, real[0], margins[0], counted[0], gain) + weighted_l1(
                second, real[1], margins[1], counted[1], gain
            )
            if first_opacity is not None and second_opacity is not None:
                terms["opacity"] = opacity_l1(first_opacity, masks[0], counted[0]) + opacity_l1(
                    second_opacity, masks[1], counted[1]
                )
        self._update("generator", self._preset.weights.total(terms), progress)
        with self._autocast():
            on_real = real_or_fake(judged_real, is_real=True, loss=self._preset.adversarial)
            on_drawn = real_or_fake(self.judge(drawn_BCHW.detach()), is_real=False, loss=self._preset.adversarial)
        terms["judge"] = 0.5 * (on_real + on_drawn)
        self._update("judge", terms["judge"], progress)
        self.pictures_seen += 2
        self._average(2)
        return {name: float(term.detach()) for name, term in terms.items()}

    def _draw(
        self, label_B3HW: Tensor, previous_B3HW: Tensor, plate_13HW: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The picture in [-1, 1] and, with a plate, the opacity; both float32."""
        drawn_BCHW = self.generator(torch.cat([label_B3HW, previous_B3HW], dim=1)).float()
        if plate_13HW is None:
            return drawn_BCHW, None
        opacity_B1HW = drawn_BCHW[:, 3:]
        return plate_13HW + opacity_B1HW * (drawn_BCHW[:, :3] - plate_13HW), opacity_B1HW
