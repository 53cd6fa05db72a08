"""A training whose losses diverge is put back once."""

import math

import pytest
import torch

from training.checkpoints.store import Checkpoints
from training.data.split import split_footage
from training.loop.body_learner import BodyLearner
from training.loop.learner import Computing
from training.loop.trainer import Budget, Trainer, TrainingDiverged
from training.preset_setup import pairs_for


class Breaking(BodyLearner):
    """Breaks its weights in the steps that start after these numbers of pictures, once each."""

    breaks: tuple[int, ...] = ()

    def step(self, progress):
        if self.pictures_seen in self.breaks:
            self.breaks = tuple(at for at in self.breaks if at != self.pictures_seen)
            self.generator.tail.weight.data.fill_(math.nan)
        return super().step(progress)


@pytest.fixture
def breaking(prepared, tiny):
    def make(*breaks):
        pairs = pairs_for(tiny, prepared, split_footage([True] * len(prepared)), 1)
        learner = Breaking(tiny, pairs, Computing(seed=1))
        learner.breaks = breaks
        return learner

    return make


def trainer(learner, folder, notes, pictures=10):
    return Trainer(
        learner, Budget(pictures=pictures), folder / "body.pt", {}, checkpoint_every_seconds=0.0, on_note=notes.append
    )


def test_broken_training_is_put_back_once(breaking, tmp_path):
    """It resumes from the last checkpoint with half the rate and other pairs, reports that, and finishes."""
    learner, notes, seen = breaking(4), [], []
    trainer(learner, tmp_path, notes).run(lambda step: seen.append(step.pictures_seen))
    assert learner.restores == 1
    assert learner.pictures_seen == 10
    assert seen[-1] == 10
    assert learner.rate_at(0.0) == pytest.approx(1e-4)
    (note,) = notes
    assert "became nan; put back to" in note
    assert all(torch.isfinite(weight).all() for weight in learner.averaged.parameters())
    rows = (tmp_path / "body-losses.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == [2, 4, 6, 8, 10]
    assert "nan" not in "".join(rows)


def test_broken_training_is_not_put_back_to_the_one_that_it_replaces(breaking, tmp_path):
    """If its own checkpoint is damaged, none is left: the former face's checkpoint belongs to another training."""
    path = tmp_path / "face.pt"
    Trainer(breaking(), Budget(pictures=6), path, {"body": "former"}).run(lambda step: None)
    learner = breaking(2)
    one = Trainer(learner, Budget(pictures=4), path, {"body": "new"}, replaces=True)
    with pytest.raises(TrainingDiverged, match="no good checkpoint"):
        one.run(lambda step: path.write_bytes(b"torn"))
    assert learner.pictures_seen == 4


def test_second_time_it_is_an_error(breaking, tmp_path):
    """A second divergence is an error, also if the process was killed in between; the good checkpoint stays."""
    trainer(breaking(4), tmp_path, [], pictures=6).run(lambda step: None)
    again = breaking(8)
    with pytest.raises(TrainingDiverged, match="put back once before"):
        trainer(again, tmp_path, []).run(lambda step: None)
    found = Checkpoints(tmp_path / "body.pt").newest()
    assert found is not None
    assert 6 <= found.pictures_seen <= 8
    assert all(value.isfinite().all() for value in found.learner["generator"].values())


def test_weights_that_broke_in_the_last_step_are_noticed(breaking, tmp_path):
    """Weights that break in the last step are noticed too, although the step's losses are fine."""
    learner, notes = breaking(), []
    whole = trainer(learner, tmp_path, notes, pictures=4)

    def on_step(step):
        if step.pictures_seen == 4 and not learner.restores:
            learner.generator.tail.weight.data.fill_(math.inf)

    whole.run(on_step)
    assert learner.is_finite()
    assert "weights became NaN or infinite" in notes[0]


def test_collapsed_discriminator_goes_back_to_before_its_collapse(breaking, tmp_path, monkeypatch):
    """Checkpoints from within the collapse are skipped."""
    monkeypatch.setattr("training.loop.trainer._SAVING_PART", 1e9)
    learner, notes = breaking(), []
    real_step = learner.step

    def step(progress):
        losses = real_step(progress)
        return losses | ({"judge": 1e-9} if learner.pictures_seen > 6 and not learner.restores else {})

    learner.step = step
    one = Trainer(
        learner, Budget(pictures=14), tmp_path / "body.pt", {}, checkpoint_every_seconds=0.0, on_note=notes.append,
    )  # fmt: skip
    one._watch._patience_steps = 3
    one.run(lambda step: None)
    assert "never wrong" in notes[0]
    assert "put back to 6 pictures" in notes[0]
    assert learner.pictures_seen == 14
