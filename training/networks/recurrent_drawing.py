"""Draw frames as they are drawn when served: each on the network's own picture before it, with its face refined."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from motion.face_region import FaceRule, cut_face, face_region, paste_face
from motion.frame import ZERO_LEVEL, Picture
from motion.pose import Pose

Draw = Callable[..., Picture]
"""Takes a label map and the previous picture (or a face) and returns the next; `[H, W, 3]` uint8 RGB each.

A network with a copy path also takes a reference, `[H, W, 4]` uint8.
"""


def draw_run(
    draw: Draw, labels: Iterable[Picture], references: Iterable[NDArray[np.uint8]] | None = None
) -> list[Picture]:
    """The pictures of consecutive label maps, the first one drawn on the empty picture.

    references: one for each label map, for a network with a copy path.
    """
    drawn: list[Picture] = []
    beside = repeat(()) if references is None else ((reference,) for reference in references)
    for label, reference in zip(labels, beside, strict=references is not None):
        drawn.append(draw(label, drawn[-1] if drawn else np.full_like(label, ZERO_LEVEL), *reference))
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
    def draw(*pictures: Picture) -> Picture:
        inputs = (torch.from_numpy(np.array(picture))[None].to(device) for picture in pictures)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            drawn = served(*inputs)
        return np.ascontiguousarray(drawn[0].cpu().numpy())

    return draw
