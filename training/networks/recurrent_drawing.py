"""Drawing frames as they are drawn when served: each on the network's own picture before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from motion.frame import Picture

Draw = Callable[[Picture, Picture], Picture]
"""A label map and the previous picture to the next picture; `[H, W, 3]` uint8 RGB each."""

_ZERO = 128
"""What -1 to 1 means by 0: the picture before the first one."""


def draw_run(draw: Draw, labels: Iterable[Picture]) -> list[Picture]:
    """The pictures of consecutive label maps, the first one drawn on the empty picture."""
    pictures: list[Picture] = []
    for label in labels:
        pictures.append(draw(label, pictures[-1] if pictures else np.full_like(label, _ZERO)))
    return pictures


def torch_draw(served: nn.Module, *, device: str, precision: str) -> Draw:
    """Draws with a `ServedGenerator` or `ServedFace` in torch; for scores while training."""
    served = served.to(device)

    @torch.inference_mode()
    def draw(first: Picture, second: Picture) -> Picture:
        pair = (torch.from_numpy(np.array(picture))[None].to(device) for picture in (first, second))
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            drawn = served(*pair)
        return np.ascontiguousarray(drawn[0].cpu().numpy())

    return draw
