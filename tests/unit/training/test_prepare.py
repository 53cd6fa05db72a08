import numpy as np
import pytest

from serving.errors import NoBody
from training.data import footage as reading
from training.data import prepare as preparation
from training.data.footage import FootageFacts
from training.data.prepare import prepare


@pytest.fixture
def footage(tmp_path, monkeypatch, fake_estimator):
    """A file whose "frames" are made here; returns its path and the list that counts how often they are read."""
    path = tmp_path / "footage.mp4"
    path.write_bytes(b"frames")
    opened = []
    frames = [np.full((32, 40, 3), 100, np.uint8) for _ in range(20)]

    def read(_, on_end=lambda lost_frames: None):
        opened.append(1)
        yield from frames
        on_end(3)

    monkeypatch.setattr(reading, "footage_frames", read)
    monkeypatch.setattr(reading, "footage_facts", lambda _: FootageFacts(24.0, None))
    return path, frames, opened


def test_preparation_gives_what_training_reads(footage, tmp_path):
    """Arrays of one entry per frame at the network's size, a stage that holds the poses, the body's stats."""
    path, frames, _ = footage
    prepared = prepare(path, tmp_path / "work", 32, 32)
    assert prepared.pictures.shape == prepared.labels.shape == (20, 32, 32, 3)
    assert prepared.masks.shape == (20, 32, 32)
    assert prepared.plate.shape == frames[0].shape
    assert prepared.stage_plate.shape == (32, 32, 3)
    assert all(pose is not None and prepared.stage.contains(pose) for pose in prepared.poses)
    assert prepared.body.frames == 20
    assert prepared.report["frames_with_a_person"] == 20
    assert prepared.report["frames_lost"] == 3
    assert prepared.props.shape == (20, 32, 32)
    assert prepared.labels[0].min() < 255


def test_second_preparation_reads_nothing(footage, tmp_path):
    """Everything is kept, so that a later run starts at once."""
    path, _, opened = footage
    first = prepare(path, tmp_path / "work", 32, 32)
    opened.clear()
    again = prepare(path, tmp_path / "work", 32, 32)
    assert not opened
    np.testing.assert_array_equal(first.pictures, again.pictures)
    assert again.report == first.report


def test_another_version_of_the_preparation_prepares_anew(footage, tmp_path, monkeypatch):
    """What an older preparation left is neither used nor mixed with the new one's."""
    path, _, opened = footage
    prepare(path, tmp_path / "work", 32, 32)
    opened.clear()
    monkeypatch.setattr(preparation, "PREPARATION_VERSION", preparation.PREPARATION_VERSION + 1)
    prepare(path, tmp_path / "work", 32, 32)
    assert opened
    assert len(list((tmp_path / "work").iterdir())) == 2


def test_every_pass_over_the_footage_is_reported_to_its_end(footage, tmp_path):
    """Poses, plate and stage each count up to the number of frames."""
    path, _, _ = footage
    last = {}
    prepare(path, tmp_path / "work", 32, 32, lambda what, done, of: last.update({what: (done, of)}))
    assert last == {
        "looking for poses": (20, None),
        "making the plate": (1, 1),
        "looking for other people": (1, 1),
        "cutting out the stage": (20, 20),
        "painting over props": (20, 20),
    }


def test_footage_without_people_is_refused(footage, tmp_path):
    """Nobody there is one clear sentence."""
    path, frames, _ = footage
    for frame in frames:
        frame[:] = 0
    with pytest.raises(NoBody, match="only 0 of 20 frames"):
        prepare(path, tmp_path / "work", 32, 32)
