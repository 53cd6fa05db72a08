import torch

from training.networks.discriminator import MultiscaleDiscriminator, initialise


def test_every_scale_judges_half_the_size_of_the_one_before():
    """Three scales give five layer outputs each, the verdicts last, each scale about half as large."""
    outputs = MultiscaleDiscriminator(12, 4, 3, 3)(torch.rand(1, 12, 64, 64))
    assert [len(of_scale) for of_scale in outputs] == [5, 5, 5]
    assert [tuple(of_scale[0].shape) for of_scale in outputs] == [
        (1, 4, 33, 33), (1, 4, 17, 17), (1, 4, 9, 9)
    ]  # fmt: skip
    assert all(of_scale[-1].shape[1] == 1 for of_scale in outputs)


def test_weights_start_small():
    """Weights come from N(0, 0.02), biases are 0."""
    torch.manual_seed(0)
    discriminator = MultiscaleDiscriminator(12, 16, 3, 1)
    initialise(discriminator)
    weights = torch.cat([p.flatten() for name, p in discriminator.named_parameters() if name.endswith("weight")])
    biases = torch.cat([p.flatten() for name, p in discriminator.named_parameters() if name.endswith("bias")])
    assert 0.019 < weights.std() < 0.021
    assert biases.abs().max() == 0
