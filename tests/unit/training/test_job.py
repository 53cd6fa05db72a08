import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from serving.actors.store import FACE_FILE, GENERATOR_FILE, ActorStore
from serving.errors import BadInput
from training import job, preset_setup
from training.data.footage import Footage
from training.evaluation.held_out_frames import HeldOut
from training.job import JobSettings, train_actor
from training.loop.checkpoint_space import body_checkpoint_bytes, face_checkpoint_bytes, state_checkpoint_space
from training.loop.trainer import TrainingStopped
from training.preset_setup import drawing_for
from training.presets import with_padding
from training.process.work_folder import DiskFull, locked
from training.reporting import held_out_scores
from training.reporting.progress import Progress


@pytest.fixture
def settings(prepared, tiny, tmp_path, monkeypatch, fake_estimator):
    """A job on the tiny actor, whose preparation is already done."""
    monkeypatch.setattr(preset_setup, "prepare", lambda *arguments, **options: prepared)
    (tmp_path / "footage.mp4").write_bytes(b"footage")
    return JobSettings(
        footage=tmp_path / "footage.mp4",
        actor="bar",
        store_root=tmp_path / "actors",
        work_root=tmp_path / "work",
        preset=tiny,
        pictures=8,
        consent="drawn by ourselves",
        publish_anyway=True,  # networks that have seen eight pictures beat nothing
    )


def test_job_ends_with_an_actor_that_loads(settings):
    """Networks, plate and metadata are published, with the scores of the actor and its baselines."""
    published = train_actor(settings)
    actor = ActorStore(settings.store_root).load("bar")
    assert (actor.version, published.version) == (1, 1)
    assert actor.face == settings.preset.face
    assert actor.consent == "drawn by ourselves"
    assert {"held_out", "nearest_training_frame", "grey_figure", "pose_distance", "pose_distance_floor"} <= set(
        actor.scores
    )
    assert actor.read_plate().shape == (32, 32, 3)
    assert actor.trained["precision"] == "f32"
    assert (settings.work_folder / "preview.png").is_file()
    assert not (settings.work_folder / "faces.npy").exists()
    assert len((settings.work_folder / "scores.csv").read_text().splitlines()) == 2


def test_stopped_job_goes_on(settings):
    """A job that is stopped in the body's training publishes nothing; the same call finishes it."""
    steps: list[object] = []
    stop = lambda: len(steps) >= 2  # noqa: E731
    with pytest.raises(TrainingStopped):
        train_actor(settings, lambda now: steps.append(now) if now.losses else None, stop)
    assert ActorStore(settings.store_root).ids() == []
    done = []
    train_actor(settings, lambda now: done.append(now.done) if now.phase == "body" and now.losses else None)
    assert done == [6, 8]


def test_stop_is_heard_while_held_out_frames_are_drawn(settings, tmp_path, monkeypatch):
    """A stop takes effect between two frames, with a checkpoint; the resumed job ends with identical weights."""
    monkeypatch.setattr(held_out_scores, "SCORE_EVERY_SECONDS", 0.0)  # after every step
    undisturbed = replace(settings, work_root=tmp_path / "undisturbed", store_root=tmp_path / "others")
    train_actor(undisturbed)
    drawn = []

    def counted(*given):
        draw = drawing_for(*given)

        def drawing(label, previous):
            drawn.append(label)
            return draw(label, previous)

        return drawing

    with monkeypatch.context() as patched:
        patched.setattr(job, "drawing_for", counted)
        with pytest.raises(TrainingStopped, match="stopped after 2 pictures; a checkpoint was written"):
            train_actor(settings, should_stop=lambda: len(drawn) == 1)
    assert len(drawn) == 1
    assert not (settings.work_folder / "scores.csv").exists()
    train_actor(settings)
    for file in ("body.pt", "face.pt"):
        one, other = (torch.load(folder / file) for folder in (settings.work_folder, undisturbed.work_folder))
        for network in ("generator", "judge", "averaged"):
            torch.testing.assert_close(one["learner"][network], other["learner"][network], rtol=0, atol=0)


def test_room_for_checkpoints_is_told_before_training(settings, monkeypatch):
    """The space for all kept checkpoints and one more is reported before training; too little ends the job."""
    notes: list[str] = []
    usage = shutil.disk_usage(settings.store_root.parent)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        told = r"the checkpoints need about 1 MB in .*bar; 0 MB are free: free some, .* smaller --preset"
        with pytest.raises(DiskFull, match=told):
            train_actor(settings)
    assert not (settings.work_folder / "body.pt").exists()
    train_actor(settings, lambda progress: notes.append(progress.note))
    assert any(note.startswith("the checkpoints need about ") for note in notes)
    for file, expected in (
        ("body.pt", body_checkpoint_bytes(settings.preset)),
        ("face.pt", face_checkpoint_bytes(settings.preset)),
    ):
        # So small a network takes a third more, for names.
        assert expected < (settings.work_folder / file).stat().st_size < 1.35 * expected
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=700_000))
    state_checkpoint_space(settings.preset, settings.work_folder / "body.pt", settings.work_folder / "face.pt", None)


def test_a_full_disk_in_training_is_one_line_and_the_job_goes_on_later(settings, monkeypatch):
    """The error names the folder, no checkpoint is lost, and the same call finishes the job."""
    wrote = os.fsync

    def full(descriptor):
        if (settings.work_folder / "body.pt").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        wrote(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DiskFull, match=r"the disk of .*bar is full; what was done is kept: free some room"):
            train_actor(settings)
    assert train_actor(settings).trained["body_pictures"] == 8


def test_a_full_disk_in_publishing_names_the_actors_folder(settings, monkeypatch):
    """The error names the actors' folder, which may be on another disk than the work folder."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(DiskFull, match=f"the disk of {settings.store_root} is full"):
            train_actor(settings)
    assert train_actor(settings).version == 1


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


def test_second_training_in_one_work_folder_is_refused(settings):
    """A second training in a locked work folder ends with one line; afterwards it may start."""
    with locked(settings.work_root), pytest.raises(BadInput, match="another training is at work"):
        train_actor(settings)
    assert train_actor(settings).version == 1


def test_cpu_that_only_converts_bf16_trains_in_float32(settings, monkeypatch):
    """Training in float32 is reported and recorded, and a machine with bf16 can resume the same checkpoint."""
    monkeypatch.setattr(preset_setup, "cpu_computes_bf16", lambda: False)
    asked = replace(settings, preset=replace(settings.preset, precision="bf16"))
    notes = []
    actor = train_actor(asked, lambda now: notes.append(now.note))
    assert actor.trained["precision"] == "f32"
    assert any("does not compute bf16" in note for note in notes)
    monkeypatch.setattr(preset_setup, "cpu_computes_bf16", lambda: True)
    assert train_actor(replace(asked, pictures=10)).trained["precision"] == "bf16"


def test_notes_say_what_is_true_of_the_footage(settings, prepared, monkeypatch):
    """Lost frames, props and shadows are counted; only with a plate does training see the plate there."""
    facts = {"frames_with_props": 2, "frames_with_shadows": 4, "frames_with_either": 5, "frames_lost": 7}
    odd = replace(prepared, report=prepared.report | facts)
    monkeypatch.setattr(preset_setup, "prepare", lambda *arguments, **options: odd)
    notes = []
    train_actor(settings, lambda now: notes.append(now.note))
    assert "7 frames of the footage could not be decoded" in notes
    (said,) = [note for note in notes if "differs" in note]
    assert "in 5 frames something beside the person differs from the plate (a prop in 2, a shadow in 4)" in said
    assert said.endswith("; training sees the plate there")


def test_long_phases_say_how_far_they_are(settings):
    """Drawing faces and evaluating count up to a total, with the time left after the first."""
    said = {}
    train_actor(settings, lambda now: said.setdefault(now.phase, []).append(now))
    assert said["drawing faces"][-1].part == 1
    assert [now.done for now in said["evaluating"]] == list(range(9))
    assert all(now.total == 8 and now.seconds_left is not None for now in said["evaluating"][1:])


def test_cuda_without_a_gpu_is_refused_at_once(settings, monkeypatch):
    """The error comes before minutes are spent on preparation."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BadInput, match="torch finds no GPU"):
        replace(settings, device="cuda")


def test_footage_without_faces_gives_an_actor_without_face_network(settings, prepared, pose_at, monkeypatch):
    """Footage without a face is noted, and the actor has no face network."""
    faceless = replace(prepared, poses=[pose_at(16, face=False) for _ in prepared.poses])
    monkeypatch.setattr(preset_setup, "prepare", lambda *arguments, **options: faceless)
    notes = []
    actor = train_actor(settings, lambda now: notes.append(now.note))
    assert actor.face is None
    assert any("no face" in note for note in notes)
    assert ActorStore(settings.store_root).load("bar").face is None


def test_record_says_what_it_was_trained_with(settings):
    """The record has the row of the ablation, the losses and the batch, and names a random VGG19."""
    asked = replace(settings, losses="pix2pixhd", perceptual="random", adversarial="log", feature_matching="sum")
    actor = train_actor(replace(asked, batch=2))
    assert actor.face is None
    assert (actor.trained["losses"], actor.trained["adversarial"]) == ("pix2pixhd", "log")
    assert actor.trained["feature_matching"] == "sum"
    assert actor.trained["perceptual"].startswith("random VGG19")
    assert actor.trained["pairs_per_step"] == 2
    assert actor.trained["body_pictures"] == 8
    assert actor.trained["coarse_pictures"] == 0
    assert actor.trained["footage_file_fingerprints"] == [actor.trained["footage_fingerprint"]]
    header = (settings.work_folder / "body-losses.csv").read_text().splitlines()[0]
    assert "perceptual" in header


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


def test_perceptual_loss_without_weights_stops_before_preparation(settings):
    """The error has the ways out, and nothing was prepared."""
    seen = []
    with pytest.raises(BadInput, match="--perceptual random"):
        train_actor(replace(settings, perceptual="vgg19", vgg_weights=settings.footage), seen.append)
    assert not seen
    with pytest.raises(BadInput, match="perceptual loss is none"):
        replace(settings, vgg_weights=settings.footage)


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


def test_evaluation_is_kept_for_people(settings):
    """The scores are also in the work folder, as JSON."""
    train_actor(settings)
    scores = json.loads((settings.work_folder / "evaluation.json").read_text())
    assert scores["held_out"]["frames"] > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("actor", "../bar"), ("minutes", 0.0), ("pictures", -1), ("device", "tpu"), ("batch", 0), ("consent", " ")],
)
def test_nonsense_is_refused_by_name(settings, field, value):
    """Each invalid setting is named."""
    with pytest.raises(BadInput, match={"pictures": "frames"}.get(field, field)):  # as the option is called
        replace(settings, **{field: value})


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
