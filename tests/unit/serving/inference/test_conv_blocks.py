"""The convolutional blocks of the generator and the face network."""

import pytest
import torch

from serving.inference.conv_blocks import ConvNormRelu


@pytest.mark.parametrize(("padding", "mode"), [("zeros", "constant"), ("reflection", "reflect")])
def test_halving_convolutions_are_padded_as_requested(padding, mode):
    """Zero padding like the published layer (3x3, stride 2, padding 1, a bias that the norm removes), or reflection."""
    torch.manual_seed(0)
    block = ConvNormRelu(4, 8, 3, 2, padding)
    plain = torch.nn.Conv2d(4, 8, 3, stride=2, padding=1 if padding == "zeros" else 0)
    x = torch.randn(1, 4, 12, 16)
    with torch.inference_mode():
        plain.weight.copy_(block.conv.weight)
        padded = x if padding == "zeros" else torch.nn.functional.pad(x, (1, 1, 1, 1), mode)
        expected = torch.relu(torch.nn.functional.instance_norm(plain(padded)))
        torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-4)
