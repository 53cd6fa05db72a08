"""Notices a training that has gone wrong: numbers that are none, and a judge that has collapsed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from training.losses.adversarial import AdversarialLoss

PATIENCE_STEPS: Final = 1000
"""So long the judge's loss must look collapsed, one step after the other; single ones do happen."""

_CERTAIN: Final = 1e-3
"""A judge whose loss is below this at every scale is never wrong: the generator learns nothing more from it."""
_BLIND: Final = 5e-4
"""A judge whose loss, for each scale, stays this close to that of the same answer to everything has nothing to say.

Verdicts are then off by 0.02 or so; in bf16 those near one half are 0.002 to 0.004 apart. A healthy judge's loss is
near that value too, but moves: in trainings of `slim-256` at most 6 steps on end were this close.
"""


class Watch:
    """Looks at the losses of every step.

    scales: of the judge. suspect: for how many steps, one after the other, the judge has looked collapsed; it is state.
    """

    def __init__(self, loss: AdversarialLoss, scales: int, patience_steps: int = PATIENCE_STEPS) -> None:
        self.suspect = 0
        self._scales = scales
        # Halfway between "real" and "drawn": verdicts of one half, of a logit of 0 for the log loss. With three
        # scales the least squares are then 0.75 in all, and 0.75 to 0.95 for healthy judges.
        self._undecided = 0.25 if loss == "least_squares" else math.log(2)
        self._patience_steps = patience_steps

    def trouble(self, losses: Mapping[str, float], *, judge_alone: bool = False) -> str:
        """What is wrong after a step with these losses, "" for nothing.

        judge_alone: the step trained nobody else. A judge of pictures that stay as they are may well be certain, so the
        step does not count.
        """
        broken = [name for name, value in losses.items() if not math.isfinite(value)]
        if broken:
            return f"{', '.join(broken)} became {losses[broken[0]]}"
        if judge_alone:
            return ""
        judged = losses["judge"] / self._scales
        collapsed = judged < _CERTAIN or abs(judged - self._undecided) < _BLIND
        self.suspect = self.suspect + 1 if collapsed else 0
        if self.suspect < self._patience_steps:
            return ""
        how = "is never wrong" if judged < _CERTAIN else "gives the same answer to everything"
        return f"the discriminator has collapsed: for {self.suspect} steps it {how} (its loss is {losses['judge']:.2g})"
