"""The face network: pix2pixHD's global generator, small, predicting a residual (Chan et al. 2019, section 3.3).

It resembles the body's generator and is written out here, since services do not import each other.
"""

# Shapes: B batch, C channels, S pixels, the side of the face crop.
from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from serving.actors.store import Padding
from serving.inference.onnx_weights import read_weights


class ConvNormRelu(nn.Sequential):
    """A convolution that keeps or halves the size, instance norm without affine parameters, ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: Padding = "reflection"
    ) -> None:
        super().__init__()
        if padding == "reflection":
            self.pad = nn.ReflectionPad2d(kernel // 2)
        zeros = kernel // 2 if padding == "zeros" else 0
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, zeros, bias=False)
        self.norm = nn.InstanceNorm2d(out_channels)
        self.relu = nn.ReLU()


class UpConvRelu(nn.Sequential):
    """Twice the size by repetition, a 3x3 convolution, ReLU; no norm.

    A residual is nothing nearly everywhere, and an instance norm cannot give nothing: it blows up whatever is there,
    and the network learns to keep it busy with a small bright or dark drop at one place (as Karras et al., CVPR 2020,
    describe for StyleGAN).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.pad = nn.ReflectionPad2d(1)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, bias=False)
        self.relu = nn.ReLU()


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNormRelu(channels, channels, 3)
        self.pad = nn.ReflectionPad2d(1)
        self.conv = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm = nn.InstanceNorm2d(channels)

    def forward(self, x_BCSS: Tensor) -> Tensor:
        y_BCSS: Tensor = self.norm(self.conv(self.pad(self.first(x_BCSS))))
        return x_BCSS + y_BCSS


class FaceGenerator(nn.Module):
    """Predicts what to add to a face crop, from the label map's crop and the picture's.

    base_channels doubles with each of the `downsamplings`. padding: of the convolutions that halve the size; all others
    are padded by reflection.
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
        """`[B, 6, S, S]`, the label crop's RGB in [0, 1], then the face's in [-1, 1], to the residual `[B, 3, S, S]` in
        [-1, 1]. S must be a multiple of `2 ** downsamplings`."""
        return torch.tanh(self.tail(self.pad(self.up(self.blocks(self.down(self.head(x_B6SS)))))))


class ServedFace(nn.Module):
    """The face network as it is served: uint8 crops in, a uint8 crop out."""

    def __init__(self, network: FaceGenerator) -> None:
        super().__init__()
        self.network = network

    def forward(self, label_NSS3: Tensor, face_NSS3: Tensor) -> Tensor:
        """Both `[N, S, S, 3]` uint8 RGB, and so is the refined face; the sum with the residual is clamped."""
        label_N3SS = label_NSS3.permute(0, 3, 1, 2).float() / 255
        face_N3SS = face_NSS3.permute(0, 3, 1, 2).float()
        residual_N3SS = self.network(torch.cat([label_N3SS, face_N3SS / 127.5 - 1], dim=1)).float()
        refined_N3SS = face_N3SS + residual_N3SS * 127.5
        refined_NSS3: Tensor = refined_N3SS.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        return refined_NSS3


def served_face(model_path: Path, padding: Padding) -> ServedFace:
    """The torch module of an exported face network, for engines that run torch. Raises ActorUnusable.

    padding: as the actor's `face` says; weights alone do not show it.
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
