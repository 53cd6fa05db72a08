import torch

from training.networks.discriminator import MultiscaleDiscriminator, initialise


def test_every_scale_judges_half_the_picture_before():
    """Three scales give three judgements of five outputs, the verdicts last, each scale about half as large."""
    judgements = MultiscaleDiscriminator(12, 4, 3, 3)(torch.rand(1, 12, 64, 64))
    assert [len(judgement) for judgement in judgements] == [5, 5, 5]
    assert [tuple(judgement[0].shape) for judgement in judgements] == [
        (1, 4, 33, 33), (1, 4, 17, 17), (1, 4, 9, 9)
    ]  # fmt: skip
    assert all(judgement[-1].shape[1] == 1 for judgement in judgements)


def test_weights_start_small():
    """Weights come from N(0, 0.02), biases are 0."""
    torch.manual_seed(0)
    judge = MultiscaleDiscriminator(12, 16, 3, 1)
    initialise(judge)
    weights = torch.cat([p.flatten() for name, p in judge.named_parameters() if name.endswith("weight")])
    biases = torch.cat([p.flatten() for name, p in judge.named_parameters() if name.endswith("bias")])
    assert 0.019 < weights.std() < 0.021
    assert biases.abs().max() == 0
