"""The discriminator's input: both frames of a pair at once, for the temporal smoothing loss, or each frame by itself.

Source: Chan et al. 2019, temporal smoothing,
`L_smooth = E[log D(x0, x1, y0, y1)] + E[log(1 - D(x0, x1, G(x0), G(x1)))]`: the discriminator sees a flicker between
two good pictures. pix2pixHD shows it each picture with its label, `D(x, y)`.
"""

# Shapes: B batch, H and W pixels.
from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

PAIR_CHANNELS: Final = 12
"""Two label maps and two pictures."""
SINGLE_CHANNELS: Final = 6
"""A label map and a picture."""


def paired(labels: tuple[Tensor, Tensor], pictures: tuple[Tensor, Tensor]) -> Tensor:
    """Two labels, then two pictures, `[B, 3, H, W]` each, to `[B, 12, H, W]`: the input for the smoothing loss."""
    return torch.cat([*labels, *pictures], dim=1)


def single(labels: tuple[Tensor, Tensor], pictures: tuple[Tensor, Tensor]) -> Tensor:
    """The same four to `[2 * B, 6, H, W]`: all first frames, then all second ones, independent of each other."""
    return torch.cat([torch.cat([label, picture], dim=1) for label, picture in zip(labels, pictures, strict=True)])
