"""`python -m tests.unit.training.tiny_command ...`: `python -m training`, in seconds.

It has one more preset, "tiny", and finds its footage already prepared, with a person in every frame. `--endless` trains
until it is stopped, `--fail` breaks the first step, and `--full` simulates a full disk there.
"""

from __future__ import annotations

import errno
import sys
from dataclasses import replace
from pathlib import Path

from tests.unit.training.conftest import FakeEstimator, tiny_preset, walking_bar
from training import preset_setup, presets
from training.__main__ import run
from training.evaluation import metrics
from training.loop import body_learner


def main(arguments: list[str]) -> int:
    """Run the command, and return its exit code."""
    minutes = 1e6 if "--endless" in arguments else 0.005
    presets.PRESETS["tiny"] = lambda: replace(tiny_preset(), minutes=minutes)
    work = next((Path(word.removeprefix("--work=")) for word in arguments if word.startswith("--work=")), Path("work"))
    setattr(preset_setup, "prepare", lambda *given, **options: walking_bar(work))  # noqa: B010
    setattr(metrics, "mediapipe_estimator", FakeEstimator())  # noqa: B010
    if "--fail" in arguments:
        body_learner.BodyLearner.step = _break  # type: ignore[method-assign,assignment]
    if "--full" in arguments:
        body_learner.BodyLearner.step = _fill  # type: ignore[method-assign,assignment]
    return run([word for word in arguments if word not in ("--endless", "--fail", "--full")])


def _break(learner: object, progress: float) -> dict[str, float]:
    raise OSError(errno.EIO, "Input/output error")


def _fill(learner: object, progress: float) -> dict[str, float]:
    raise OSError(errno.ENOSPC, "No space left on device")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
