"""Batches: pairs side by side, which one training step of the body sees, and batches made ahead of their use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import fields, replace
from typing import Any, Final, Generic, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data.pairs import Pair
from training.networks.cpu_layers import single_threaded_pool

T = TypeVar("T")

_THREADS: Final = 2
_DEPTH: Final = 3
"""Batches in the making beside the one in use; a batch that takes longer than a step then delays training less."""


def collated(pairs: Sequence[Pair]) -> Pair:
    """Join B pairs into one whose tensors are `[B, C, H, W]`. Raises ValueError without any."""
    if not pairs:
        raise ValueError("a batch has at least one pair")
    if len(pairs) == 1:
        return pairs[0]

    def joined(values: list[Any]) -> Any:
        if values[0] is None or isinstance(values[0], bool):  # pairs of a batch are alike
            return values[0]
        if isinstance(values[0], tuple):
            return tuple(torch.cat(side) for side in zip(*values, strict=True))
        return torch.cat(values)

    return Pair(**{field.name: joined([getattr(pair, field.name) for pair in pairs]) for field in fields(Pair)})


def halved(pair: Pair) -> Pair:
    """The pair at half the size. Each pixel is the mean of four, and counts only if all four count."""
    half = _mapped(pair, lambda tensor: F.avg_pool2d(tensor, 2))
    first, second = ((counted == 1).float() for counted in half.counted)
    return replace(half, counted=(first, second))


def on_device(pair: Pair, device: str) -> Pair:
    """The pair on a device; from pinned memory the copy runs in parallel with computing."""
    return pair if device == "cpu" else _mapped(pair, lambda tensor: tensor.to(device, non_blocking=True))


def pinned(pair: Pair) -> Pair:
    """The pair in page-locked memory, which a GPU reads directly."""

    return _mapped(pair, lambda tensor: tensor.pin_memory())


def _mapped(pair: Pair, change: Callable[[Tensor], Tensor]) -> Pair:
    def changed(value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        return tuple(change(side) for side in value) if isinstance(value, tuple) else change(value)

    return Pair(**{field.name: changed(getattr(pair, field.name)) for field in fields(Pair)})


class Ahead(Generic[T]):
    """Makes numbered items ahead of their use, in threads, while the device computes the step before.

    `make` returns the same item for the same number, whatever was made before. So items being made are not state: a
    resumed training makes them again. stride: from each number to the next; other numbers are made on demand.
    """

    def __init__(self, make: Callable[[int], T], stride: int) -> None:
        self._make = make
        self._stride = stride
        self._pool = single_threaded_pool(_THREADS, "batches")
        self._waiting: dict[int, Future[T]] = {}

    def item(self, number: int) -> T:
        """The item of this number; starts making the next ones. Raises what making it raised."""
        wanted = [number + step * self._stride for step in range(_DEPTH + 1)]
        for gone in self._waiting.keys() - set(wanted):
            self._waiting.pop(gone).cancel()
        for coming in wanted:
            if coming not in self._waiting:
                self._waiting[coming] = self._pool.submit(self._make, coming)
        return self._waiting.pop(number).result()
