import copy
from contextlib import nullcontext

import pytest
import torch

from services.generator.network import GlobalGenerator
from training.networks.cpu_layers import accelerate, weight_gradients_aside
from training.networks.discriminator import MultiscaleDiscriminator


def total(outputs):
    """A scalar from all outputs of a generator or a discriminator."""
    if isinstance(outputs, torch.Tensor):
        return outputs[:, :, ::2].square().sum()
    return sum(total(part) for part in outputs)


@pytest.mark.parametrize("aside", [True, False])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: GlobalGenerator(6, 4, 4, 2, 1), (1, 6, 16, 24)),
        (lambda: GlobalGenerator(6, 3, 4, 1, 1), (2, 6, 16, 16)),
        (lambda: MultiscaleDiscriminator(12, 4, 2, 3), (1, 12, 32, 32)),
    ],
)
def test_fast_layers_give_the_same_results_and_gradients(make, shape, aside):
    """Outputs and all gradients equal those of PyTorch's own layers, also for weights that are used twice."""
    torch.manual_seed(0)
    plain = make()
    fast = copy.deepcopy(plain)
    accelerate(fast)
    ours, theirs = (torch.rand(shape).requires_grad_() for _ in range(2))
    theirs.data.copy_(ours.data)
    with weight_gradients_aside() if aside else nullcontext():
        for module, x in ((plain, theirs), (fast, ours)):
            (total(module(x)) + total(module(0.5 * x))).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-3)
    for (name, weight), (fast_name, fast_weight) in zip(plain.named_parameters(), fast.named_parameters(), strict=True):
        assert name == fast_name
        scale = weight.grad.abs().max()
        torch.testing.assert_close(fast_weight.grad / scale, weight.grad / scale, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_fused_adam_steps_as_the_plain_one(precision):
    """Gradients have the memory layout of their weights, which the fused optimizer does not check."""
    torch.manual_seed(0)
    fast = GlobalGenerator(6, 4, 4, 1, 1)
    accelerate(fast)
    fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        drawn = fast(torch.rand(1, 6, 16, 24))
    with weight_gradients_aside():
        total(drawn.float()).backward()
    plain = copy.deepcopy(fast)
    for weight, original in zip(plain.parameters(), fast.parameters(), strict=True):
        assert original.grad is not None
        assert original.grad.stride() == original.stride()
        weight.grad = original.grad.clone()
    torch.optim.Adam(fast.parameters(), 1e-3, fused=True).step()
    torch.optim.Adam(plain.parameters(), 1e-3, fused=False, foreach=False).step()
    torch.testing.assert_close(fast.state_dict(), plain.state_dict(), rtol=1e-5, atol=1e-6)


def test_fast_networks_keep_the_names_of_their_weights():
    """Weights trained with the fast layers load into the plain network that is exported."""
    fast = GlobalGenerator(6, 4, 4, 1, 1)
    accelerate(fast)
    GlobalGenerator(6, 4, 4, 1, 1).load_state_dict(fast.state_dict())


def test_fixed_weights_get_no_gradient():
    """A discriminator with fixed weights passes gradients on and keeps none."""
    discriminator = MultiscaleDiscriminator(6, 4, 2, 1)
    accelerate(discriminator)
    discriminator.requires_grad_(False)
    x = torch.rand(1, 6, 32, 32, requires_grad=True)
    total(discriminator(x)).backward()
    assert x.grad is not None
    assert all(weight.grad is None for weight in discriminator.parameters())
