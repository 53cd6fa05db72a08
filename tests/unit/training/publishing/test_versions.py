"""The versions of one training: before it, meanwhile, and at its end."""

from dataclasses import replace

import numpy as np
import pytest

from motion.wardrobe.draw import draw_reference
from serving.actors.preview import has_preview
from serving.actors.shown_records import trained_at_s
from serving.actors.store import ActorStore, NetworkShape
from serving.errors import BadInput
from serving.pictures.compositing import laid_over
from tests.unit.training.conftest import standing, walking_bar
from training import preset_setup
from training.data.references import ReferenceRules
from training.evaluation.actor_runner import PublishedActor
from training.job import JobSettings, train_actor
from training.loop.trainer import TrainingStopped
from training.publishing import publish, versions
from training.publishing.quality_gate import Verdict
from training.publishing.versions import next_mark


@pytest.fixture
def settings(tiny, tmp_path, monkeypatch, fake_estimator):
    """A job on the tiny actor with a reference, whose preparation is already done."""
    prepared = walking_bar(tmp_path, frames=64)
    monkeypatch.setattr(preset_setup, "prepare", lambda *arguments, **options: prepared)
    (tmp_path / "footage.mp4").write_bytes(b"footage")
    shape = NetworkShape(base_channels=4, downsamplings=1, blocks=1, plate=True, reference=True)
    return JobSettings(
        footage=tmp_path / "footage.mp4",
        actor="bar",
        store_root=tmp_path / "actors",
        work_root=tmp_path / "work",
        preset=replace(tiny, generator=shape, face=None, references=ReferenceRules()),
        pictures=8,
        consent="drawn by ourselves",
        publish_anyway=True,
    )


@pytest.fixture
def store(settings):
    """The store that the job publishes into."""
    return ActorStore(settings.store_root)


@pytest.mark.parametrize(
    ("published", "due"), [(-1, 300), (0, 300), (299, 300), (300, 700), (1400, 1500), (1500, 3000), (7000, 12000)]
)
def test_better_versions_come_after_300_700_and_1500_pictures_then_twice_as_late_each_time(published, due):
    """Early pictures improve an actor most, so its first versions follow each other quickly."""
    assert next_mark(published) == due


def test_first_version_is_the_bare_warp_and_says_so(settings, store):
    """With 0 minutes the job stops at it: the network returns the reference over the plate, without any training."""
    notes = []
    first = train_actor(replace(settings, minutes=0.0, pictures=None), lambda now: notes.append(now.note))
    actor = store.load("bar")
    assert first.version == actor.version == 1
    assert (actor.trained["bare_warp"], actor.trained["body_pictures"]) == (True, 0)
    assert not (settings.work_folder / "body.pt").exists()
    assert any(
        note.startswith("version 1, ") and note.endswith("the actor's own limbs, before any training") for note in notes
    )
    assert has_preview(actor.folder)
    assert trained_at_s(actor) is not None
    wardrobe, pose = actor.read_wardrobe(), standing(14)
    drawn = PublishedActor(actor).run([pose])[0][0]
    expected = laid_over(draw_reference(wardrobe, pose).picture, actor.crop.cut(actor.read_plate()))
    assert np.abs(drawn.astype(int) - expected).max() <= 2


@pytest.mark.slow
def test_first_version_is_published_once(settings, store):
    """The same command returns it; a training goes on from there and publishes the next version only."""
    stopping = replace(settings, minutes=0.0, pictures=None)
    assert train_actor(stopping).version == 1
    assert train_actor(stopping).version == 1
    assert store.versions("bar") == [1]
    assert train_actor(settings).version == 2


def test_same_command_with_publish_anyway_serves_a_first_version_that_did_not_pass(settings, store, monkeypatch):
    """Without that option it stays published and not served, and the output says how to serve it."""
    monkeypatch.setattr(publish, "verdict_against_served", lambda *facts: Verdict(False, ["worse"], None, ""))
    stopping = replace(settings, minutes=0.0, pictures=None, publish_anyway=False)
    train_actor(stopping)
    assert store.served("bar").version == 0
    notes = []
    train_actor(stopping, lambda now: notes.append(now.note))
    assert store.served("bar").version == 0
    assert "no version is served; `dance actors promote` serves this one" in notes
    train_actor(replace(stopping, publish_anyway=True))
    assert store.served("bar").version == 1
    assert store.versions("bar") == [1]


@pytest.mark.slow
def test_better_versions_are_published_while_training_goes_on(settings, store, monkeypatch):
    """Each is trained on more pictures than the one before; the last comes at the end."""
    monkeypatch.setattr(versions, "_FIRST_MARKS", (4,))
    train_actor(settings)
    trained = [store.load("bar", version).trained for version in store.versions("bar")]
    assert [record["body_pictures"] for record in trained] == [0, 4, 8]
    assert [record["bare_warp"] for record in trained] == [True, False, False]


@pytest.mark.slow
def test_resumed_training_does_not_publish_again_what_is_published(settings, store, monkeypatch):
    """A training stopped after its first versions goes on with the next ones."""
    monkeypatch.setattr(versions, "_FIRST_MARKS", (4,))
    steps = []
    with pytest.raises(TrainingStopped):
        train_actor(settings, lambda now: steps.append(now) if now.losses else None, lambda: len(steps) >= 3)
    assert store.versions("bar") == [1, 2]
    train_actor(settings)
    assert [store.load("bar", version).trained["body_pictures"] for version in (1, 2, 3)] == [0, 4, 8]


def test_reworded_consent_does_not_bring_the_bare_warp_back(settings, store):
    """After a trained version, the next one with new words is the last; 0 minutes still ask for the bare warp."""
    train_actor(settings)
    reworded = replace(settings, consent="drawn by ourselves, in other words")
    train_actor(reworded)
    published = [store.load("bar", version) for version in store.versions("bar")]
    assert [actor.trained["body_pictures"] for actor in published] == [0, 8, 8]
    assert [actor.consent.words for actor in published] == [settings.consent, settings.consent, reworded.consent]
    train_actor(replace(reworded, consent="in yet other words", minutes=0.0, pictures=None))
    assert store.load("bar", 4).trained["bare_warp"]


def test_reworded_consent_is_stated_by_a_first_version_again(settings, store):
    """As long as nothing was trained, the bare warp is the newest version, so it is the one to state the new words."""
    stopping = replace(settings, minutes=0.0, pictures=None)
    train_actor(stopping)
    train_actor(replace(settings, consent="in other words"))
    published = [store.load("bar", version) for version in store.versions("bar")]
    assert [actor.trained["body_pictures"] for actor in published] == [0, 0, 8]
    assert [actor.consent.words for actor in published[1:]] == ["in other words"] * 2


def test_no_training_starts_from_a_bare_warp(settings):
    """It has no weights to start from, and the error says so before anything is prepared."""
    train_actor(replace(settings, minutes=0.0, pictures=None))
    with pytest.raises(BadInput, match="bar version 1 has only a wardrobe, and no trained network to start from"):
        train_actor(replace(settings, actor="baz", start_from="bar"))


def test_nothing_can_be_published_before_training_without_a_wardrobe(settings, tiny):
    """0 minutes are refused for presets without a reference, in words that name the preset."""
    with pytest.raises(BadInput, match="preset tiny has nothing to publish before training"):
        replace(settings, preset=tiny, minutes=0.0)
    with pytest.raises(BadInput, match="cannot be negative"):
        replace(settings, minutes=-1.0)


def test_curves_have_a_column_for_every_loss(settings):
    """Steps on made-up poses have fewer losses than the others; the file has them all, in the usual order."""
    preset = replace(settings.preset, references=ReferenceRules(made_up=0.9))
    train_actor(replace(settings, preset=preset))
    header, *rows = (settings.work_folder / "body-losses.csv").read_text().splitlines()
    assert header == "pictures,seconds,rate,adversarial,feature_matching,l1,opacity,judge"
    assert len(rows) == 4
    assert any(",,," in row for row in rows)
