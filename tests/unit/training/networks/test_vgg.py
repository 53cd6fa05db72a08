import hashlib
from urllib.error import URLError

import pytest
import torch

from serving.errors import BadInput
from training.losses.terms import perceptual
from training.networks import vgg
from training.networks.vgg import Vgg19Features, name_of, perceptual_network, read_vgg_weights


def test_features_are_those_of_vgg19():
    """relu1_1 to relu5_1 are as wide as published, each half as large as the last, with torchvision's names."""
    with torch.device("meta"):
        network = Vgg19Features()
        features = network(torch.zeros(2, 3, 32, 48))
    assert [tuple(layer.shape) for layer in features] == [
        (2, 64, 32, 48), (2, 128, 16, 24), (2, 256, 8, 12), (2, 512, 4, 6), (2, 512, 2, 3)
    ]  # fmt: skip
    names = list(network.state_dict())
    assert (len(names), names[0], names[-1]) == (26, "features.0.weight", "features.28.bias")
    assert sum(weight.numel() for weight in network.parameters()) == 12_944_960
    assert not any(weight.requires_grad for weight in network.parameters())


def test_perceptual_loss_weighs_five_layers():
    """Layers that differ by 32, 16, 8, 4 and 1 cost 1 each; real features get no gradient."""
    sizes = [(1, 2, 8, 8), (1, 3, 4, 4), (2, 4, 2, 2), (1, 5, 1, 1), (1, 1, 1, 1)]
    real = [torch.zeros(size, requires_grad=True) for size in sizes]
    drawn = [
        torch.full(size, by, requires_grad=True) for size, by in zip(sizes, (32.0, 16.0, 8.0, 4.0, 1.0), strict=True)
    ]
    loss = perceptual(drawn, real)
    assert loss.item() == pytest.approx(5)
    loss.backward()
    assert all(layer.grad is None for layer in real)
    assert drawn[0].grad is not None
    assert drawn[0].grad.sum().item() == pytest.approx(1 / 32)
    with pytest.raises(ValueError, match="zip"):
        perceptual(drawn[:4], real[:4])


def test_random_network_is_the_same_each_time_and_keeps_sizes():
    """Random weights come from their own seed, and activations neither vanish nor explode."""
    one = perceptual_network("random")
    torch.manual_seed(123)
    other = perceptual_network("random")
    assert one is not None
    assert other is not None
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    deepest = one(torch.rand(1, 3, 32, 32) * 2 - 1)[-1]
    assert 0.05 < deepest.mean() < 5
    assert "random" in name_of("random")
    assert perceptual_network("none") is None


def test_weights_of_another_file_are_refused(tmp_path):
    """A foreign or missing file is named, with the ways out."""
    other = tmp_path / "vgg.pth"
    other.write_bytes(b"something else")
    for path, words in ((other, "begins with"), (tmp_path / "none.pth", "there is no file")):
        with pytest.raises(BadInput, match=words) as refused:
            perceptual_network("vgg19", path)
        for way in ("--vgg-weights FILE", "--perceptual none", "--perceptual random"):
            assert way in str(refused.value)


def test_weights_of_the_right_file_are_loaded(tmp_path, monkeypatch):
    """A file with the right hash is read; layers after relu5_1 are ignored."""
    stored = {name: torch.full_like(value, 0.5) for name, value in Vgg19Features().state_dict().items()}
    torch.save(
        stored | {"features.30.weight": torch.zeros(1), "classifier.0.weight": torch.zeros(1)}, tmp_path / "vgg.pth"
    )
    digest = hashlib.sha256((tmp_path / "vgg.pth").read_bytes()).hexdigest()
    monkeypatch.setattr(vgg, "WEIGHTS_SHA256", digest[:8])
    read = read_vgg_weights(tmp_path / "vgg.pth")
    assert read.keys() == stored.keys()
    assert read["features.28.bias"].unique().item() == 0.5


def test_weights_that_cannot_be_fetched_stop_with_the_ways_out(tmp_path, monkeypatch):
    """Without a connection the error has the address, the reason and three ways out, and no file is left."""

    def unreachable(address, path, *, hash_prefix):
        assert hash_prefix == "dcbb9e9d"
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    with pytest.raises(BadInput, match=r"vgg19-dcbb9e9d\.pth \(no route to host\).*--vgg-weights.*--perceptual none"):
        perceptual_network("vgg19")
    assert not list(tmp_path.rglob("*.pth"))
