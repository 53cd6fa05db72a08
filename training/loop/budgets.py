"""How long each phase of a job trains: in minutes, in frames seen, or in the preset's epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from training.loop.trainer import Budget
from training.presets import Epochs, Preset

BODY_PART: Final = 0.85
"""The body's fraction of the training's minutes; the face gets the rest."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of a job with this preset.

    minutes: of all phases together. pictures: of body and face each. Both None: the preset's length. coarse: whether
    the generator inside a local enhancer is trained by itself first.
    """

    preset: Preset
    minutes: float | None
    pictures: int | None
    coarse: bool

    @property
    def text(self) -> str:
        """The length of the training in words, for its record."""
        if self._by_epochs is not None:
            return f"{self._by_epochs.body:g} epochs of body, {self._by_epochs.face:g} of face"
        of_what = "frames" if self.preset.face is None else "frames of body and face each"
        limits = {"minutes": self._minutes, of_what: self._pictures}
        return ", at most ".join(f"{limit:g} {of_what}" for of_what, limit in limits.items() if limit is not None)

    def of_coarse(self, pairs: int) -> Budget:
        """The budget of the coarse phase, with this many pairs to train on."""
        share = self.preset.coarse_share
        return self._of("coarse", 2 * pairs, self._body_part * share, share)

    def of_body(self, pairs: int) -> Budget:
        """The budget of the body's phase, with this many pairs."""
        share = 1 - self.preset.coarse_share if self.coarse else 1.0
        return self._of("body", 2 * pairs, self._body_part * share, share)

    def of_face(self, crops: int) -> Budget:
        """The budget of the face's phase, with this many crops."""
        return self._of("face", crops, 1 - BODY_PART, 1.0)

    @property
    def _by_epochs(self) -> Epochs | None:
        return self.preset.epochs if self._by_default else None

    @property
    def _minutes(self) -> float | None:
        return self.preset.minutes if self._by_default else self.minutes

    @property
    def _pictures(self) -> int | None:
        return self.preset.pictures if self._by_default else self.pictures

    @property
    def _by_default(self) -> bool:
        return self.minutes is None and self.pictures is None

    @property
    def _body_part(self) -> float:
        return BODY_PART if self.preset.face is not None else 1.0

    def _of(self, stage: str, epoch_pictures: int, of_minutes: float, of_pictures: float) -> Budget:
        if self._by_epochs is not None:
            return Budget(pictures=_at_least_one(getattr(self._by_epochs, stage) * epoch_pictures))
        return Budget(
            None if self._minutes is None else self._minutes * 60 * of_minutes,
            None if self._pictures is None else _at_least_one(self._pictures * of_pictures),
        )


def _at_least_one(pictures: float) -> int:
    return max(1, round(pictures))
