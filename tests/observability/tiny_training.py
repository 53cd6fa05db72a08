"""`python -m tests.observability.tiny_training FOLDER`: train a tiny network with the real trainer until terminated."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.unit.training.conftest import tiny_preset, walking_bar
from training import preset_setup
from training.job import JobSettings, train_actor
from training.loop import trainer
from training.reporting import held_out_scores
from training.reporting.progress import Progress

PICTURES = 100_000
"""Longer than any test waits."""


def main() -> None:
    """Train with metrics on `TRAINING_METRICS_PORT`, and with scores and checkpoints every second, not every minute."""
    folder = Path(sys.argv[1])
    (folder / "footage.mp4").write_bytes(b"footage")
    preset_setup.prepare = lambda *arguments, **options: walking_bar(folder)  # type: ignore[attr-defined]
    held_out_scores.SCORE_EVERY_SECONDS = 1.0  # type: ignore[misc]
    defaults = trainer.Trainer.__init__.__kwdefaults__
    assert defaults is not None
    defaults["checkpoint_every_seconds"] = 1.0
    settings = JobSettings(
        footage=folder / "footage.mp4",
        actor="bar",
        store_root=folder / "actors",
        work_root=folder / "work",
        preset=tiny_preset(),
        pictures=PICTURES,
        consent="drawn by ourselves",
    )
    train_actor(settings, on_progress)


def on_progress(progress: Progress) -> None:
    """Ignore the progress, and pause to leave CPU time to the stack that runs at the same time."""
    time.sleep(0.1)


if __name__ == "__main__":
    main()
