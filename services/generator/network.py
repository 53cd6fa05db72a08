"""The global generator of pix2pixHD (Wang et al., CVPR 2018, appendix), and the module that is exported and served.

Differences to the published network, each for a reason: it upsamples and convolves in place of transposed convolutions
(Odena et al., "Deconvolution and Checkerboard Artifacts", 2016; the number of weights is the same), convolutions
ahead of an instance norm carry no bias (the norm subtracts it), and a fourth output, an opacity, lays what is drawn
over a plate of the actor's place.
"""

# Shapes: B batch, C channels, H and W pixels at the current scale.
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNormRelu(nn.Module):
    """A convolution that keeps or halves the size, instance norm without affine parameters, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        padding = kernel // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False, padding_mode="reflect")

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return F.relu(F.instance_norm(self.conv(x_BCHW)))


class UpConvNormRelu(nn.Module):
    """Twice the size by repetition, then a 3x3 convolution, instance norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False, padding_mode="reflect")

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return F.relu(F.instance_norm(self.conv(F.interpolate(x_BCHW, scale_factor=2.0, mode="nearest"))))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False, padding_mode="reflect")
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False, padding_mode="reflect")

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = F.relu(F.instance_norm(self.conv0(x_BCHW)))
        return x_BCHW + F.instance_norm(self.conv1(y_BCHW))


class GlobalGenerator(nn.Module):
    """Draws a picture from a label map and the picture before it.

    in_channels: 6, the label map's RGB in [0, 1], then the previous picture's RGB in [-1, 1].
    out_channels: 3, or 4 with the opacity. base_channels doubles with each of the `downsamplings`.

    Raises ValueError for other numbers of output channels.
    """

    def __init__(
        self, in_channels: int = 6, out_channels: int = 3, base_channels: int = 64, downsamplings: int = 4, blocks: int = 9
    ) -> None:
        if out_channels not in (3, 4):
            raise ValueError(f"out_channels must be 3 (a picture) or 4 (with its opacity), got {out_channels}")
        super().__init__()
        widths = [base_channels * 2**level for level in range(downsamplings + 1)]
        self.head = ConvNormRelu(in_channels, base_channels, 7)
        self.down = nn.Sequential(*(ConvNormRelu(a, b, 3, 2) for a, b in zip(widths, widths[1:], strict=False)))
        self.blocks = nn.Sequential(*(ResidualBlock(widths[-1]) for _ in range(blocks)))
        self.up = nn.Sequential(*(UpConvNormRelu(b, a) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True)))
        self.tail = nn.Conv2d(base_channels, out_channels, 7, 1, 3, padding_mode="reflect")

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """`[B, in_channels, H, W]` to `[B, out_channels, H, W]`: RGB in [-1, 1], then the opacity in [0, 1] if there is one.

        H and W must be multiples of `2 ** downsamplings`.
        """
        drawn_BCHW = self.tail(self.up(self.blocks(self.down(self.head(x_BCHW)))))
        picture_B3HW = torch.tanh(drawn_BCHW[:, :3])
        if drawn_BCHW.shape[1] == 3:
            return picture_B3HW
        return torch.cat([picture_B3HW, torch.sigmoid(drawn_BCHW[:, 3:])], dim=1)
