"""Batches made ahead, in threads, while the device computes the step before."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from training.networks.cpu_layers import single_threaded_pool

T = TypeVar("T")

_THREADS: Final = 2
_DEPTH: Final = 3
"""Batches under way beside the one that is used: one that takes longer than a step is waited for less."""


class Ahead(Generic[T]):
    """The items of coming numbers. `make` gives the same item for the same number, whatever was made before, so what is
    in the making is no state: a training that goes on makes it again.

    stride: from each number to the next one asked for; other numbers are made when they are asked for.
    """

    def __init__(self, make: Callable[[int], T], stride: int) -> None:
        self._make = make
        self._stride = stride
        self._pool = single_threaded_pool(_THREADS, "batches")
        self._waiting: dict[int, Future[T]] = {}

    def item(self, number: int) -> T:
        """The item of this number; the next ones are begun. Raises what making it raised."""
        wanted = [number + step * self._stride for step in range(_DEPTH + 1)]
        for gone in self._waiting.keys() - set(wanted):
            self._waiting.pop(gone).cancel()
        for coming in wanted:
            if coming not in self._waiting:
                self._waiting[coming] = self._pool.submit(self._make, coming)
        return self._waiting.pop(number).result()
