"""The network takes pairs of any size and looks only at what is fine and at what changes."""

from __future__ import annotations

import torch

from provenance.detector.network import PairNetwork, Residuals, ServedPairNetwork


def test_a_pair_becomes_one_logit():
    """Also for another size, since the mean over all places is taken."""
    network = PairNetwork().eval()
    with torch.inference_mode():
        assert network(torch.zeros(3, 6, 128, 128)).shape == (3, 1)
        assert network(torch.zeros(1, 6, 96, 160)).shape == (1, 1)


def test_what_is_served_is_a_probability():
    """The sigmoid is part of the exported network."""
    with torch.inference_mode():
        score = ServedPairNetwork(PairNetwork().eval())(torch.full((1, 6, 128, 128), 200.0))
    assert 0 <= score.item() <= 1


def test_flat_colours_leave_no_residual():
    """The colours of a person or a place cannot be learnt; only a change between the frames is seen."""
    pair_BCHW = torch.full((1, 6, 16, 16), 90.0)
    assert Residuals()(pair_BCHW).abs().max() == 0
    pair_BCHW[:, 3:] += 12
    fine_BCHW, change_BCHW = Residuals()(pair_BCHW).split((6, 3), dim=1)
    assert fine_BCHW.abs().max() == 0
    assert torch.equal(change_BCHW, torch.full_like(change_BCHW, 0.5))


def test_residuals_are_cut_off():
    """A hard edge counts no more than a strong texture."""
    pair_BCHW = torch.zeros(1, 6, 16, 16)
    pair_BCHW[..., 8:] = 255
    assert Residuals()(pair_BCHW).abs().max() == 1
