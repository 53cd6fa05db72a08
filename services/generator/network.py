"""The generators of pix2pixHD (Wang et al., CVPR 2018, appendix), and the module that is exported and served.

This network differs from the published one in four ways:

- It upsamples and convolves in place of transposed convolutions (Odena et al., "Deconvolution and Checkerboard
  Artifacts", 2016); the number of weights is the same.
- Convolutions before an instance norm have no bias, because the norm subtracts it.
- An optional fourth output, an opacity, blends the drawing over a plate of the actor's place.
- The convolutions that halve the size use reflection padding, like all others, or zero padding, like the published
  ones. The paper's presets use zeros.

`CopyGenerator` adds a copy path: it also sees a reference, the actor's own limbs moved into the pose, and chooses for
each pixel how much of it to keep, in the line of Balakrishnan et al. 2018 ("Synthesizing Images of Humans in Unseen
Poses") and Liquid Warping GAN (Liu et al. 2019).
"""

# Shapes: B batch, C channels, H and W pixels at the current scale.
from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from motion.crop import resized
from motion.frame import FrameSize, Picture
from serving.actors.store import Padding
from serving.inference.conv_blocks import ConvNormRelu, ResidualBlock
from serving.inference.onnx_weights import read_weights

REFERENCE_CHANNELS: Final = 4
"""A reference's RGB, premultiplied by its coverage, and the coverage."""
_COPY_INPUTS: Final = 6 + REFERENCE_CHANNELS
_COPY_OUTPUTS: Final = 5
"""RGB, opacity, and the share of the reference."""
_OPACITY_OF_COVERAGE: Final = 4.0
"""Added to the logit of the opacity where the reference covers the place, and subtracted where it does not."""
_CERTAIN_LOGIT: Final = 30.0
"""A sigmoid of this is 1 to the last bit of float32."""


class UpConvNormRelu(nn.Sequential):
    """Nearest-neighbour upsampling by two, a 3x3 convolution, instance norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.pad = nn.ReflectionPad2d(1)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, bias=False)
        self.norm = nn.InstanceNorm2d(out_channels)
        self.relu = nn.ReLU()


class GlobalGenerator(nn.Module):
    """Draws a picture from a label map and the previous picture.

    in_channels: 6, the label map's RGB in [0, 1], then the previous picture's RGB in [-1, 1].
    out_channels: 3, or 4 with the opacity. base_channels: doubles with each of the `downsamplings`.
    padding: of the convolutions that halve the size; all others use reflection padding.

    Raises ValueError for other numbers of output channels.
    """

    def __init__(
        self,
        in_channels: int = 6,
        out_channels: int = 3,
        base_channels: int = 64,
        downsamplings: int = 4,
        blocks: int = 9,
        padding: Padding = "reflection",
    ) -> None:
        if out_channels not in (3, 4):
            raise ValueError(f"out_channels must be 3 (a picture) or 4 (with its opacity), got {out_channels}")
        super().__init__()
        widths = [base_channels * 2**level for level in range(downsamplings + 1)]
        steps = list(pairwise(widths))
        self.head = ConvNormRelu(in_channels, base_channels, 7)
        self.down = nn.Sequential(*(ConvNormRelu(narrow, wide, 3, 2, padding) for narrow, wide in steps))
        self.blocks = nn.Sequential(*(ResidualBlock(widths[-1]) for _ in range(blocks)))
        self.up = nn.Sequential(*(UpConvNormRelu(wide, narrow) for narrow, wide in reversed(steps)))
        self.pad = nn.ReflectionPad2d(3)
        self.tail = nn.Conv2d(base_channels, out_channels, 7)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map `[B, in_channels, H, W]` to `[B, out_channels, H, W]`: RGB in [-1, 1], then the opacity in [0, 1].

        H and W must be multiples of `2 ** downsamplings`.
        """
        return _picture(self.tail(self.pad(self.up(self.blocks(self.down(self.head(x_BCHW)))))))


class GlobalTrunk(nn.Module):
    """A global generator without its last layer, with the same attribute names. It returns features."""

    def __init__(self, in_channels: int, base_channels: int, downsamplings: int, blocks: int, padding: Padding) -> None:
        super().__init__()
        whole = GlobalGenerator(in_channels, 3, base_channels, downsamplings, blocks, padding)
        self.head, self.down, self.blocks, self.up = whole.head, whole.down, whole.blocks, whole.up

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map `[B, in_channels, H, W]` to `[B, base_channels, H, W]`."""
        features_BCHW: Tensor = self.up(self.blocks(self.down(self.head(x_BCHW))))
        return features_BCHW


class LocalEnhancer(nn.Module):
    """Draws at twice the global generator's size, coarse to fine: a trunk at half size inside a small network.

    The enhancer halves the picture once, adds the trunk's features, applies `enhancer_blocks` residual blocks and
    doubles the size again. At full size it has half of the trunk's channels. Channels and padding are as in
    `GlobalGenerator`; base_channels, downsamplings and blocks are the trunk's.

    Raises ValueError for other numbers of output channels, and for an odd base_channels.
    """

    def __init__(
        self,
        in_channels: int = 6,
        out_channels: int = 3,
        base_channels: int = 64,
        downsamplings: int = 4,
        blocks: int = 9,
        enhancer_blocks: int = 3,
        padding: Padding = "reflection",
    ) -> None:
        if out_channels not in (3, 4):
            raise ValueError(f"out_channels must be 3 (a picture) or 4 (with its opacity), got {out_channels}")
        if base_channels % 2:
            raise ValueError(f"the enhancer has half of the trunk's channels, so {base_channels} must be even")
        super().__init__()
        narrow = base_channels // 2
        self.trunk = GlobalTrunk(in_channels, base_channels, downsamplings, blocks, padding)
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
        self.head = ConvNormRelu(in_channels, narrow, 7)
        self.down = ConvNormRelu(narrow, base_channels, 3, 2, padding)
        self.blocks = nn.Sequential(*(ResidualBlock(base_channels) for _ in range(enhancer_blocks)))
        self.up = UpConvNormRelu(base_channels, narrow)
        self.pad = nn.ReflectionPad2d(3)
        self.tail = nn.Conv2d(narrow, out_channels, 7)

    def warm_start(self, coarse: GlobalGenerator) -> None:
        """Copy the trunk's weights from a generator of half the size. Raises RuntimeError if the shapes differ."""
        weights = {name: value for name, value in coarse.state_dict().items() if not name.startswith("tail.")}
        self.trunk.load_state_dict(weights)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """As `GlobalGenerator.forward`; H and W must be multiples of `2 ** (downsamplings + 1)`."""
        coarse_BCHW = self.trunk(self.halve(x_BCHW))
        return _picture(self.tail(self.pad(self.up(self.blocks(self.down(self.head(x_BCHW)) + coarse_BCHW)))))


class CopyGenerator(GlobalGenerator):
    """A global generator with a copy path: it draws a layer of its own and lays the reference over it.

    Its input is the label map's RGB in [0, 1], then the previous picture's and the reference's RGB in [-1, 1], the
    latter premultiplied by its coverage, and the coverage in [0, 1]. `copied` lays the layers over each other.
    """

    def __init__(
        self, base_channels: int = 8, downsamplings: int = 3, blocks: int = 6, padding: Padding = "reflection"
    ) -> None:
        super().__init__(_COPY_INPUTS, 4, base_channels, downsamplings, blocks, padding)
        self.tail = nn.Conv2d(base_channels, _COPY_OUTPUTS, 7)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map `[B, 10, H, W]` to `[B, 5, H, W]`: RGB in [-1, 1], its opacity, and the share of the reference."""
        tail_BCHW = self.before_activation(x_BCHW)
        return torch.cat(self.activated(tail_BCHW, x_BCHW[:, -1:]), dim=1)

    def before_activation(self, x_BCHW: Tensor) -> Tensor:
        """What the last convolution returns, `[B, 5, H, W]`."""
        tail_BCHW: Tensor = self.tail(self.pad(self.up(self.blocks(self.down(self.head(x_BCHW))))))
        return tail_BCHW

    @staticmethod
    def activated(tail_BCX: Tensor, coverage_B1X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the RGB in [-1, 1], the opacity and the share of the reference. X: the pixels, in any shape."""
        towards_B1X = _OPACITY_OF_COVERAGE * (2 * coverage_B1X.to(tail_BCX.dtype) - 1)
        opacity_B1X = torch.sigmoid(tail_BCX[:, 3:4] + towards_B1X)
        return torch.tanh(tail_BCX[:, :3]), opacity_B1X, torch.sigmoid(tail_BCX[:, 4:])

    @torch.no_grad()
    def begin_with_copy(self, share_logit: float) -> None:
        """Set the tail so that opacity and share depend on nothing but the coverage and `share_logit`."""
        assert self.tail.bias is not None
        self.tail.weight[3:] = 0
        self.tail.bias[3] = 0
        self.tail.bias[4] = share_logit

    @torch.no_grad()
    def copy_only(self) -> None:
        """Set the tail so that the network returns the reference over the plate, whatever its other weights."""
        assert self.tail.bias is not None
        self.tail.weight.zero_()
        self.tail.bias.zero_()
        self.tail.bias[3:] = torch.tensor([-_CERTAIN_LOGIT, _CERTAIN_LOGIT])


def copied(drawn_B5HW: Tensor, painted_B3HW: Tensor, reference_B4HW: Tensor) -> tuple[Tensor, Tensor]:
    """Lay the reference over the layer that a `CopyGenerator` drew.

    drawn: what the network returned. painted: its RGB in any scale. reference: RGB of the same scale, premultiplied by
    the coverage, and the coverage in [0, 1]. Returns the person's RGB, premultiplied, `[B, 3, H, W]`, and the opacity,
    `[B, 1, H, W]`, to be laid over the plate.
    """
    return _over(painted_B3HW, drawn_B5HW[:, 3:4], drawn_B5HW[:, 4:], reference_B4HW[:, :3], reference_B4HW[:, 3:])


def _over(
    painted_B3X: Tensor, opacity_B1X: Tensor, share_B1X: Tensor, reference_B3X: Tensor, coverage_B1X: Tensor
) -> tuple[Tensor, Tensor]:
    beside_B1X = 1 - share_B1X * coverage_B1X
    person_B3X = share_B1X * reference_B3X + beside_B1X * opacity_B1X * painted_B3X
    return person_B3X, 1 - beside_B1X * (1 - opacity_B1X)


Generator = GlobalGenerator | LocalEnhancer


def _picture(drawn_BCHW: Tensor) -> Tensor:
    picture_B3HW = torch.tanh(drawn_BCHW[:, :3])
    if drawn_BCHW.shape[1] == 3:
        return picture_B3HW
    return torch.cat([picture_B3HW, torch.sigmoid(drawn_BCHW[:, 3:])], dim=1)


class ServedGenerator(nn.Module):
    """The generator in its served form: uint8 pictures in, a uint8 picture out, and perhaps the person alone.

    network: draws onto a plate, or without one. plate: `[H, W, 3]` uint8 RGB of the crop's size, or None.
    returns_person: whether `forward` returns the person as well; for a `CopyGenerator`.

    Raises ValueError if the plate and the network's output channels do not match.
    """

    plate_13HW: Tensor

    def __init__(self, network: Generator, plate: Picture | None, *, returns_person: bool = False) -> None:
        if (plate is not None) != (network.tail.out_channels > 3):
            needs = "needs a" if plate is None else "takes no"
            raise ValueError(f"a network with {network.tail.out_channels} output channels {needs} plate")
        super().__init__()
        self.network = network
        self.returns_person = returns_person
        if plate is not None:
            # 0 to 255 instead of -1 to 1: integers up to 256 are exact in bf16 and float16, so the plate stays
            # unchanged where nothing is drawn, at every precision, and so does the reference where it is copied.
            plate_HW3 = torch.from_numpy(np.array(plate, dtype=np.float32))
            self.register_buffer("plate_13HW", plate_HW3.permute(2, 0, 1)[None].contiguous())

    def forward(
        self, label_map_NHW3: Tensor, previous_frame_NHW3: Tensor, reference_NHW4: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Draw the next picture. All are uint8 RGB; before the first frame the previous is all 128.

        reference: premultiplied RGB and coverage, for a `CopyGenerator` and only for one. With
        `returns_person`, returns the picture and the person alone, `[N, H, W, 4]` premultiplied RGB and opacity.
        """
        label_map_N3HW = label_map_NHW3.permute(0, 3, 1, 2).float() / 255
        previous_N3HW = previous_frame_NHW3.permute(0, 3, 1, 2).float() / 127.5 - 1
        seen = [label_map_N3HW, previous_N3HW]
        if reference_NHW4 is not None:
            return self._with_reference(seen, reference_NHW4)
        drawn_NCHW = self.network(torch.cat(seen, dim=1)).float()
        frame_N3HW = (drawn_NCHW[:, :3] + 1) * 127.5
        if drawn_NCHW.shape[1] == 4:
            frame_N3HW = self.plate_13HW + drawn_NCHW[:, 3:] * (frame_N3HW - self.plate_13HW)
        return _levels(frame_N3HW)

    def _with_reference(self, seen: list[Tensor], reference_NHW4: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        assert isinstance(self.network, CopyGenerator)
        reference_N4HW = reference_NHW4.permute(0, 3, 1, 2).float()
        coverage_N1HW = reference_N4HW[:, 3:] / 255
        seen = [*seen, reference_N4HW[:, :3] / 127.5 - coverage_N1HW, coverage_N1HW]
        tail_N5HW = self.network.before_activation(torch.cat(seen, dim=1))
        # From here on in rows of pixels, [N, C, P] with P = H * W: OpenVINO keeps the channels of a pixel side by side
        # in what a convolution returns, and takes a few times as long to separate them there as between whole planes.
        size_HW = tail_N5HW.shape[2:]
        reference_N3P, coverage_N1P = reference_N4HW[:, :3].flatten(2), coverage_N1HW.flatten(2)
        colour_N3P, opacity_N1P, share_N1P = self.network.activated(tail_N5HW.flatten(2), coverage_N1P)
        painted_N3P = (colour_N3P.float() + 1) * 127.5
        person_N3P, opacity_N1P = _over(
            painted_N3P, opacity_N1P.float(), share_N1P.float(), reference_N3P, coverage_N1P
        )
        person_N3HW, opacity_N1HW = (torch.unflatten(rows, 2, size_HW) for rows in (person_N3P, opacity_N1P))
        frame_NHW3 = _levels(person_N3HW + (1 - opacity_N1HW) * self.plate_13HW)
        if self.returns_person:
            return frame_NHW3, _levels(torch.cat([person_N3HW, 255 * opacity_N1HW], dim=1))
        return frame_NHW3


def _levels(picture_NCHW: Tensor) -> Tensor:
    """Round `[N, C, H, W]` in 0 to 255 to `[N, H, W, C]` uint8."""
    return picture_NCHW.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def served_generator(model_path: Path, padding: Padding, size: FrameSize | None = None) -> ServedGenerator:
    """Load an exported generator as a torch module, for engines that run torch. Raises ActorUnusable and ValueError.

    A `CopyGenerator` returns the person as well, like its file.

    padding: from the actor's `generator` entry; the weights alone do not show it. size: of the pictures; None for the
    size of the file's plate.
    """
    weights = read_weights(model_path)
    local = any(name.startswith("network.trunk.") for name in weights)
    trunk = "network.trunk." if local else "network."

    def layers(prefix: str) -> int:
        return sum(name.startswith(prefix) for name in weights)

    head = weights[f"{trunk}head.conv.weight"]
    out_channels = weights["network.tail.weight"].shape[0]
    inner: dict[str, int] = {
        "base_channels": head.shape[0],
        "downsamplings": layers(f"{trunk}down."),
        "blocks": layers(f"{trunk}blocks.") // 2,
    }
    network: Generator
    if out_channels == _COPY_OUTPUTS:
        network = CopyGenerator(**inner, padding=padding)
    else:
        shape = {"in_channels": head.shape[1], "out_channels": out_channels} | inner
        if local:
            network = LocalEnhancer(**shape, enhancer_blocks=layers("network.blocks.") // 2, padding=padding)
        else:
            network = GlobalGenerator(**shape, padding=padding)
    plate_13HW = weights.get("plate_13HW")
    plate = None if plate_13HW is None else np.rint(plate_13HW[0].transpose(1, 2, 0)).astype(np.uint8)
    served = ServedGenerator(network, plate, returns_person=out_channels == _COPY_OUTPUTS)
    served.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    if size is not None and plate is not None:
        plate = resized(plate, size.width_px, size.height_px)
        return ServedGenerator(network, plate, returns_person=served.returns_person)
    return served
