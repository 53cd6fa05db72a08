import re
from dataclasses import replace

import pytest
import torch

from serving.actors.store import GENERATOR_FILE, PLATE_FILE, Actor, ActorStore
from serving.errors import BadInput
from serving.process.atomic_files import write_picture
from training.checkpoints.identity import BODY_OF_THE_FACE
from training.checkpoints.store import Checkpoint, Checkpoints
from training.data.split import split_footage
from training.loop.body_learner import BodyLearner, new_generator
from training.loop.finetune import body_weights_of, checked_start, face_weights_of, start
from training.loop.learner import Computing
from training.loop.trainer import Budget, Trainer
from training.preset_setup import pairs_for
from training.presets import with_losses
from training.publishing.export import export_generator

RECIPE = {"seed": "1", "preset.face_rule": "one"}


@pytest.fixture
def learner(prepared, tiny):
    def make(preset=tiny, seed=1):
        pairs = pairs_for(preset, prepared, split_footage([True] * len(prepared)), 1)
        return BodyLearner(preset, pairs, Computing(seed=seed))

    return make


@pytest.fixture
def trained(learner, tmp_path):
    """A trained body of the actor "bar", with its checkpoint in the work folder."""
    made = learner()
    Trainer(made, Budget(pictures=4), tmp_path / "work" / "bar" / "body.pt", RECIPE).run(lambda step: None)
    return made


def publish(trained, prepared, preset, folder):
    """Publishes the body of "bar"."""
    generator = new_generator(preset.generator)
    generator.load_state_dict(trained.averaged.state_dict())
    export_generator(generator, prepared.crop_plate, folder / GENERATOR_FILE, preset.width_px, preset.height_px)
    write_picture(folder / PLATE_FILE, prepared.plate)
    actor = Actor(
        id="bar", version=0, folder=folder, label_map_version=1, crop=prepared.crop, frame_size=prepared.frame_size,
        frame_rate_hz=24.0, body=prepared.body, face_rule=preset.face_rule, generator=preset.generator, face=None,
        preset=preset.name,
    )  # fmt: skip
    files = {name: folder / name for name in (GENERATOR_FILE, PLATE_FILE)}
    ActorStore(folder / "actors").publish(actor, files)


def test_checkpoint_gives_generator_and_discriminator(trained, learner, tmp_path):
    """The averaged weights become the first ones; optimizers, schedule and count start fresh."""
    weights = body_weights_of("bar", tmp_path / "work", tmp_path / "actors")
    other = learner(seed=2)
    start(other, weights)
    for network in (other.generator, other.averaged):
        torch.testing.assert_close(network.state_dict(), trained.averaged.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(other.discriminator.state_dict(), trained.discriminator.state_dict(), rtol=0, atol=0)
    assert other.pictures_seen == 0
    assert re.fullmatch(r"bar's checkpoint after 4 pictures \(training [0-9a-f]{16}\)", other.state()["started_from"])


def test_published_actor_gives_its_generator(trained, learner, prepared, tiny, tmp_path):
    """Without checkpoints the published networks are read, and the record says that the discriminator is new."""
    publish(trained, prepared, tiny, tmp_path)
    weights = body_weights_of("bar", tmp_path / "elsewhere", tmp_path / "actors")
    other, fresh = learner(seed=2), learner(seed=2)
    start(other, weights)
    torch.testing.assert_close(other.generator.state_dict(), trained.averaged.state_dict(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(other.discriminator.state_dict(), fresh.discriminator.state_dict(), rtol=0, atol=0)
    assert other.started_from == "bar version 1 as published, without its discriminator"
    assert face_weights_of("bar", weights.source, tmp_path / "elsewhere", tmp_path / "actors") is None


def test_other_networks_are_refused_and_other_discriminators_start_fresh(trained, learner, tiny, tmp_path):
    """A generator of another shape is refused with both shapes; a discriminator of another shape starts fresh."""
    weights = body_weights_of("bar", tmp_path / "work", tmp_path / "actors")
    wide = replace(tiny, generator=replace(tiny.generator, base_channels=8))
    with pytest.raises(BadInput, match=r"head\.conv\.weight is \[4, 6, 7, 7\] there and \[8, 6, 7, 7\] here"):
        start(learner(wide), weights)
    apart = learner(with_losses(tiny, "pix2pixhd"))
    start(apart, weights)
    assert "another shape" in apart.started_from
    assert apart.generator.head.conv.weight[:, 3:].abs().max() == 0


def test_weights_of_another_shape_are_refused_before_preparation(trained, tiny, tmp_path):
    """The weights of the body and of its face are checked."""
    checked_start("bar", tiny, tmp_path / "work", tmp_path / "actors")
    wide = replace(tiny, generator=replace(tiny.generator, base_channels=8))
    with pytest.raises(BadInput, match="use the preset it was trained with"):
        checked_start("bar", wide, tmp_path / "work", tmp_path / "actors")
    keep_face(tmp_path, RECIPE)
    with pytest.raises(BadInput, match="use the preset it was trained with"):
        checked_start("bar", tiny, tmp_path / "work", tmp_path / "actors")
    checked_start("bar", replace(tiny, face=None), tmp_path / "work", tmp_path / "actors")


def keep_face(folder, identity, pictures=3):
    """Writes a checkpoint of a face of "bar" as the newest one."""
    weights = {"averaged": {"face": torch.ones(1)}, "judge": {}}
    face = Checkpoint(identity | {BODY_OF_THE_FACE: "2 pictures"}, 1.0, 0, {"pictures_seen": pictures} | weights)
    Checkpoints(folder / "work" / "bar" / "face.pt").write(face)


def test_face_belongs_to_the_body(trained, tmp_path):
    """A face of an earlier body or another face recipe is used; one of another training, or untrained, is not."""
    folders = (tmp_path / "work", tmp_path / "actors")
    source = body_weights_of("bar", *folders).source
    assert face_weights_of("bar", source, *folders) is None
    keep_face(tmp_path, RECIPE | {"seed": "2"})
    keep_face(tmp_path, RECIPE, pictures=0)
    assert face_weights_of("bar", source, *folders) is None
    keep_face(tmp_path, RECIPE | {"preset.face_rule": "another"})
    keep_face(tmp_path, RECIPE | {"footage": "another"}, pictures=5)
    face = face_weights_of("bar", source, *folders)
    assert face is not None
    assert face.source.startswith("bar's checkpoint after 3 pictures")


def test_face_of_a_published_body_is_the_published_one(trained, prepared, tiny, tmp_path):
    """A published body gets its published face, despite newer checkpoints; without one the face starts fresh."""
    publish(trained, prepared, tiny, tmp_path)
    source = body_weights_of("bar", tmp_path / "elsewhere", tmp_path / "actors").source
    keep_face(tmp_path, RECIPE)
    assert face_weights_of("bar", source, tmp_path / "work", tmp_path / "actors") is None


def test_untrained_checkpoint_is_skipped(trained, learner, prepared, tiny, tmp_path):
    """A published actor whose new training has only started is used as published; without versions it is an error."""
    (tmp_path / "work" / "bar").rename(tmp_path / "work" / "before")
    begun = Trainer(learner(), Budget(pictures=4), tmp_path / "work" / "bar" / "body.pt", RECIPE)
    begun.save()
    with pytest.raises(BadInput, match="not trained yet"):
        body_weights_of("bar", tmp_path / "work", tmp_path / "actors")
    publish(trained, prepared, tiny, tmp_path)
    assert "version 1 as published" in body_weights_of("bar", tmp_path / "work", tmp_path / "actors").source


def test_damaged_checkpoints_are_not_used(trained, tmp_path):
    """Each damaged checkpoint is named and the one before it used; if none is usable or published, that is an error."""
    folder, notes = tmp_path / "work" / "bar", []
    (folder / "body.pt").replace(folder / "body.1.pt")
    (folder / "body.pt").write_bytes(b"torn")
    weights = body_weights_of("bar", tmp_path / "work", tmp_path / "actors", notes.append)
    assert "after 4 pictures" in weights.source
    assert [note.split(" is damaged")[0] for note in notes] == [str(folder / "body.pt")]
    for path in folder.glob("body*.pt"):
        path.write_bytes(b"torn")
    with pytest.raises(BadInput, match="no checkpoint of 'bar'"):
        body_weights_of("bar", tmp_path / "work", tmp_path / "actors")


def test_unknown_actor_is_refused(tmp_path):
    """The error names both folders that were searched."""
    with pytest.raises(
        BadInput, match=r"no actor 'nobody' to start from: no checkpoint in .*work, no version in .*actors"
    ):
        body_weights_of("nobody", tmp_path / "work", tmp_path / "actors")
