import numpy as np
import pytest

from training.data.resumable_array import RowWriter, read_rows, write_array


def row(value):
    return np.full((2, 3), value, np.uint8)


def test_rows_continue_after_a_kill(tmp_path):
    """A partial row is written again, and NumPy can read the file."""
    path = tmp_path / "a.npy"
    with RowWriter(path, 4, (2, 3)) as rows:
        rows.append(row(0))
        rows.append(row(1))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 2)
    with RowWriter(path, 4, (2, 3)) as rows:
        assert rows.rows_done == 1
        for value in (7, 8, 9):
            rows.append(row(value))
        assert rows.whole
        with pytest.raises(ValueError, match="row 4"):
            rows.append(row(10))
    assert np.load(path)[:, 0, 0].tolist() == [0, 7, 8, 9]
    assert [int(r[0, 0]) for r in read_rows(path, 2)] == [8, 9]


def test_rows_of_another_shape_are_not_continued(tmp_path):
    """A file of another shape, or a foreign file, is started over."""
    path = tmp_path / "a.npy"
    with RowWriter(path, 4, (2, 3)) as rows:
        rows.append(row(1))
    with RowWriter(path, 5, (2, 3)) as rows:
        assert rows.rows_done == 0
    path.write_bytes(b"x")
    with RowWriter(path, 5, (2, 3)) as rows:
        assert rows.rows_done == 0
        with pytest.raises(ValueError, match="cannot be of shape"):
            rows.append(np.zeros((3, 2), np.uint8))


def test_a_truncated_file_is_an_error(tmp_path):
    """A truncated file is an error, not a shorter array."""
    path = tmp_path / "a.npy"
    write_array(path, (70, 2), np.dtype(np.float32), [np.ones((40, 2)), np.zeros((30, 2))])
    assert np.load(path).sum() == 80
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(ValueError, match="ends before row 70 of 70"):
        list(read_rows(path))
