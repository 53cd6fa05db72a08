"""NumPy files that are written row by row, and continued after a kill.

Rows are appended with plain writes: a mapped file that grows into a full disk kills the process, and its pages count as
this process's memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_magic, write_array_header_1_0
from numpy.typing import NDArray

from serving.process.atomic_files import written_whole

_ROWS_AT_ONCE: Final = 64


def write_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], parts: Iterable[NDArray[Any]]) -> None:
    """Write a .npy file of this shape atomically, from parts of its rows. Raises OSError."""
    with written_whole(path) as partial, partial.open("wb") as file:
        _write_header(file, shape, dtype)
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype).tobytes())


class RowWriter:
    """A context manager that appends rows, `[*row_shape]` each, to a .npy file of `rows` rows. Raises OSError.

    rows_done: the number of whole rows in the file. After a kill the next writer of the same path continues there.
    """

    def __init__(self, path: Path, rows: int, row_shape: tuple[int, ...], dtype: type[np.generic] = np.uint8) -> None:
        self._shape = (rows, *row_shape)
        self._dtype = np.dtype(dtype)
        self._row_bytes = int(np.prod(row_shape)) * self._dtype.itemsize
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or not self._header_fits(path):
            with path.open("wb") as file:
                _write_header(file, self._shape, self._dtype)
        with path.open("rb") as file:
            self._start = _read_header(file)[0]
        self._file = path.open("r+b")
        self.rows_done = max(0, min(rows, (path.stat().st_size - self._start) // self._row_bytes))
        self.truncate(self.rows_done)

    @property
    def whole(self) -> bool:
        """Whether every row is written."""
        return self.rows_done == self._shape[0]

    def truncate(self, rows: int) -> None:
        """Keep the first `rows` rows; the next one is written after them."""
        self.rows_done = rows
        self._file.truncate(self._start + rows * self._row_bytes)
        self._file.seek(0, 2)

    def append(self, row: NDArray[Any]) -> None:
        """Write the next row. Raises ValueError for another shape, or if all rows are written."""
        if row.shape != self._shape[1:] or self.whole:
            raise ValueError(f"row {self.rows_done} of {self._shape} cannot be of shape {row.shape}")
        self._file.write(np.ascontiguousarray(row, self._dtype).tobytes())
        self._file.flush()  # a kill must not lose a row that is counted as done
        self.rows_done += 1

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def _header_fits(self, path: Path) -> bool:
        try:
            with path.open("rb") as file:
                return _read_header(file)[1:] == (self._shape, self._dtype)
        except ValueError:
            return False


def read_rows(path: Path, first: int = 0) -> Iterator[NDArray[Any]]:
    """The rows of a .npy file from `first`, read a few at a time. Raises OSError, ValueError for a damaged file."""
    with path.open("rb") as file:
        start, shape, dtype = _read_header(file)
        row_bytes = int(np.prod(shape[1:])) * dtype.itemsize
        file.seek(start + first * row_bytes)
        for at in range(first, shape[0], _ROWS_AT_ONCE):
            rows = min(_ROWS_AT_ONCE, shape[0] - at)
            data = file.read(rows * row_bytes)
            if len(data) < rows * row_bytes:
                raise ValueError(f"{path} ends before row {at + rows} of {shape[0]}")
            yield from np.frombuffer(data, dtype).reshape(rows, *shape[1:])


def _write_header(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})  # type: ignore[no-untyped-call]


def _read_header(file: IO[bytes]) -> tuple[int, tuple[int, ...], np.dtype[Any]]:
    """The offset of the values, their shape and type."""
    read_magic(file)  # type: ignore[no-untyped-call]
    shape, _, dtype = read_array_header_1_0(file)  # type: ignore[no-untyped-call]
    return file.tell(), shape, dtype
