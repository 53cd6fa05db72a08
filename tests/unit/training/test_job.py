"""A training job: what it publishes, reports and records, and how it stops."""

import errno
import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from provenance.credentials.reading import State, read_credentials
from provenance.user_folder import user_folder
from serving.actors.store import ActorStore
from serving.errors import BadInput
from training import job, preset_setup
from training.job import train_actor
from training.loop.checkpoint_space import body_checkpoint_bytes, face_checkpoint_bytes, state_checkpoint_space
from training.loop.trainer import TrainingStopped
from training.preset_setup import drawing_for
from training.process.distributed import Ranks
from training.process.work_folder import DiskFull, locked
from training.reporting import held_out_scores


def test_job_ends_with_an_actor_that_loads(settings):
    """Networks, plate and metadata are published, with the scores of the actor and its baselines."""
    published = train_actor(settings)
    actor = ActorStore(settings.store_root).load("bar")
    assert (actor.version, published.version) == (1, 1)
    assert actor.face == settings.preset.face
    assert actor.consent.words == "drawn by ourselves"
    assert {"held_out", "nearest_training_frame", "grey_figure", "pose_distance", "pose_distance_floor"} <= set(
        actor.scores
    )
    assert actor.read_plate().shape == (32, 32, 3)
    assert actor.trained["precision"] == "f32"
    for picture in (settings.work_folder / "preview.png", published.preview_path):
        signed = read_credentials(picture)
        assert signed is not None, picture.name
        assert (signed.state, signed.says_synthetic, signed.stated["actor"]) == (State.VALID, True, "bar")
    assert not (settings.work_folder / "faces.npy").exists()
    assert len((settings.work_folder / "scores.csv").read_text().splitlines()) == 2


def test_only_the_first_process_makes_a_certificate_and_it_tells(settings, tmp_path, monkeypatch):
    """Processes on other machines would make others, and write nothing with them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    told: list[str] = []
    monkeypatch.setattr(job._Job, "_run", lambda self: None)
    with monkeypatch.context() as patched:
        patched.setattr(job, "joined", lambda device: nullcontext(Ranks(rank=1, count=2)))
        train_actor(settings)
    assert not (tmp_path / "config").exists()
    for _ in range(2):
        train_actor(settings, lambda progress: told.append(progress.note))
    assert told == [f"made a certificate for Content Credentials, which nothing vouches for: {user_folder()}"]


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
    assert [now.done for now in said["evaluating"]] == list(range(10))
    assert all(now.total == 9 and now.seconds_left is not None for now in said["evaluating"][1:])


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


def test_perceptual_loss_without_weights_stops_before_preparation(settings):
    """The error has the ways out, and nothing was prepared."""
    seen = []
    with pytest.raises(BadInput, match="--perceptual random"):
        train_actor(replace(settings, perceptual="vgg19", vgg_weights=settings.footage), seen.append)
    assert not seen
    with pytest.raises(BadInput, match="perceptual loss is none"):
        replace(settings, vgg_weights=settings.footage)


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
