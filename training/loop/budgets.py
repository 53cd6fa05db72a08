"""How long each stage of a job trains: by minutes, by frames seen, or by the preset's epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from training.loop.trainer import Budget
from training.presets import Epochs, Preset

BODY_PART: Final = 0.85
"""Of the training's minutes; the face gets the rest."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Of a job of this preset. minutes: all stages together. pictures: of body and face each. Both None: the preset's.

    coarse: whether the generator inside of a local enhancer is trained by itself first.
    """

    preset: Preset
    minutes: float | None
    pictures: int | None
    coarse: bool

    @property
    def says(self) -> str:
        """For the training record."""
        if self._by_epochs is not None:
            return f"{self._by_epochs.body:g} epochs of body, {self._by_epochs.face:g} of face"
        minutes = self.preset.minutes if self.minutes is None and self.pictures is None else self.minutes
        limits = {"minutes": minutes, "frames of body and face each": self.pictures}
        return ", at most ".join(f"{limit:g} {of_what}" for of_what, limit in limits.items() if limit is not None)

    def of_coarse(self, pairs: int) -> Budget:
        """Of the coarse stage, with so many pairs to train on."""
        if self._by_epochs is not None:
            return Budget(pictures=_at_least_one(self._by_epochs.coarse * pairs * 2))
        return self._part(self._body_part * self.preset.coarse_share, self.preset.coarse_share)

    def of_body(self, pairs: int) -> Budget:
        """Of the body's stage, with so many pairs."""
        if self._by_epochs is not None:
            return Budget(pictures=_at_least_one(self._by_epochs.body * pairs * 2))
        share = 1 - self.preset.coarse_share if self.coarse else 1.0
        return self._part(self._body_part * share, share)

    def of_face(self, crops: int) -> Budget:
        """Of the face's stage, with so many crops."""
        if self._by_epochs is not None:
            return Budget(pictures=_at_least_one(self._by_epochs.face * crops))
        return self._part(1 - BODY_PART, 1.0)

    @property
    def _by_epochs(self) -> Epochs | None:
        return self.preset.epochs if self.minutes is None and self.pictures is None else None

    @property
    def _body_part(self) -> float:
        return BODY_PART if self.preset.face is not None else 1.0

    def _part(self, of_minutes: float, of_pictures: float) -> Budget:
        minutes = self.preset.minutes if self.minutes is None and self.pictures is None else self.minutes
        return Budget(
            None if minutes is None else minutes * 60 * of_minutes,
            None if self.pictures is None else _at_least_one(self.pictures * of_pictures),
        )


def _at_least_one(pictures: float) -> int:
    return max(1, round(pictures))
