from dataclasses import replace

import pytest
import torch

from serving.errors import BadInput
from training.data.split import split_footage
from training.loop.body_learner import BodyLearner
from training.loop.face_crops import face_crop
from training.loop.face_learner import FaceLearner
from training.loop.learner import Computing
from training.loop.trainer import Budget, Trainer, TrainingStopped
from training.preset_setup import pairs_for


@pytest.fixture
def body(prepared, tiny):
    """Makes a new, untrained learner, always the same."""

    def make(preset=tiny):
        split = split_footage([True] * len(prepared))
        return BodyLearner(preset, pairs_for(preset, prepared, split, 1), Computing(seed=1))

    return make


def train(learner, path, pictures, *, stop_at=None, part="body", **options):
    """Trains and returns the losses of every step by the number of pictures seen."""
    curve = {}
    trainer = Trainer(learner, Budget(pictures=pictures), path, {"part": part, "seed": "1"}, **options)
    trainer.run(lambda step: curve.update({step.pictures_seen: step.losses}), lambda: learner.pictures_seen == stop_at)
    return curve


def test_stopped_and_continued_training_draws_the_same_curve(body, tmp_path):
    """A training that is stopped and resumed in a new process has exactly the same losses."""
    whole = train(body(), tmp_path / "whole.pt", 16)
    with pytest.raises(TrainingStopped, match="8 pictures"):
        train(body(), tmp_path / "parts.pt", 16, stop_at=8)
    second = body()
    rest = train(second, tmp_path / "parts.pt", 16)
    assert list(rest) == [10, 12, 14, 16]
    assert rest == {count: whole[count] for count in rest}


def test_killed_training_goes_on_from_its_last_checkpoint(body, tmp_path):
    """Steps after the last checkpoint are repeated, and give the same averaged weights."""
    whole = body()
    train(whole, tmp_path / "whole.pt", 12)
    with pytest.raises(TrainingStopped):
        train(body(), tmp_path / "killed.pt", 12, stop_at=6)
    checkpoint = (tmp_path / "killed.pt").read_bytes()
    with pytest.raises(TrainingStopped):
        train(body(), tmp_path / "killed.pt", 12, stop_at=10)
    (tmp_path / "killed.pt").write_bytes(checkpoint)
    again = body()
    train(again, tmp_path / "killed.pt", 12)
    torch.testing.assert_close(again.averaged.state_dict(), whole.averaged.state_dict(), rtol=0, atol=0)


def test_training_learns(body, tiny, tmp_path):
    """After a few hundred pictures the opacity shows where the person is."""
    curve = train(body(replace(tiny, learning_rate=5e-3)), tmp_path / "body.pt", 160)
    opacity = [losses["opacity"] for losses in curve.values()]
    assert sum(opacity[-10:]) < 0.6 * sum(opacity[:10])


def test_published_way_trains_without_plate(body, tiny, tmp_path):
    """Without a plate there is no opacity to learn, and the log loss can be chosen."""
    published = replace(tiny, generator=replace(tiny.generator, plate=False), adversarial="log", targets="filmed")
    curve = train(body(published), tmp_path / "body.pt", 4)
    assert set(curve[4]) == {"adversarial", "feature_matching", "l1", "judge"}


def test_checkpoint_of_something_else_is_refused(body, tmp_path):
    """Another recipe neither resumes from foreign weights nor overwrites them; the difference is named."""
    train(body(), tmp_path / "body.pt", 4)
    kept = (tmp_path / "body.pt").read_bytes()
    with pytest.raises(BadInput, match=r"part is body there and another here\. Repeat the options of that training"):
        train(body(), tmp_path / "body.pt", 4, part="another")
    assert (tmp_path / "body.pt").read_bytes() == kept


def test_checkpoint_may_be_replaced_where_that_is_meant(body, tmp_path):
    """A checkpoint that may be replaced is not resumed either: training starts over."""
    train(body(), tmp_path / "face.pt", 4)
    assert list(train(body(), tmp_path / "face.pt", 4, part="another", replaces=True)) == [2, 4]


def test_training_without_a_whole_checkpoint_begins_anew_and_says_so(body, tmp_path):
    """Every damaged file is named, and then that none is left, also if a replaced training's file remains."""
    told: list[str] = []
    train(body(), tmp_path / "face.pt", 4, part="another")
    train(body(), tmp_path / "face.pt", 2, replaces=True)
    for path in (tmp_path / "face.pt", tmp_path / "face.1.pt"):
        path.write_bytes(b"torn")
    assert list(train(body(), tmp_path / "face.pt", 4, replaces=True, on_note=told.append)) == [2, 4]
    assert [note.split(" is damaged")[0] for note in told[:2]] == [str(tmp_path / f"face{n}.pt") for n in ("", ".1")]
    assert told[2:] == [f"no checkpoint of this training can be used in {tmp_path}, so it starts over"]


def test_more_budget_trains_further(body, tmp_path):
    """A finished training with a larger budget continues after its end."""
    train(body(), tmp_path / "body.pt", 4)
    assert list(train(body(), tmp_path / "body.pt", 8)) == [6, 8]
    assert train(body(), tmp_path / "body.pt", 8) == {}


def test_budget_ends_at_the_first_of_its_limits():
    """Half of the seconds and a quarter of the pictures are a progress of one half."""
    assert Budget(seconds=10, pictures=100).progress(5, 25) == 0.5
    assert Budget(pictures=100).progress(1e9, 25) == 0.25
    assert Budget(seconds=10).progress(20, 0) == 1
    for seconds, pictures in ((None, None), (0, None), (None, -1)):
        with pytest.raises(ValueError, match="budget"):
            Budget(seconds, pictures)


def test_rate_is_constant_and_then_falls(tiny):
    """The rate is constant for the first half, and almost 0 at the end."""
    preset = replace(tiny, learning_rate=1.0)
    assert [preset.rate_at(progress) for progress in (0, 0.5, 0.75)] == [1, 1, 0.5]
    assert 0 < preset.rate_at(1) < 0.1
    assert replace(preset, last_rate=0.0).rate_at(1) == 0


@pytest.fixture
def crops(prepared, tiny):
    cut = (
        face_crop(
            prepared.labels[i],
            prepared.pictures[i - 1],
            prepared.pictures[i],
            prepared.masks[i],
            prepared.poses[i],
            tiny.face_rule,
        )
        for i in range(1, 6)
    )
    return [crop for crop in cut if crop is not None]


def test_face_training_repeats_too(crops, tiny, tmp_path):
    """The face's training resumes on the same curve too."""
    whole = train(FaceLearner(tiny, crops, Computing(seed=1)), tmp_path / "whole.pt", 6)
    with pytest.raises(TrainingStopped):
        train(FaceLearner(tiny, crops, Computing(seed=1)), tmp_path / "parts.pt", 6, stop_at=3)
    rest = train(FaceLearner(tiny, crops, Computing(seed=1)), tmp_path / "parts.pt", 6)
    assert rest == {count: whole[count] for count in (4, 5, 6)}


def test_batches_of_the_face_are_made_ahead_and_waiting_for_them_is_timed(crops, tiny):
    """The next batches are started within a step, and are the same as made alone."""
    learner = FaceLearner(tiny, crops, Computing(seed=1, batch=2))
    alone = learner._batch(2)
    learner.step(0.0)
    assert 2 in learner._batches._waiting
    assert learner.waited_seconds > 0
    for ahead, expected in zip(learner._batches.item(2), alone, strict=True):
        assert torch.equal(ahead, expected)


def test_discriminator_of_the_face_may_begin_alone(crops, tiny, tmp_path):
    """At first only the discriminator is trained, and may be certain; then both are trained."""
    learner = FaceLearner(replace(tiny, face_judge_alone=0.5), crops, Computing(seed=1))
    judged, weight = learner.step, next(learner.generator.parameters()).detach()
    before, changed, notes = weight.clone(), [], []
    certain = lambda progress: judged(progress) | ({"judge": 0.0} if progress < 0.5 else {})  # noqa: E731
    setattr(learner, "step", certain)  # noqa: B010
    trainer = Trainer(learner, Budget(pictures=8), tmp_path / "face.pt", {}, on_note=notes.append)
    trainer._watch._patience_steps = 2
    trainer.run(lambda step: changed.append(not torch.equal(weight, before)))
    assert changed == [False] * 4 + [True] * 4
    assert notes == []


def test_face_training_needs_faces(tiny):
    """Without a crop, or without a face network, there is nothing to train."""
    with pytest.raises(ValueError, match="no face"):
        FaceLearner(tiny, [], Computing())
    with pytest.raises(ValueError, match="no face network"):
        FaceLearner(replace(tiny, face=None), [], Computing())
