import hashlib

import numpy as np
import pytest
import torch

from serving.errors import BadInput
from training.evaluation import lpips
from training.evaluation.lpips import Lpips, linear_weights, open_lpips


@pytest.fixture
def alexnet():
    """A seeded network of AlexNet's shape; the metric's arithmetic does not depend on what it has learned."""
    random = torch.Generator().manual_seed(4)
    state = {}
    for (inside, outside, kernel, _, _), name in zip(lpips._LAYERS, lpips._NAMES, strict=True):
        weight = torch.randn(outside, inside, kernel, kernel, generator=random) / (inside * kernel * kernel) ** 0.5
        state[f"features.{name}.weight"], state[f"features.{name}.bias"] = weight, torch.zeros(outside)
    return state


@pytest.fixture
def pictures():
    return np.random.default_rng(1).integers(0, 256, (2, 64, 48, 3)).astype(np.uint8)


def test_the_distance_is_what_the_paper_says(alexnet, pictures):
    """The distance equals one computed by hand: unit features, squared differences, weighted sum, mean over places."""
    ours = Lpips(alexnet, linear_weights())
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    total = 0.0
    x = torch.tensor(((pictures / 127.5 - 1 - shift) / scale).transpose(0, 3, 1, 2), dtype=torch.float32)
    for index, ((_, _, _, stride, padding), name) in enumerate(zip(lpips._LAYERS, lpips._NAMES, strict=True)):
        if index in (1, 2):
            x = torch.nn.functional.max_pool2d(x, 3, 2)
        weight, bias = alexnet[f"features.{name}.weight"], alexnet[f"features.{name}.bias"]
        x = torch.relu(torch.nn.functional.conv2d(x, weight, bias, stride, padding))
        features = x.numpy().astype(np.float64)
        unit = features / (np.sqrt((features**2).sum(axis=1, keepdims=True)) + 1e-10)
        squares = (unit[0] - unit[1]) ** 2
        total += float((squares * linear_weights()[index].numpy()[0]).sum(axis=0).mean())
    assert ours.distance(*pictures) == pytest.approx(total, rel=1e-4)
    assert ours.distance(pictures[0], pictures[0]) == 0


def test_the_linear_weights_are_there():
    """The weights of AlexNet's five layers come with torchmetrics, and none is negative."""
    weights = linear_weights()
    assert [tuple(weight.shape) for weight in weights] == [(1, c, 1, 1) for c in (64, 192, 384, 256, 256)]
    assert all(float(weight.min()) >= 0 for weight in weights)


def test_without_weights_there_is_a_reason_and_no_number(tmp_path, monkeypatch):
    """The reason names the file and the option."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    metric, reason = open_lpips(None)
    assert metric is None
    assert "--lpips-weights takes torchvision's alexnet-owt-7be5be79.pth" in reason


def test_another_file_is_refused_by_its_hash(tmp_path, alexnet, monkeypatch):
    """Only the published file is accepted, byte for byte."""
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    torch.save(alexnet, path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(BadInput, match=f"its SHA-256 begins {found[:8]}"):
        open_lpips(path)
    with pytest.raises(BadInput, match="cannot be read"):
        open_lpips(tmp_path / "none.pth")
    monkeypatch.setattr(lpips, "_HASH_START", found[:8])
    assert open_lpips(path)[0] is not None


def test_pictures_too_small_for_it_are_refused(alexnet):
    """Pictures that are too small, or of different sizes, are refused."""
    small, large = np.zeros((20, 40, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)
    for one, other in ((small, small), (small, large)):
        with pytest.raises(ValueError, match="at least 32 pixels"):
            Lpips(alexnet, linear_weights()).distance(one, other)
