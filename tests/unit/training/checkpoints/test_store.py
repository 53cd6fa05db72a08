import errno
import os

import pytest
import torch

from training.checkpoints.store import Checkpoint, Checkpoints


def checkpoint(pictures, suspect=0):
    return Checkpoint({"seed": "1"}, 2.5, suspect, {"pictures_seen": pictures, "weights": torch.arange(5000.0)})


def kept(checkpoints):
    return [found.pictures_seen for found in checkpoints.read()]


def test_last_three_are_kept(tmp_path):
    """Checkpoints are read newest first, and a fourth pushes the oldest out."""
    checkpoints = Checkpoints(tmp_path / "body.pt")
    assert checkpoints.newest() is None
    for pictures in (2, 4, 6, 8):
        checkpoints.write(checkpoint(pictures))
    assert kept(checkpoints) == [8, 6, 4]
    assert [path.name for path in checkpoints.paths()] == ["body.pt", "body.1.pt", "body.2.pt"]
    found = checkpoints.newest()
    assert found is not None
    assert (found.identity, found.seconds) == ({"seed": "1"}, 2.5)
    assert checkpoints.identity() == {"seed": "1"}
    torch.testing.assert_close(found.learner["weights"], torch.arange(5000.0))


@pytest.mark.parametrize("how", ["flipped", "cut off", "empty", "other"])
def test_damaged_checkpoint_is_named_and_skipped(tmp_path, how):
    """A flipped bit in the weights, a truncated file, an empty one and a foreign one are all damaged."""
    told: list[str] = []
    checkpoints = Checkpoints(tmp_path / "body.pt", told.append)
    checkpoints.write(checkpoint(2))
    checkpoints.write(checkpoint(4))
    data = bytearray(checkpoints.path.read_bytes())
    data[len(data) // 2] ^= 1
    torn = {"flipped": bytes(data), "cut off": bytes(data[:900]), "empty": b"", "other": b"not a checkpoint"}
    checkpoints.path.write_bytes(torn[how])
    assert kept(checkpoints) == [2]
    assert checkpoints.skipped
    (note,) = told
    assert f"{checkpoints.path} is damaged" in note
    assert note.endswith("so it is skipped")


def test_a_damaged_identity_is_skipped(tmp_path):
    """If a bit has flipped anywhere in the part read first, the checkpoint before it gives the identity."""
    checkpoints = Checkpoints(tmp_path / "body.pt")
    checkpoints.write(checkpoint(2))
    checkpoints.write(checkpoint(4))
    data = bytearray(checkpoints.path.read_bytes())
    at = data.index(b"identity") - 1
    data[at] ^= 0x10
    checkpoints.path.write_bytes(data)
    assert checkpoints.identity() == {"seed": "1"}


def test_a_disk_that_does_not_answer_is_no_damage(tmp_path, monkeypatch):
    """A read error is raised, not skipped; otherwise hours of training would start over."""
    told: list[str] = []
    checkpoints = Checkpoints(tmp_path / "body.pt", told.append)
    checkpoints.write(checkpoint(2))

    def no_answer(*arguments, **options):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(torch, "load", no_answer)
    with pytest.raises(OSError, match="Stale"):
        checkpoints.newest()
    with pytest.raises(OSError, match="Stale"):
        checkpoints.identity()
    assert not told


def test_crash_between_two_renames_loses_nothing(tmp_path):
    """If the newest file is missing, the older ones are found."""
    checkpoints = Checkpoints(tmp_path / "body.pt")
    for pictures in (2, 4):
        checkpoints.write(checkpoint(pictures))
    checkpoints.path.rename(tmp_path / "body.2.pt")
    assert kept(checkpoints) == [2, 4]


def test_full_disk_leaves_the_checkpoints_there_are(tmp_path, monkeypatch):
    """A failed write raises, and leaves neither a partial file nor a gap."""
    checkpoints = Checkpoints(tmp_path / "body.pt")
    checkpoints.write(checkpoint(2))

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        checkpoints.write(checkpoint(4))
    assert kept(checkpoints) == [2]
    assert [path.name for path in tmp_path.iterdir()] == ["body.pt"]


def test_suspect_checkpoints_do_not_push_out_good_ones(tmp_path):
    """While losses look wrong, each checkpoint replaces the last, so that the good ones stay available."""
    checkpoints = Checkpoints(tmp_path / "body.pt")
    for pictures, suspect in ((2, 0), (4, 0), (6, 1), (8, 3), (10, 5)):
        checkpoints.write(checkpoint(pictures, suspect))
    assert kept(checkpoints) == [10, 4, 2]
    again = Checkpoints(tmp_path / "body.pt")
    again.newest()
    again.write(checkpoint(12, 7))
    assert kept(again) == [12, 4, 2]


def test_what_a_killed_process_left_is_removed(tmp_path):
    """Half-written files of this training are removed; those of others stay."""
    for name in (".body.77.partial.pt", ".face.77.partial.pt"):
        (tmp_path / name).write_bytes(b"half")
    Checkpoints(tmp_path / "body.pt").clean()
    assert [path.name for path in tmp_path.iterdir()] == [".face.77.partial.pt"]
