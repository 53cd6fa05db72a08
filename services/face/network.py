"""The face network: a small global generator of pix2pixHD that predicts a residual (Chan et al. 2019, section 3.3)."""

# Shapes: B batch, C channels, S the side of the face crop in pixels.
from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from serving.actors.store import Padding
from serving.inference.conv_blocks import ConvNormRelu, ResidualBlock
from serving.inference.onnx_weights import read_weights


class UpConvRelu(nn.Sequential):
    """Nearest-neighbour upsampling by two, a 3x3 convolution, ReLU; no norm.

    A residual is zero almost everywhere, and an instance norm cannot output zero: it amplifies whatever is there.
    The network then learns to keep the norm busy with a small bright or dark blob in one place (Karras et al., CVPR
    2020, describe this for StyleGAN).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.pad = nn.ReflectionPad2d(1)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, bias=False)
        self.relu = nn.ReLU()


class FaceGenerator(nn.Module):
    """Predicts the residual of a face crop from the crops of the label map and the picture.

    base_channels: doubles with each of the `downsamplings`. padding: of the convolutions that halve the size; all
    others use reflection padding.
    """

    def __init__(
        self, base_channels: int = 64, downsamplings: int = 3, blocks: int = 5, padding: Padding = "reflection"
    ) -> None:
        super().__init__()
        widths = [base_channels * 2**level for level in range(downsamplings + 1)]
        steps = list(pairwise(widths))
        self.head = ConvNormRelu(6, base_channels, 7)
        self.down = nn.Sequential(*(ConvNormRelu(narrow, wide, 3, 2, padding) for narrow, wide in steps))
        self.blocks = nn.Sequential(*(ResidualBlock(widths[-1]) for _ in range(blocks)))
        self.up = nn.Sequential(*(UpConvRelu(wide, narrow) for narrow, wide in reversed(steps)))
        self.pad = nn.ReflectionPad2d(3)
        self.tail = nn.Conv2d(base_channels, 3, 7)

    def forward(self, x_B6SS: Tensor) -> Tensor:
        """Map `[B, 6, S, S]` to the residual `[B, 3, S, S]` in [-1, 1].

        The input is the label crop's RGB in [0, 1], then the face's RGB in [-1, 1]. S must be a multiple of
        `2 ** downsamplings`.
        """
        return torch.tanh(self.tail(self.pad(self.up(self.blocks(self.down(self.head(x_B6SS)))))))


class ServedFace(nn.Module):
    """The face network in its served form: uint8 crops in, a uint8 crop out."""

    def __init__(self, network: FaceGenerator) -> None:
        super().__init__()
        self.network = network

    def forward(self, label_NSS3: Tensor, face_NSS3: Tensor) -> Tensor:
        """Add the residual to the face. Both inputs and the result are `[N, S, S, 3]` uint8 RGB; the sum is clamped."""
        label_N3SS = label_NSS3.permute(0, 3, 1, 2).float() / 255
        face_N3SS = face_NSS3.permute(0, 3, 1, 2).float()
        residual_N3SS = self.network(torch.cat([label_N3SS, face_N3SS / 127.5 - 1], dim=1)).float()
        refined_N3SS = face_N3SS + residual_N3SS * 127.5
        refined_NSS3: Tensor = refined_N3SS.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        return refined_NSS3


def served_face(model_path: Path, padding: Padding) -> ServedFace:
    """Load an exported face network as a torch module, for engines that run torch. Raises ActorUnusable.

    padding: from the actor's `face` entry; the weights alone do not show it.
    """
    weights = read_weights(model_path)
    network = FaceGenerator(
        base_channels=weights["network.head.conv.weight"].shape[0],
        downsamplings=sum(name.startswith("network.down.") for name in weights),
        blocks=sum(name.startswith("network.blocks.") for name in weights) // 2,
        padding=padding,
    )
    served = ServedFace(network)
    served.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return served
