"""VGG19 up to relu5_1, for the perceptual loss, and the source of its weights.

Source: Simonyan and Zisserman, ICLR 2015. The weights are torchvision's for ImageNet, from a file or from the address
where torchvision publishes them. Or they are drawn at random from a seed: a network of the same size that recognises
nothing. Pictures go in as in pix2pixHD: RGB in [-1, 1], without ImageNet's mean and deviation; the paper's weight of
this loss assumes that.
"""

# Shapes: B batch, C channels, H and W pixels at the current scale.
from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final, Literal
from urllib.error import URLError

import torch
from torch import Tensor, nn

from serving.errors import BadInput

Perceptual = Literal["vgg19", "random", "none"]
"""The network of the perceptual loss: with ImageNet's weights, with random ones, or no perceptual loss."""

WEIGHTS_ADDRESS: Final = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
WEIGHTS_SHA256: Final = "dcbb9e9d"
"""The first digits of the file's hash, which torchvision puts into the file name."""
RANDOM_SEED: Final = 19

_WIDTHS: Final = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512,))
_WAYS_OUT: Final = (
    "give a file with --vgg-weights FILE, or train without this loss (--perceptual none) or with a random VGG19 "
    "(--perceptual random, kept in the actor's record)"
)


class Vgg19Features(nn.Module):
    """Computes the features of five layers. Weights keep torchvision's names and are never trained."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self._taken: list[int] = []
        channels = 3
        for index, widths in enumerate(_WIDTHS):
            if index:
                layers.append(nn.MaxPool2d(2))
            for position, width in enumerate(widths):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
                if position == 0:
                    self._taken.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.requires_grad_(False)

    def forward(self, x_B3HW: Tensor) -> list[Tensor]:
        """`[B, 3, H, W]` in [-1, 1] to relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1, each half as large as the last.

        H and W must be at least 16.
        """
        taken = []
        x_BCHW = x_B3HW
        for index, layer in enumerate(self.features):
            x_BCHW = layer(x_BCHW)
            if index in self._taken:
                taken.append(x_BCHW)
        return taken


def perceptual_network(kind: Perceptual, weights: Path | None = None) -> Vgg19Features | None:
    """The network of a perceptual loss, None for "none".

    weights: torchvision's file of VGG19's weights; without one it is read from torch's cache, or downloaded into it.
    Raises BadInput, with the ways out, if there are no weights or the file is not torchvision's.
    """
    if kind == "none":
        return None
    network = Vgg19Features()
    if kind == "random":
        _randomise(network)
        return network
    path = fetched_weights() if weights is None else weights
    network.load_state_dict(read_vgg_weights(path))
    return network


def name_of(kind: Perceptual) -> str:
    """The network's description in the training record."""
    return {
        "vgg19": f"VGG19 with ImageNet's weights ({WEIGHTS_SHA256})",
        "random": f"random VGG19, which was never trained, of seed {RANDOM_SEED}",
        "none": "none",
    }[kind]


def read_vgg_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of the layers up to relu5_1. Raises BadInput for a file that is missing or not torchvision's."""
    if not path.is_file():
        raise BadInput("vgg-weights", f"there is no file {path}; {_WAYS_OUT}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(WEIGHTS_SHA256):
        raise BadInput(
            "vgg-weights",
            f"{path} is not torchvision's VGG19: its SHA-256 begins with {found[:8]} and not with {WEIGHTS_SHA256}; "
            + _WAYS_OUT,
        )
    stored: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return {name: stored[name] for name in Vgg19Features().state_dict()}


def fetched_weights() -> Path:
    """Torchvision's file in torch's cache, downloaded if missing. Raises BadInput if it cannot be downloaded."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_ADDRESS.rsplit("/", 1)[-1]
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(WEIGHTS_ADDRESS, str(path), hash_prefix=WEIGHTS_SHA256)
    except (URLError, OSError, RuntimeError) as error:
        reason = getattr(error, "reason", error)
        raise BadInput(
            "perceptual", f"VGG19's weights cannot be downloaded from {WEIGHTS_ADDRESS} ({reason}): {_WAYS_OUT}"
        ) from error
    return path


def _randomise(network: Vgg19Features) -> None:
    """Draw weights that keep the scale of activations (He et al., ICCV 2015), the same ones each time."""

    random = torch.Generator().manual_seed(RANDOM_SEED)
    for layer in network.features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=random)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
