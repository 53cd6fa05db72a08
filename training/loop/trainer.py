"""The training loop: takes steps until the budget is used up, and writes checkpoints to resume from.

Progress is counted in pictures seen and in seconds of training, never in epochs.

A step depends only on the state in the checkpoint: networks, optimizers, pictures seen (from which the choice of pairs
and all other random numbers derive), and the fraction of the budget used (which sets the learning rate, and what is
trained: a trunk or the face network may start later). With a budget in pictures, a training that is killed and resumed
takes exactly the same steps, bit for bit on a CPU. With a budget in seconds that fraction depends on the clock: from
the same weights the steps are the same until the rate falls or such a late start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from serving.errors import DanceError
from training.checkpoints.identity import AS_EVER, Concern, Identity, refuse_another
from training.checkpoints.store import Checkpoint, Checkpoints
from training.loop.divergence import Watch
from training.loop.learner import Learner, StepAbandoned
from training.reporting import metrics
from training.reporting.loss_curves import Curves

CHECKPOINT_EVERY_SECONDS: Final = 60.0
_SAVING_PART: Final = 0.05
"""The maximum fraction of the time spent writing checkpoints: large networks write gigabytes."""


class TrainingStopped(Exception):
    """The training was asked to stop; a checkpoint was written, and the same command resumes it."""


class TrainingDiverged(DanceError):
    """The training diverged again, after it had been put back to a good checkpoint once."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train: until the first of the two is used up. Raises ValueError without either, or for 0.

    seconds: of training, including evaluation in between, over all runs of the job. pictures: drawn in training.
    """

    seconds: float | None = None
    pictures: int | None = None

    def __post_init__(self) -> None:
        if self.seconds is None and self.pictures is None:
            raise ValueError("a budget needs seconds or pictures")
        if (self.seconds is not None and self.seconds <= 0) or (self.pictures is not None and self.pictures <= 0):
            raise ValueError(f"a budget must be positive, got {self}")

    def progress(self, seconds: float, pictures: int) -> float:
        """The fraction of the budget that is used up, in [0, 1]."""
        parts = [0.0]
        if self.seconds is not None:
            parts.append(seconds / self.seconds)
        if self.pictures is not None:
            parts.append(pictures / self.pictures)
        return min(1.0, max(parts))


@dataclass(frozen=True, slots=True)
class Step:
    """The report of one training step. losses: by name. progress: the fraction of the budget used, in [0, 1]."""

    seconds: float
    pictures_seen: int
    progress: float
    losses: dict[str, float]


class Trainer:
    """Trains `learner` for `budget`, with its state in `checkpoint_path` and older ones beside it.

    identity: of the training. A checkpoint that differs in the part selected by `concern` is never resumed: with
    `replaces`, training starts over and replaces it; otherwise BadInput is raised, which names the differences.
    on_note: called with notes for the user.

    continued: whether a checkpoint was found. steps: taken by `run`, in this process. curves: at rank 0, else None;
    they are written beside the checkpoint.
    """

    def __init__(
        self,
        learner: Learner,
        budget: Budget,
        checkpoint_path: Path,
        identity: Identity,
        *,
        concern: Concern = dict,
        replaces: bool = False,
        checkpoint_every_seconds: float = CHECKPOINT_EVERY_SECONDS,
        on_note: Callable[[str], None] = lambda note: None,
    ) -> None:
        self.learner = learner
        self.seconds = 0.0
        self.continued = False
        self.steps = 0
        self._budget = budget
        self._identity = dict(identity)
        self._concern = concern
        self._on_note = on_note
        self._every_seconds = checkpoint_every_seconds
        self._watch = Watch(learner.adversarial, learner.discriminator_scales)
        self._ranks = learner.computing.ranks
        self._checkpoints = Checkpoints(checkpoint_path, on_note)
        if self._ranks.is_first:
            self._checkpoints.clean()
        found = self._shared(self._checkpoints.newest() if self._ranks.is_first else None)
        if found is not None and self._is_own(found):
            self._load(found)
            self.continued = True
        elif found is not None and not replaces:
            # Compare both ways: a value that only the checkpoint has is a difference too.
            there, here = concern(found.identity), concern(self._identity)
            unknown = {name: "unknown" for name in there if name not in AS_EVER}
            refuse_another(there, unknown | dict(here), checkpoint_path.parent)
        elif self._checkpoints.skipped:
            on_note(f"no checkpoint of this training can be used in {checkpoint_path.parent}, so it starts over")
        self.curves: Curves | None = None
        if self._ranks.is_first:
            self.curves = Curves(
                checkpoint_path.parent, checkpoint_path.stem, learner.pictures_seen, names=learner.loss_names
            )

    @property
    def progress(self) -> float:
        """The fraction of the budget that is used up, in [0, 1]."""
        return self._budget.progress(self.seconds, self.learner.pictures_seen)

    def run(self, on_step: Callable[[Step], None], should_stop: Callable[[], bool] = lambda: False) -> None:
        """Train until the budget is used up, then write a checkpoint.

        on_step: called after every step; the time it takes counts. Raises TrainingStopped, after writing a checkpoint,
        as soon as `should_stop` returns true; TrainingDiverged if the training diverges a second time after it was put
        back once.
        """
        self.learner.asked_to_stop = should_stop
        try:
            self._run(on_step, should_stop)
        finally:
            if self.curves is not None:
                self.curves.close()

    def save(self) -> float:
        """Write the checkpoint; a crash while writing leaves the ones before it. Returns the seconds it took.

        Writes nothing if a weight is NaN or infinite.
        """
        began = time.monotonic()
        if self._ranks.is_first and self.learner.is_finite():
            state = self.learner.state()
            self._checkpoints.write(Checkpoint(self._identity, self.seconds, self._watch.suspect, state))
            metrics.checkpoint_written()
        return time.monotonic() - began

    def _run(self, on_step: Callable[[Step], None], should_stop: Callable[[], bool]) -> None:
        if self.progress < 1 and not self.continued:
            self.save()  # the first one to go back to
        saved_at, next_save = self.seconds, self._every_seconds
        before, started = self.seconds, time.monotonic()
        while True:
            self.seconds, asked = self._ranks.agreed((self.seconds, float(should_stop())))
            progress = self.progress
            if progress >= 1 and self.learner.is_finite():
                break
            if asked:
                self._stop()
            if progress >= 1:
                trouble = "weights became NaN or infinite"
            else:
                try:
                    with metrics.step(self.learner.pictures_per_step):
                        losses = self.learner.step(progress)
                except StepAbandoned:
                    self._stop()
                trouble = self._watch.trouble(losses, discriminator_alone=self.learner.discriminator_alone(progress))
            if trouble:
                self._put_back(trouble)
                saved_at = self.seconds
                before, started = self.seconds, time.monotonic()
                continue
            self.steps += 1
            self.seconds = before + time.monotonic() - started
            if self.curves is not None:
                rate = self.learner.rate_at(progress)
                waited = self.learner.waited_seconds
                self.curves.add(self.learner.pictures_seen, self.seconds, rate, losses, waited_seconds=waited)
            on_step(Step(self.seconds, self.learner.pictures_seen, self.progress, losses))
            self.seconds = before + time.monotonic() - started
            if self.seconds - saved_at >= next_save:
                next_save = max(self._every_seconds, self.save() / _SAVING_PART)
                self.seconds = saved_at = before + time.monotonic() - started
        if self.steps:  # otherwise the checkpoint of this state exists already
            self.save()

    def _stop(self) -> NoReturn:
        self.save()
        raise TrainingStopped(f"stopped after {self.learner.pictures_seen} pictures; a checkpoint was written")

    def _put_back(self, trouble: str) -> None:
        """Go back to the last good checkpoint, once, with other pairs and half the learning rate."""
        at = self.learner.pictures_seen
        if self.learner.restores:
            raise TrainingDiverged(
                f"after {at} pictures {trouble}, although the training had been put back once before. Use a lower "
                "learning rate, another seed or other losses, in another --work folder"
            )
        # Checkpoints of a training that this one replaces may still lie behind its own.
        stored = self._checkpoints.read() if self._ranks.is_first else ()
        good = self._shared(next((found for found in stored if self._is_own(found) and found.suspect == 0), None))
        if good is None:
            raise TrainingDiverged(f"after {at} pictures {trouble}, and there is no good checkpoint to go back to")
        self._load(good)
        self.learner.restores += 1
        if self.curves is not None:
            self.curves.rewind(self.learner.pictures_seen)
        self._on_note(
            f"after {at} pictures {trouble}; put back to {self.learner.pictures_seen} pictures, once, with half the "
            "learning rate"
        )
        # A process that is killed now must not be put back for the first time again.
        self.save()

    def _is_own(self, found: Checkpoint) -> bool:
        return self._concern(found.identity) == self._concern(self._identity)

    def _shared(self, found: Checkpoint | None) -> Checkpoint | None:
        """The checkpoint that rank 0 found, in every process; what others find does not count."""
        pictures = self._ranks.told_by_first(None if found is None else found.pictures_seen)
        if pictures is not None and not self._ranks.is_first:
            found = next((other for other in self._checkpoints.read() if other.pictures_seen == pictures), None)
            if found is None:
                raise DanceError(
                    f"rank 0 resumes from a checkpoint after {pictures} pictures; rank {self._ranks.rank} finds none "
                    f"in {self._checkpoints.path.parent}: all processes must see the same folder"
                )
        self._ranks.wait()  # before rank 0 overwrites it with the next one
        return found

    def _load(self, checkpoint: Checkpoint) -> None:
        self.learner.load_state(checkpoint.learner)
        self.seconds = checkpoint.seconds
        self._watch.suspect = checkpoint.suspect
