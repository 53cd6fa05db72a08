"""A training job on top of earlier ones: more training, another recipe, another actor to start from."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from serving.actors.store import FACE_FILE, GENERATOR_FILE, ActorStore
from serving.errors import BadInput, NoConsent
from serving.process.exit_codes import EXIT_FINAL, exit_code_of
from training import preset_setup
from training.data.footage import Footage
from training.evaluation.held_out_frames import HeldOut
from training.job import train_actor
from training.loop.trainer import TrainingStopped
from training.presets import with_padding
from training.reporting.progress import Progress


def test_more_training_publishes_the_next_version(settings):
    """With a larger budget the body is trained further, and its face is trained again."""
    train_actor(settings)
    phases = []
    more = train_actor(replace(settings, pictures=12), lambda now: phases.append((now.phase, now.done)))
    assert more.version == 2
    assert [done for phase, done in phases if phase == "body" and done] == [10, 12]
    assert ("face", 1) in phases
    assert more.trained["body_pictures"] == 12


def test_finished_job_is_not_published_twice(settings):
    """With nothing left to train, the existing version is returned with a note; another store gets its own."""
    train_actor(settings)
    notes = []
    again = train_actor(settings, lambda now: notes.append(now.note))
    assert again.version == 1
    assert ActorStore(settings.store_root).versions("bar") == [1]
    assert any("nothing left to train: this is bar version 1" in note for note in notes)
    assert train_actor(replace(settings, consent="withdrawn and given anew")).version == 2
    other_store = settings.store_root.with_name("others")
    assert train_actor(replace(settings, store_root=other_store)).folder.parent.parent == other_store


@pytest.mark.parametrize("other", ["seed", "recipe", "footage"])
def test_training_of_something_else_is_not_overwritten(settings, other):
    """Another seed, recipe or footage in the same work folder is refused before preparation, and named."""
    train_actor(settings)
    kept = (settings.work_folder / "body.pt").read_bytes()
    words, changed = {
        "seed": ("seed is 0 there and 5 here", replace(settings, seed=5)),
        "recipe": ("preset.learning_rate", replace(settings, preset=replace(settings.preset, learning_rate=1e-3))),
        "footage": ("footage is", settings),
    }[other]
    if other == "footage":
        settings.footage.write_bytes(b"other footage")
    seen = []
    with pytest.raises(BadInput, match=words):
        train_actor(changed, seen.append)
    assert not seen
    assert (settings.work_folder / "body.pt").read_bytes() == kept


def test_another_stage_is_another_training(settings, prepared, monkeypatch):
    """Pictures of another crop do not resume the body of the former ones."""
    train_actor(settings)
    monkeypatch.setattr(
        preset_setup, "prepare", lambda *arguments, **options: replace(prepared, folder=prepared.folder / "otherwise")
    )
    with pytest.raises(BadInput, match="stage is footage there and otherwise here"):
        train_actor(settings)


def trained_phases() -> tuple[set[str], Callable[[Progress], None]]:
    """Returns the phases in which steps are taken, and the callback that collects them."""
    phases: set[str] = set()

    def noted(now: Progress) -> None:
        if now.losses:
            phases.add(now.phase)

    return phases, noted


def test_trained_body_is_given_a_face(settings):
    """A body trained without a face gets one without being trained again; both are as if trained at once."""
    train_actor(replace(settings, losses="smoothing"))
    phases, noted = trained_phases()
    later = train_actor(replace(settings, losses="smoothing-face"), noted)
    assert phases == {"face"}
    at_once = train_actor(replace(settings, work_root=settings.work_root / "other", actor="baz"))
    for file in (GENERATOR_FILE, FACE_FILE):
        assert (later.folder / file).read_bytes() == (at_once.folder / file).read_bytes()
    notes = []
    plain = replace(settings, losses="smoothing", publish_anyway=False)
    assert train_actor(plain, lambda now: notes.append(now.note)).version == 1  # as published before
    assert "version 2 is served, as chosen by hand; `dance actors promote` serves this one" in notes


def test_another_recipe_of_the_face_is_another_face(settings):
    """With another face recipe the body stays, and its face is trained again."""
    train_actor(settings)
    phases, noted = trained_phases()
    preset = replace(settings.preset, face_rule=replace(settings.preset.face_rule, side_per_face_size=2.5))
    other = train_actor(replace(settings, preset=preset), noted)
    assert phases == {"face"}
    assert other.version == 2


def test_fine_tuning_starts_from_another_actor(settings):
    """Fine-tuning starts with the other actor's weights, records that, and can resume without that actor."""
    stop = lambda: True  # noqa: E731
    with pytest.raises(TrainingStopped):
        train_actor(settings, should_stop=stop)
    other = replace(settings, actor="baz", start_from="bar")
    notes = []
    with pytest.raises(BadInput, match="not trained yet"):
        train_actor(other, lambda now: notes.append(now.note))
    assert not notes
    train_actor(settings)
    with pytest.raises(TrainingStopped):
        train_actor(other, lambda now: notes.append(now.note), stop)
    assert any("starts from bar's checkpoint after 8 pictures" in note for note in notes)
    of_both = train_actor(replace(other, actor="both")).trained
    assert of_both["started_from"].startswith("bar's checkpoint after 8 pictures (training ")
    assert of_both["face_started_from"] == of_both["started_from"]
    for path in settings.work_folder.glob("*.pt"):
        path.unlink()
    with pytest.raises(TrainingStopped):
        train_actor(other, should_stop=stop)
    with pytest.raises(BadInput, match="from is bar there and"):
        train_actor(replace(other, start_from=""))
    with pytest.raises(BadInput, match="'nobody'"):
        train_actor(replace(settings, actor="new", start_from="nobody"))


def test_a_version_that_is_too_bad_is_published_and_not_served(settings, monkeypatch):
    """The previous version stays served and the reasons are kept; publish_anyway serves the new one."""
    train_actor(settings)
    measured, sharpness = HeldOut.quality, iter([0.5, 1.0])  # the new version's, then the served one's

    def blurred(*given):
        scores = measured(*given)
        scores["held_out"]["sharpness"] = next(sharpness)
        return scores

    monkeypatch.setattr(HeldOut, "quality", blurred)
    store = ActorStore(settings.store_root)
    notes = []
    careful = replace(settings, pictures=12, publish_anyway=False)
    refused = train_actor(careful, lambda now: notes.append(now.note))
    assert (refused.version, store.load("bar").version) == (2, 1)
    gate = store.load("bar", 2).scores["gate"]
    assert not gate["passed"]
    assert gate["compared_with"]["version"] == 1
    assert any("it is blurred: sharpness 0.50 of the real frames'" in reason for reason in gate["reasons"])
    (note,) = [note for note in notes if "it is blurred" in note]
    assert note.startswith("it did not pass the quality gate: it is blurred: ")
    assert note.endswith("Now version 1 is served; `dance actors promote bar` serves version 2")
    assert train_actor(replace(careful, publish_anyway=True)).version == 2
    assert (store.versions("bar"), store.load("bar").version) == ([1, 2], 2)


def test_a_version_is_not_compared_on_frames_that_the_served_one_may_have_learned(settings):
    """With another file the split differs, so the new version is not compared or served, except with publish_anyway."""
    train_actor(settings)
    more = settings.footage.with_name("more.mp4")
    more.write_bytes(b"more")
    notes = []
    both = replace(
        settings,
        footage=Footage.of([settings.footage, more]),
        work_root=settings.work_root / "both",
        publish_anyway=False,
    )
    train_actor(both, lambda now: notes.append(now.note))
    store = ActorStore(settings.store_root)
    assert store.served("bar").version == 1
    gate = store.load("bar", 2).scores["gate"]
    assert gate["compared_with"] is None
    assert "it is unknown whether it is worse than the served version" in gate["reasons"]
    said = "version 1 may have learned these held-out frames: it was trained on some of these files with another split"
    assert f"not compared with the version that was served: {said}" in notes
    train_actor(replace(both, publish_anyway=True))
    assert store.served("bar").version == 2


def test_a_training_goes_on_with_the_padding_it_began_with(settings):
    """A body that was started with another padding keeps it, and so does a training that starts from it."""
    train_actor(settings)
    today = replace(settings, preset=with_padding(settings.preset, "zeros"))
    notes: list[str] = []
    actor = train_actor(replace(today, pictures=12), lambda now: notes.append(now.note))
    assert actor.face is not None
    assert (actor.generator.padding, actor.face.padding) == ("reflection", "reflection")
    assert actor.trained["body_pictures"] == 12
    assert any("padded by reflection, as in the training of these weights" in note for note in notes)
    for name, work in (("tuned", settings.work_root), ("from-published", settings.work_root / "elsewhere")):
        tuned = train_actor(replace(today, actor=name, start_from="bar", work_root=work))
        assert tuned.generator.padding == "reflection"
    fresh = train_actor(replace(today, actor="fresh"))
    assert fresh.generator.padding == "zeros"


def test_a_revoked_consent_is_not_trained_with_again(settings):
    """The training fails before it begins, for good; a consent that was given afterwards is fine."""
    store = ActorStore(settings.store_root)
    train_actor(settings)
    store.revoke("bar", reason="she asked")
    with pytest.raises(NoConsent, match="she asked; a new version needs a new consent") as refused:
        train_actor(settings)
    assert exit_code_of(refused.value) == EXIT_FINAL
    today = store.consents.now().date().isoformat()
    anew = train_actor(replace(settings, consent="agreed again", consent_on=today))
    assert (anew.version, store.load("bar").version) == (2, 2)
