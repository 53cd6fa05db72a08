from dataclasses import replace

import pytest
import torch

from serving.actors import GENERATOR_FILE, PLATE_FILE, Actor, ActorStore
from serving.errors import BadInput
from training.atomic import write_picture
from training.body import BodyLearner, new_generator
from training.data.pairs import split_footage
from training.export import export_generator
from training.finetune import start, weights_of
from training.learner import Computing
from training.presets import with_losses
from training.recipe import pairs_for
from training.trainer import Budget, Trainer


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
    Trainer(made, Budget(pictures=4), tmp_path / "work" / "bar" / "body.pt", {}).run(lambda step: None)
    return made


def publish(trained, prepared, preset, folder):
    """Puts the body of "bar" into the store."""
    generator = new_generator(preset.generator)
    generator.load_state_dict(trained.averaged.state_dict())
    export_generator(generator, prepared.stage_plate, folder / GENERATOR_FILE, preset.width_px, preset.height_px)
    write_picture(folder / PLATE_FILE, prepared.plate)
    actor = Actor(
        id="bar", version=0, folder=folder, label_map_version=1, stage=prepared.stage, frame_size=prepared.frame_size,
        frame_rate_hz=24.0, body=prepared.body, face_rule=preset.face_rule, generator=preset.generator, face=None,
        preset=preset.name,
    )  # fmt: skip
    files = {name: folder / name for name in (GENERATOR_FILE, PLATE_FILE)}
    ActorStore(folder / "actors").publish(actor, files)


def test_checkpoint_gives_generator_and_judge(trained, learner, tmp_path):
    """Averaged weights go on as the first ones; optimizers, schedule and count begin anew."""
    weights = weights_of("bar", "body", tmp_path / "work", tmp_path / "actors")
    assert weights is not None
    other = learner(seed=2)
    start(other, weights)
    for network in (other.generator, other.averaged):
        torch.testing.assert_close(network.state_dict(), trained.averaged.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(other.judge.state_dict(), trained.judge.state_dict(), rtol=0, atol=0)
    assert other.pictures_seen == 0
    assert other.state()["started_from"] == "bar's checkpoint after 4 pictures"


def test_published_actor_gives_its_generator(trained, learner, prepared, tiny, tmp_path):
    """Where only the store knows the actor its networks are read, and the record says that the judge is new."""
    publish(trained, prepared, tiny, tmp_path)
    weights = weights_of("bar", "body", tmp_path / "elsewhere", tmp_path / "actors")
    assert weights is not None
    other, fresh = learner(seed=2), learner(seed=2)
    start(other, weights)
    torch.testing.assert_close(other.generator.state_dict(), trained.averaged.state_dict(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(other.judge.state_dict(), fresh.judge.state_dict(), rtol=0, atol=0)
    assert other.started_from == "bar version 1 as published, without its discriminator"
    assert weights_of("bar", "face", tmp_path / "elsewhere", tmp_path / "actors") is None


def test_other_networks_are_refused_and_other_judges_begin_anew(trained, learner, tiny, tmp_path):
    """A generator of another shape is named, with both shapes; without smoothing the judge is another one."""
    weights = weights_of("bar", "body", tmp_path / "work", tmp_path / "actors")
    assert weights is not None
    wide = replace(tiny, generator=replace(tiny.generator, base_channels=8))
    with pytest.raises(BadInput, match=r"head\.conv\.weight is \[4, 6, 7, 7\] there and \[8, 6, 7, 7\] here"):
        start(learner(wide), weights)
    apart = learner(with_losses(tiny, "pix2pixhd"))
    start(apart, weights)
    assert "another form" in apart.started_from
    assert apart.generator.head.conv.weight[:, 3:].abs().max() == 0


def test_face_that_was_never_trained_begins_anew(trained, tmp_path):
    """An actor whose training was stopped before its face gives its body alone."""
    assert weights_of("bar", "face", tmp_path / "work", tmp_path / "actors") is None


def test_damaged_checkpoint_is_no_start(trained, tmp_path):
    """Where none can be used, and nothing is published, that is said."""
    for path in (tmp_path / "work" / "bar").glob("body*.pt"):
        path.write_bytes(b"torn")
    with pytest.raises(BadInput, match="no checkpoint of 'bar'"):
        weights_of("bar", "body", tmp_path / "work", tmp_path / "actors")


def test_unknown_actor_is_refused(tmp_path):
    """Both folders that were looked in are named."""
    with pytest.raises(
        BadInput, match=r"no actor 'nobody' to start from: no checkpoint in .*work, no version in .*actors"
    ):
        weights_of("nobody", "body", tmp_path / "work", tmp_path / "actors")
