import numpy as np
import pytest
import torch

from services.face.network import FaceGenerator, ServedFace


def crops(seed, count=1, side=16):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8))


def test_slim_face_network_is_under_four_megabytes_at_half_precision():
    """The small face network fits into its share of a 20 MB sample actor."""
    with torch.device("meta"):
        network = FaceGenerator(16, 3, 5)
    assert 2 * sum(weight.numel() for weight in network.parameters()) < 4e6


def test_residual_of_zero_leaves_the_face_unchanged():
    """Pixels with a zero residual come out byte for byte."""
    network = FaceGenerator(4, 1, 1)
    for weight in network.tail.parameters():
        torch.nn.init.zeros_(weight)
    with torch.inference_mode():
        torch.testing.assert_close(ServedFace(network)(crops(0, 2), crops(1, 2)), crops(1, 2))


def test_sum_with_the_residual_is_clamped():
    """A residual beyond black or white is clamped and does not wrap around."""
    network = FaceGenerator(4, 1, 1)
    torch.nn.init.zeros_(network.tail.weight)
    for bias, expected in ((100.0, 255), (-100.0, 0)):
        network.tail.bias.data.fill_(bias)  # type: ignore[union-attr]
        face = torch.full((1, 16, 16, 3), 250 if bias > 0 else 5, dtype=torch.uint8)
        with torch.inference_mode():
            assert (ServedFace(network)(crops(0), face) == expected).all()


@pytest.mark.parametrize(("padding", "pixels"), [("zeros", (1, 1)), ("reflection", (0, 0))])
def test_padding_applies_to_halving_convolutions(padding, pixels):
    """Only the convolutions that halve the size change with `padding`; all others use reflection."""
    network = FaceGenerator(4, 2, 1, padding=padding)
    convolutions = [part for part in network.modules() if isinstance(part, torch.nn.Conv2d)]
    assert [conv.padding for conv in convolutions if conv.stride == (2, 2)] == [pixels] * 2
    assert {conv.padding for conv in convolutions if conv.stride == (1, 1)} == {(0, 0)}
