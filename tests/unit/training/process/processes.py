"""Trainings in real processes: killed, stopped and run concurrently. Run it as a script, because it forks.

`python processes.py FOLDER`. Each training is a forked child, so that torch is imported once; nothing is
computed before a fork, since threads do not survive it. The tests read what the children write into FOLDER.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # takes a second, and every optimizer imports it: import it once here, not in every child

import training.loop.trainer
from serving.actors.store import NetworkShape
from serving.process.exit_codes import EXIT_INTERRUPTED
from serving.process.stop_signals import stop_on_signals
from tests.unit.training.conftest import SIDE, FakeEstimator, tiny_preset, walking_bar
from training import preset_setup
from training.data import footage
from training.data.references import ReferenceRules
from training.data.split import split_footage
from training.job import JobSettings, train_actor
from training.loop.body_learner import BodyLearner
from training.loop.learner import Computing
from training.loop.trainer import Budget, Trainer, TrainingStopped
from training.preset_setup import pairs_for, references_for
from training.presets import Preset
from training.process.distributed import joined
from training.publishing.versions import Versions

KILLED = -signal.SIGKILL
DONE = 0
FRAMES = 16
PRESET = replace(tiny_preset(), generator=replace(tiny_preset().generator, enhanced=True))
COPYING = replace(
    tiny_preset(),
    generator=NetworkShape(base_channels=4, downsamplings=1, blocks=1, plate=True, reference=True),
    face=None,
    references=ReferenceRules(made_up=0.5),
)


def forked(work: Callable[[], None], environment: dict[str, str] | None = None) -> int:
    """Fork a child that does `work`, and return its process id."""
    child = os.fork()
    if child:
        return child
    try:
        os.environ.update(environment or {})
        torch.set_num_threads(1)
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(DONE)


def ended(child: int) -> int:
    """Wait for a child; its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train(folder: Path, *, at: tuple[str, int] | None = None, how: str = "") -> None:
    """Run the whole job up to its evaluation. at: the stage and the pictures seen at which `how` happens."""
    prepared = walking_bar(folder)
    setattr(preset_setup, "prepare", lambda *arguments, **options: prepared)  # noqa: B010
    training.loop.trainer._SAVING_PART = 1e9  # type: ignore[misc]
    defaults = Trainer.__init__.__kwdefaults__
    assert defaults is not None
    defaults["checkpoint_every_seconds"] = 0.0 if how != "killed far from a checkpoint" else 1e9
    (folder / "footage.mp4").write_bytes(b"footage")
    settings = JobSettings(
        footage=folder / "footage.mp4", actor="bar", store_root=folder / "actors", work_root=folder, preset=PRESET,
        pictures=FRAMES, consent="drawn by ourselves",
    )  # fmt: skip

    def on_progress(progress) -> None:
        if progress.phase == "evaluating":
            os._exit(DONE)
        if at is None or not progress.losses or (progress.phase, progress.done) != at:
            return
        if how.startswith("killed while saving"):
            setattr(os, "fsync", lambda descriptor: os.kill(os.getpid(), signal.SIGKILL))  # noqa: B010
        elif how.startswith("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        elif how == "stopped within a step":
            _signal_while_drawing()
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    with stop_on_signals() as should_stop:
        try:
            train_actor(settings, on_progress, should_stop)
        except TrainingStopped:
            os._exit(EXIT_INTERRUPTED)


def _signal_while_drawing() -> None:
    draw = BodyLearner._drawn

    def interrupted(learner: BodyLearner, pair):
        os.kill(os.getpid(), signal.SIGTERM)
        return draw(learner, pair)

    setattr(BodyLearner, "_drawn", interrupted)  # noqa: B010


def resume(folder: Path) -> None:
    """Run one training without an interruption, and one with many."""
    whole, broken = folder / "whole", folder / "broken"
    for place in (whole, broken):
        place.mkdir()
    assert ended(forked(lambda: train(whole))) == DONE
    for at, how, ends in (
        (("coarse", 2), "killed", KILLED),
        (("body", 4), "killed", KILLED),
        (("body", 6), "killed while saving", KILLED),
        (("body", 8), "stopped", EXIT_INTERRUPTED),
        (("body", 10), "stopped within a step", EXIT_INTERRUPTED),
        (("face", 5), "killed far from a checkpoint", KILLED),
        (("face", 7), "killed", KILLED),
    ):
        happened = ended(forked(partial(train, broken, at=at, how=how)))
        assert happened == ends, f"{at}, {how}: ended with {happened} and not with {ends}"
    assert ended(forked(lambda: train(broken))) == DONE


def together(folder: Path) -> None:
    """Train with two processes of batch one, stopped once by one of them and continued; and with one of batch two."""
    for place, preset in ((folder, tiny_preset()), (folder / "copying", COPYING)):
        for stop_at, ends in ((8, EXIT_INTERRUPTED), (0, DONE)):
            happened = two_ended(partial(body_of_two, place / "both", preset, stop_at))
            assert happened == [ends, ends], happened
        assert ended(forked(partial(body, place / "one", preset, batch=2, stop_at=0))) == DONE


def body_of_two(folder: Path, preset: Preset, stop_at: int, rank: int) -> None:
    """Train the body as one of two processes, the second of which requests the stop."""
    body(folder, preset, batch=1, stop_at=stop_at * rank)


def two_ended(work: Callable[[int], None]) -> list[int]:
    """Run `work` in two processes together, with their ranks, and return how they ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [forked(partial(work, rank), {**place, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in (0, 1)]
    return [ended(child) for child in ranks]


def body(folder: Path, preset: Preset, *, batch: int, stop_at: int) -> None:
    """Train the body alone. stop_at: the pictures after which this process requests a stop; 0 for never."""
    prepared = walking_bar(folder, 64)
    split = split_footage([True] * len(prepared))
    pairs = pairs_for(preset, prepared, split, 1, references_for(preset, prepared, split))
    with joined("cpu") as ranks:
        learner = BodyLearner(preset, pairs, Computing(seed=1, batch=batch, ranks=ranks))
        trainer = Trainer(learner, Budget(pictures=FRAMES), folder / "body.pt", {})
        try:
            trainer.run(lambda step: None, lambda: bool(stop_at) and learner.pictures_seen >= stop_at)
        except TrainingStopped:
            os._exit(EXIT_INTERRUPTED)
        weights = b"".join(value.numpy().tobytes() for value in learner.averaged.state_dict().values())
        (folder / f"weights-{ranks.rank}").write_bytes(weights)
        (folder / f"written-by-{ranks.rank}").write_text(str(trainer.curves is not None))


def job_together(folder: Path) -> None:
    """Run a whole job of two processes on new footage, without publishing, and record what each of them writes."""
    folder.mkdir()
    (folder / "footage.mp4").write_bytes(b"footage")
    happened = two_ended(partial(noted_job, folder))
    assert happened == [DONE, DONE], happened


def noted_job(folder: Path, rank: int) -> None:
    """Run the job as one of its processes; `wrote-RANK` lists what it wrote, created, renamed or removed."""
    work, wrote = folder / "work", set()

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        opened_to_write = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if opened_to_write or event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"):
            wrote.update(str(name) for name in arguments[:2] if str(name).startswith(str(work)))

    frames = [np.random.default_rng(5).integers(90, 160, (SIDE, SIDE, 3)).astype(np.uint8)] * FRAMES
    setattr(footage, "footage_frames", lambda path, on_end: iter(frames))  # noqa: B010
    setattr(footage, "footage_facts", lambda path: footage.FootageFacts(24.0, FRAMES))  # noqa: B010
    setattr(Versions, "last", lambda versions, body, face, nothing_new: "published")  # noqa: B010
    sys.addaudithook(note)
    settings = JobSettings(
        footage=folder / "footage.mp4", actor="bar", store_root=folder / "actors", work_root=work, preset=tiny_preset(),
        pictures=4, consent="drawn by ourselves", footage_anyway=True,
    )  # fmt: skip
    train_actor(settings)
    (folder / f"wrote-{rank}").write_text("\n".join(sorted(wrote)))


if __name__ == "__main__":
    sys.modules["training.preparation.detections"].mediapipe_estimator = FakeEstimator()  # type: ignore[attr-defined]
    sys.modules["training.preparation.other_people"].mediapipe_estimator = FakeEstimator(alone=True)  # type: ignore[attr-defined]
    sys.modules["training.evaluation.metrics"].mediapipe_estimator = FakeEstimator()  # type: ignore[attr-defined]
    resume(Path(sys.argv[1]))
    together(Path(sys.argv[1]))
    job_together(Path(sys.argv[1]) / "job")
