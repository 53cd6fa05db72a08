"""The PatchGAN discriminators of pix2pixHD (Wang et al., CVPR 2018): one, and several at smaller and smaller scales."""

# Shapes: B batch, C channels, H and W pixels at the current scale.
from __future__ import annotations

from typing import Final

from torch import Tensor, nn

STORED_NAME: Final = "judge"
"""The discriminator's name in checkpoints, loss curves and metrics; it stays, so that those of older releases fit."""

LayerOutputs = list[Tensor]
"""One discriminator's answer: the features of its layers, `[B, C, H, W]` each, and last its map of verdicts."""


class PatchDiscriminator(nn.Module):
    """Judges patches: `layers` halvings, one layer at full stride, one map of verdicts. Widths double up to 8 times."""

    def __init__(self, in_channels: int, base_channels: int = 64, layers: int = 3) -> None:
        super().__init__()
        widths = [base_channels * min(2**level, 8) for level in range(layers + 1)]
        stages = [nn.Sequential(nn.Conv2d(in_channels, widths[0], 4, 2, 2), nn.LeakyReLU(0.2))]
        for level in range(1, layers + 1):
            stride = 2 if level < layers else 1
            stages.append(
                nn.Sequential(
                    nn.Conv2d(widths[level - 1], widths[level], 4, stride, 2, bias=False),
                    nn.InstanceNorm2d(widths[level]),
                    nn.LeakyReLU(0.2),
                )
            )
        stages.append(nn.Sequential(nn.Conv2d(widths[-1], 1, 4, 1, 2)))
        self.stages = nn.ModuleList(stages)

    def forward(self, x_BCHW: Tensor) -> LayerOutputs:
        """`[B, in_channels, H, W]` to the outputs of all layers."""
        outputs: LayerOutputs = []
        for stage in self.stages:
            x_BCHW = stage(x_BCHW)
            outputs.append(x_BCHW)
        return outputs


class MultiscaleDiscriminator(nn.Module):
    """`scales` discriminators of one shape: for the picture, for half of it, for a quarter, and so on."""

    def __init__(self, in_channels: int, base_channels: int = 64, layers: int = 3, scales: int = 3) -> None:
        super().__init__()
        # Checkpoints contain the name `judges`.
        self.judges = nn.ModuleList(PatchDiscriminator(in_channels, base_channels, layers) for _ in range(scales))
        self.reduce = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, x_BCHW: Tensor) -> list[LayerOutputs]:
        """`[B, in_channels, H, W]` to the outputs at every scale, the full picture's first."""
        outputs: list[LayerOutputs] = []
        for discriminator in self.judges:
            outputs.append(discriminator(x_BCHW))
            x_BCHW = self.reduce(x_BCHW)
        return outputs


def initialise(module: nn.Module) -> None:
    """Set weights from N(0, 0.02), as pix2pixHD does, and biases to 0. Draws from torch's global random state.

    pix2pixHD leaves biases as PyTorch draws them, uniform within `1 / sqrt(fan-in)`: at most 0.07 in a discriminator's
    first layer, 0.02 in a generator's last. That is not part of its method, and 0 favours no verdict and no colour.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, 0.0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
