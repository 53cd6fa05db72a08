"""LPIPS: the perceptual distance of Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", version 0.1 with AlexNet.

torchmetrics contains the linear weights. No package contains AlexNet's weights: torchvision publishes them as
alexnet-owt-7be5be79.pth. Without that file there is no LPIPS.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from motion.frame import Picture
from serving.errors import BadInput

WEIGHTS_NAME: Final = "alexnet-owt-7be5be79.pth"
_HASH_START: Final = "7be5be79"
"""The start of the file's SHA-256, which torchvision puts into the file name."""

_LAYERS: Final = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
"""Channels in and out, kernel, stride and padding of AlexNet's convolutions."""
_NAMES: Final = (0, 3, 6, 8, 10)
"""Their indices in torchvision's `features`."""
_POOLED: Final = (1, 2)
"""The layers with pooling before them."""
_MEAN: Final = (-0.030, -0.088, -0.188)
_DEVIATION: Final = (0.458, 0.448, 0.450)
SMALLEST_SIDE_PX: Final = 32

# Shapes: C channels, H and W pixels.


class Lpips:
    """The distance between pictures; 0 for equal ones.

    alexnet: torchvision's state; "features.*" are read. linear: one `[1, C, 1, 1]` for each layer.
    """

    def __init__(self, alexnet: dict[str, Tensor], linear: list[Tensor]) -> None:
        self._convolutions = nn.ModuleList()
        for (inside, outside, kernel, stride, padding), name in zip(_LAYERS, _NAMES, strict=True):
            layer = nn.Conv2d(inside, outside, kernel, stride, padding)
            layer.load_state_dict({part: alexnet[f"features.{name}.{part}"] for part in ("weight", "bias")})
            self._convolutions.append(layer.requires_grad_(False))
        self._linear = linear

    @torch.inference_mode()
    def distance(self, one: Picture, other: Picture) -> float:
        """The distance of two pictures of one size, `[H, W, 3]` uint8 RGB, of at least 32x32. Raises ValueError."""
        if one.shape != other.shape or min(one.shape[:2]) < SMALLEST_SIDE_PX:
            raise ValueError(f"LPIPS takes pictures of one size, of at least 32 pixels: {one.shape}, {other.shape}")
        total = torch.zeros(())
        for a_1CHW, b_1CHW, weight in zip(self._features(one), self._features(other), self._linear, strict=True):
            difference_1CHW = (_unit(a_1CHW) - _unit(b_1CHW)) ** 2
            total = total + (difference_1CHW * weight).sum(dim=1).mean()
        return float(total)

    def _features(self, picture: Picture) -> list[Tensor]:
        values = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        x = (values - torch.tensor(_MEAN).view(1, 3, 1, 1)) / torch.tensor(_DEVIATION).view(1, 3, 1, 1)
        features = []
        for index, convolution in enumerate(self._convolutions):
            if index in _POOLED:
                x = nn.functional.max_pool2d(x, 3, 2)
            x = convolution(x).relu()
            features.append(x)
        return features


def open_lpips(weights: Path | None) -> tuple[Lpips | None, str]:
    """The metric, or None with the reason.

    weights: AlexNet's file; None looks in torchvision's cache. Raises BadInput for any other file.
    """
    path = weights
    if path is None:
        path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_NAME
        if not path.is_file():
            return None, f"AlexNet's weights are missing: --lpips-weights takes torchvision's {WEIGHTS_NAME}"
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadInput("--lpips-weights", f"{path} cannot be read: {error.strerror}") from error
    if not found.startswith(_HASH_START):
        raise BadInput("--lpips-weights", f"{path} is not torchvision's {WEIGHTS_NAME}: its SHA-256 begins {found[:8]}")
    return Lpips(_loaded(path), linear_weights()), ""


def linear_weights() -> list[Tensor]:
    """The metric's own weights, one `[1, C, 1, 1]` for each layer, from torchmetrics."""
    path = files("torchmetrics") / "functional" / "image" / "lpips_models" / "alex.pth"
    stored = _loaded(Path(str(path)))
    return [stored[f"lin{index}.model.1.weight"] for index in range(len(_LAYERS))]


def _loaded(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _unit(x_1CHW: Tensor) -> Tensor:
    return x_1CHW / (x_1CHW.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10)
