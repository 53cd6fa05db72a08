"""The convolutional blocks that the generator and the face network share (pix2pixHD, Wang et al., CVPR 2018, appendix).

Importing this module imports torch. Attribute names are part of the file format: they are the keys of every exported
network and checkpoint.
"""

# Shapes: B batch, C channels, H and W pixels at the current scale.
from __future__ import annotations

from torch import Tensor, nn

from serving.actors.store import Padding


class ConvNormRelu(nn.Sequential):
    """A convolution that keeps or halves the size, then instance norm without affine parameters, then ReLU."""

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


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNormRelu(channels, channels, 3)
        self.pad = nn.ReflectionPad2d(1)
        self.conv = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm = nn.InstanceNorm2d(channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.norm(self.conv(self.pad(self.first(x_BCHW))))
        return x_BCHW + y_BCHW
