"""Notices a training that has diverged: losses that are NaN or infinite, and a discriminator that has collapsed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from training.losses.terms import AdversarialLoss
from training.networks.discriminator import STORED_NAME

PATIENCE_STEPS: Final = 1000
"""The discriminator's loss must look collapsed for this many consecutive steps; single ones do happen."""

_CERTAIN: Final = 1e-3
"""Below this loss at every scale the discriminator is never wrong, and the generator learns nothing more from it."""
_BLIND: Final = 5e-4
"""Within this distance, for each scale, the loss is that of a discriminator that gives the same answer to everything.

Its verdicts are then off by about 0.02; in bf16, verdicts near one half are 0.002 to 0.004 apart. The loss of a healthy
discriminator is near that value too, but moves: in trainings of `slim-256` at most 6 consecutive steps were this close.
"""


class Watch:
    """Checks the losses of every step.

    scales: of the discriminator. suspect: the number of consecutive steps for which the discriminator has looked
    collapsed; it is state.
    """

    def __init__(self, loss: AdversarialLoss, scales: int, patience_steps: int = PATIENCE_STEPS) -> None:
        self.suspect = 0
        self._scales = scales
        # Halfway between "real" and "drawn": verdicts of one half, or a logit of 0 for the log loss. With three
        # scales the least squares then sum to 0.75, and to 0.75 to 0.95 for healthy discriminators.
        self._undecided = 0.25 if loss == "least_squares" else math.log(2)
        self._patience_steps = patience_steps

    def trouble(self, losses: Mapping[str, float], *, discriminator_alone: bool = False) -> str:
        """Describe what is wrong after a step with these losses; "" for nothing.

        discriminator_alone: the step trained only the discriminator. It may well be certain about pictures that do not
        change, so such a step does not count.
        """
        broken = [name for name, value in losses.items() if not math.isfinite(value)]
        if broken:
            return f"{', '.join(broken)} became {losses[broken[0]]}"
        if discriminator_alone or STORED_NAME not in losses:  # a step without the discriminator
            return ""
        loss = losses[STORED_NAME]
        of_scale = loss / self._scales
        collapsed = of_scale < _CERTAIN or abs(of_scale - self._undecided) < _BLIND
        self.suspect = self.suspect + 1 if collapsed else 0
        if self.suspect < self._patience_steps:
            return ""
        how = "is never wrong" if of_scale < _CERTAIN else "gives the same answer to everything"
        return f"the discriminator has collapsed: for {self.suspect} steps it {how} (its loss is {loss:.2g})"
