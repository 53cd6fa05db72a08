"""The loss terms, one function each, and their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class LossWeights:
    """The weights of the terms of the body's or the face's network. Raises ValueError for a negative weight.

    The defaults are pix2pixHD's, with L1 instead of its perceptual loss, and an opacity that follows the masks. A term
    of weight 0 is not computed.
    """

    adversarial: float = 1.0
    feature_matching: float = 10.0
    perceptual: float = 0.0
    l1: float = 10.0
    opacity: float = 2.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise ValueError(f"the weight of {field.name} cannot be negative, got {getattr(self, field.name)}")

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the named terms, a scalar. Raises AttributeError for an unknown name."""

        return torch.stack([getattr(self, name) * term for name, term in terms.items()]).sum()
