import numpy as np
import pytest

from serving.process.atomic_files import written_whole
from training.process.atomic import read_picture, write_picture


def test_failed_writing_leaves_the_file_before(tmp_path):
    """A write that fails in the middle leaves the previous file."""
    path = tmp_path / "file.txt"
    path.write_text("whole")

    def break_off():
        with written_whole(path) as partial:
            partial.write_text("ha")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_pictures_survive_being_written(tmp_path):
    """RGB comes back as RGB; a missing picture is an error."""
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_picture(tmp_path / "new" / "picture.png", picture)
    np.testing.assert_array_equal(read_picture(tmp_path / "new" / "picture.png"), picture)
    with pytest.raises(OSError, match="missing"):
        read_picture(tmp_path / "missing.png")
