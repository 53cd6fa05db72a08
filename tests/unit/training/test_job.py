import json
from dataclasses import replace

import pytest

from serving.actors import ActorStore
from serving.errors import BadInput
from training import job
from training.job import JobSettings, train_actor
from training.trainer import TrainingStopped


@pytest.fixture
def settings(prepared, tiny, tmp_path, monkeypatch, fake_estimator):
    """A job on the tiny actor, whose preparation is already done."""
    monkeypatch.setattr(job, "prepare", lambda *arguments: prepared)
    return JobSettings(
        footage=tmp_path / "footage.mp4",
        actor="bar",
        store_root=tmp_path / "actors",
        work_root=tmp_path / "work",
        preset=tiny,
        pictures=8,
        consent="drawn by ourselves",
    )


def test_job_ends_with_an_actor_that_loads(settings):
    """Networks, plate and metadata are published; scores name the actor and what it must beat."""
    published = train_actor(settings)
    actor = ActorStore(settings.store_root).load("bar")
    assert (actor.version, published.version) == (1, 1)
    assert actor.face == settings.preset.face
    assert actor.consent == "drawn by ourselves"
    assert {"held_out", "nearest_training_frame", "grey_figure", "pose_distance", "pose_distance_floor"} <= set(
        actor.scores
    )
    assert actor.read_plate().shape == (32, 32, 3)
    assert (settings.work_folder / "preview.png").is_file()
    assert len((settings.work_folder / "scores.csv").read_text().splitlines()) == 2


def test_stopped_job_goes_on(settings):
    """Stopped in the body's training, nothing is published; the same call finishes it."""
    steps: list[object] = []
    stop = lambda: len(steps) >= 2  # noqa: E731
    with pytest.raises(TrainingStopped):
        train_actor(settings, lambda now: steps.append(now) if now.losses else None, stop)
    assert ActorStore(settings.store_root).ids() == []
    done = []
    train_actor(settings, lambda now: done.append(now.done) if now.phase == "body" and now.losses else None)
    assert done == [6, 8]


def test_more_training_publishes_the_next_version(settings):
    """Asked for more, the body goes on where it was, and its face is trained anew."""
    train_actor(settings)
    phases = []
    more = train_actor(replace(settings, pictures=12), lambda now: phases.append((now.phase, now.done)))
    assert more.version == 2
    assert [done for phase, done in phases if phase == "body" and done] == [10, 12]
    assert ("face", 1) in phases
    assert more.trained["body_pictures"] == 12


def test_footage_without_faces_gives_an_actor_without_face_network(settings, prepared, pose_at, monkeypatch):
    """Nobody's face is seen: that is said, and the actor has no face network."""
    faceless = replace(prepared, poses=[pose_at(16, face=False) for _ in prepared.poses])
    monkeypatch.setattr(job, "prepare", lambda *arguments: faceless)
    notes = []
    actor = train_actor(settings, lambda now: notes.append(now.note))
    assert actor.face is None
    assert any("no face" in note for note in notes)
    assert ActorStore(settings.store_root).load("bar").face is None


def test_evaluation_is_kept_for_people(settings):
    """The scores are also in the work folder, as JSON."""
    train_actor(settings)
    scores = json.loads((settings.work_folder / "evaluation.json").read_text())
    assert scores["held_out"]["frames"] > 0


@pytest.mark.parametrize(
    ("field", "value"), [("actor", "../bar"), ("minutes", 0.0), ("pictures", -1), ("device", "tpu")]
)
def test_nonsense_is_refused_by_name(settings, field, value):
    """Each setting that makes no sense is named."""
    with pytest.raises(BadInput, match=field):
        replace(settings, **{field: value})
