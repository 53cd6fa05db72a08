"""The training loop: steps until the budget is used up, with checkpoints, so that an interrupted job goes on.

Progress is counted in pictures seen and in seconds of training, never in epochs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from training import telemetry
from training.atomic import written_whole
from training.identity import Identity, refuse_another, stored_identity
from training.learner import Learner

CHECKPOINT_EVERY_SECONDS: Final = 60.0


class TrainingStopped(Exception):
    """Somebody asked the training to stop; a checkpoint was written, and the same command goes on."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train: until the first of the two is used up. Raises ValueError without either, or for none of it.

    seconds: of training, evaluation in between included, over all runs of the job. pictures: drawn in training.
    """

    seconds: float | None = None
    pictures: int | None = None

    def __post_init__(self) -> None:
        if self.seconds is None and self.pictures is None:
            raise ValueError("a budget needs seconds or pictures")
        if (self.seconds is not None and self.seconds <= 0) or (self.pictures is not None and self.pictures <= 0):
            raise ValueError(f"a budget must be positive, got {self}")

    def progress(self, seconds: float, pictures: int) -> float:
        """The part of the budget that is used up, in [0, 1]."""
        parts = [0.0]
        if self.seconds is not None:
            parts.append(seconds / self.seconds)
        if self.pictures is not None:
            parts.append(pictures / self.pictures)
        return min(1.0, max(parts))


@dataclass(frozen=True, slots=True)
class Step:
    """One step of training, as it is reported. losses: by name. progress: of the budget, in [0, 1]."""

    seconds: float
    pictures_seen: int
    progress: float
    losses: dict[str, float]


class Trainer:
    """Trains `learner` for `budget`, with its state in `checkpoint_path`.

    identity: what the checkpoint belongs to. A checkpoint with another identity is never continued: where it may be
    replaced, training begins anew and replaces it, else BadInput is raised, which names what differs.

    continued: whether a checkpoint was found. steps: taken by `run`, in this process.
    """

    def __init__(
        self, learner: Learner, budget: Budget, checkpoint_path: Path, identity: Identity, *, replaces: bool = False
    ) -> None:
        self.learner = learner
        self.seconds = 0.0
        self.continued = False
        self._budget = budget
        self._checkpoint_path = checkpoint_path
        self.steps = 0
        self._identity = dict(identity)
        found = stored_identity(checkpoint_path)
        if found is None:
            return
        if found == self._identity:
            stored: dict[str, Any] = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
            learner.load_state(stored["learner"])
            self.seconds = float(stored["seconds"])
            self.continued = True
        elif not replaces:
            # Both ways: a value that only the checkpoint has is a difference too.
            refuse_another(found, dict.fromkeys(found, "unknown") | self._identity, checkpoint_path.parent)

    @property
    def progress(self) -> float:
        """The part of the budget that is used up, in [0, 1]."""
        return self._budget.progress(self.seconds, self.learner.pictures_seen)

    def run(self, on_step: Callable[[Step], None], should_stop: Callable[[], bool] = lambda: False) -> None:
        """Trains until the budget is used up, then writes a checkpoint.

        on_step: told of every step; the time it takes counts. Raises TrainingStopped, after writing a checkpoint, as
        soon as `should_stop` says so.
        """
        saved_at = self.seconds
        before, now = self.seconds, time.monotonic()
        started = now
        while (progress := self.progress) < 1:
            if should_stop():
                self.save()
                raise TrainingStopped(f"stopped after {self.learner.pictures_seen} pictures; a checkpoint was written")
            with telemetry.step(self.learner):
                losses = self.learner.step(progress)
            self.steps += 1
            self.seconds = before + time.monotonic() - started
            on_step(Step(self.seconds, self.learner.pictures_seen, self.progress, losses))
            self.seconds = before + time.monotonic() - started
            if self.seconds - saved_at >= CHECKPOINT_EVERY_SECONDS:
                self.save()
                saved_at = self.seconds
        self.save()

    def save(self) -> None:
        """Writes the checkpoint; a crash while writing leaves the one before it."""
        stored = {"identity": self._identity, "seconds": self.seconds, "learner": self.learner.state()}
        with written_whole(self._checkpoint_path) as partial:
            torch.save(stored, partial)
        telemetry.checkpoint_written()
