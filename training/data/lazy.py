"""Sequences whose items are read each time they are indexed, so that hours of footage take no memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_PARSING: Final = Lock()
"""NumPy parses a file's header with `ast`. In Python 3.11 two threads that do so at once can raise a SystemError."""


class Lazy(Sequence[T]):
    """`length` items, each read by its index when it is needed and never kept."""

    def __init__(self, length: int, read: Callable[[int], T]) -> None:
        self._indices, self._read = range(length), read

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._read(i) for i in self._indices[index]]
        return self._read(self._indices[index])


def mapped_arrays(paths: Sequence[Path]) -> Lazy[NDArray[Any]]:
    """Return the arrays of `.npy` files, each mapped into memory when it is read. Threads may share them."""

    def read(index: int) -> NDArray[Any]:
        with _PARSING:
            array: NDArray[Any] = np.load(paths[index], mmap_mode="r")
            return array

    return Lazy(len(paths), read)
