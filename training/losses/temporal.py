"""What a judge sees: both frames of a pair at once, which is the temporal smoothing loss, or each frame by itself.

Source: Chan et al. 2019, temporal smoothing,
`L_smooth = E[log D(x0, x1, y0, y1)] + E[log(1 - D(x0, x1, G(x0), G(x1)))]`: a flicker between two good pictures is
seen. pix2pixHD judges each picture with its label, `D(x, y)`.
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


def judged_together(labels: tuple[Tensor, Tensor], pictures: tuple[Tensor, Tensor]) -> Tensor:
    """Two labels, then two pictures, `[B, 3, H, W]` each, to `[B, 12, H, W]`: the smoothing loss is on these."""
    return torch.cat([*labels, *pictures], dim=1)


def judged_apart(labels: tuple[Tensor, Tensor], pictures: tuple[Tensor, Tensor]) -> Tensor:
    """The same four to `[2 * B, 6, H, W]`, all first frames, then all second ones: nothing ties them together."""
    return torch.cat([torch.cat([label, picture], dim=1) for label, picture in zip(labels, pictures, strict=True)])
