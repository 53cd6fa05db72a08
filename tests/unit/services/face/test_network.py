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


@pytest.mark.parametrize(("padding", "mode"), [("zeros", "constant"), ("reflection", "reflect")])
def test_halving_convolutions_are_padded_as_asked(padding, mode):
    """Zero padding like the published layer (3x3, stride 2, padding 1, a bias that the norm removes), or reflection."""
    torch.manual_seed(0)
    network = FaceGenerator(4, 2, 1, padding=padding)
    x = torch.randn(1, 4, 12, 16)
    with torch.inference_mode():
        ours = network.down(x)
        for layer in network.down:
            conv = layer.get_submodule("conv")
            assert isinstance(conv, torch.nn.Conv2d)
            wide, narrow = conv.weight.shape[:2]
            plain = torch.nn.Conv2d(narrow, wide, 3, stride=2, padding=1 if mode == "constant" else 0)
            plain.weight.copy_(conv.weight)
            padded = x if mode == "constant" else torch.nn.functional.pad(x, (1, 1, 1, 1), mode)
            x = torch.relu(torch.nn.functional.instance_norm(plain(padded)))
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)
