"""Pairs side by side: what one training step of the body sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data.pairs import Pair


def collated(pairs: Sequence[Pair]) -> Pair:
    """Several pairs as one whose tensors are `[B, C, H, W]`, B pairs. Raises ValueError without any."""
    if not pairs:
        raise ValueError("a batch has at least one pair")
    if len(pairs) == 1:
        return pairs[0]

    def joined(values: list[Any]) -> Any:
        if values[0] is None:
            return None
        if isinstance(values[0], tuple):
            return tuple(torch.cat(side) for side in zip(*values, strict=True))
        return torch.cat(values)

    return Pair(**{field.name: joined([getattr(pair, field.name) for pair in pairs]) for field in fields(Pair)})


def halved(pair: Pair) -> Pair:
    """The same at half the size: each pixel the mean of four. Where one of the four does not count, it does not."""
    half = _mapped(pair, lambda tensor: F.avg_pool2d(tensor, 2))
    first, second = ((counted == 1).float() for counted in half.counted)
    return replace(half, counted=(first, second))


def on_device(pair: Pair, device: str) -> Pair:
    """The same on a device; from pinned memory the copy runs beside the computing."""
    return pair if device == "cpu" else _mapped(pair, lambda tensor: tensor.to(device, non_blocking=True))


def pinned(pair: Pair) -> Pair:
    """The same in memory that a GPU reads by itself."""
    return _mapped(pair, lambda tensor: tensor.pin_memory())


def _mapped(pair: Pair, change: Callable[[Tensor], Tensor]) -> Pair:
    def changed(value: Any) -> Any:
        if value is None:
            return None
        return tuple(change(side) for side in value) if isinstance(value, tuple) else change(value)

    return Pair(**{field.name: changed(getattr(pair, field.name)) for field in fields(Pair)})
