"""Draw frames as they are drawn when served: each on the network's own picture before it, with its face refined."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from motion.face_region import FaceRule, cut_face, face_region, paste_face
from motion.frame import ZERO_LEVEL, Picture
from motion.pose import Pose

Draw = Callable[[Picture, Picture], Picture]
"""Takes a label map and the previous picture (or a face) and returns the next; `[H, W, 3]` uint8 RGB each."""


def draw_run(draw: Draw, labels: Iterable[Picture]) -> list[Picture]:
    """The pictures of consecutive label maps, the first one drawn on the empty picture."""
    drawn: list[Picture] = []
    for label in labels:
        drawn.append(draw(label, drawn[-1] if drawn else np.full_like(label, ZERO_LEVEL)))
    return drawn


def refine_face(refine: Draw, label: Picture, picture: Picture, pose: Pose, rule: FaceRule) -> Picture:
    """The picture with its face refined, or the same picture if the pose shows no face. pose: in its pixels."""
    height_px, width_px = label.shape[:2]
    region = face_region(pose, rule, width_px, height_px)
    if region is None:
        return picture
    return paste_face(picture, refine(*(cut_face(whole, region, rule.crop_px) for whole in (label, picture))), region)


def torch_draw(served: nn.Module, *, device: str, precision: str) -> Draw:
    """Draw with a `ServedGenerator` or `ServedFace` in torch; for scores during training."""
    served = served.to(device)

    @torch.inference_mode()
    def draw(first: Picture, second: Picture) -> Picture:
        pair = (torch.from_numpy(np.array(picture))[None].to(device) for picture in (first, second))
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            drawn = served(*pair)
        return np.ascontiguousarray(drawn[0].cpu().numpy())

    return draw
