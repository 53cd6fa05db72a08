"""The GPU engine returns the network's output, for batches of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from services.generator.network import CopyGenerator, GlobalGenerator, ServedGenerator, served_generator
from serving.errors import ActorUnusable
from serving.inference.engine import open_engine
from training.publishing.export import export_generator

SIDE_PX = 64


@pytest.fixture
def model(tmp_path):
    """A small generator with a plate, exported, and its torch module."""
    torch.manual_seed(0)
    network = GlobalGenerator(out_channels=4, base_channels=8, downsamplings=2, blocks=2)
    plate = np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    path = tmp_path / "generator.onnx"
    export_generator(network, plate, path, SIDE_PX, SIDE_PX)
    return path, ServedGenerator(network, plate)


def rebuilt(path: Path) -> ServedGenerator:
    return served_generator(path, "reflection")


def _pairs(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(1)
    shape = (SIDE_PX, SIDE_PX, 3)
    return [(random.integers(0, 256, shape, np.uint8), random.integers(0, 256, shape, np.uint8)) for _ in range(count)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("count", [1, 3, 8, 9])
def test_batches_of_any_size_agree_with_torch(model, count: int):
    """Padding and splitting change only rounding: on average within 3 levels of the module in float32."""
    path, module = model
    pairs = _pairs(count)
    drawn = open_engine(path, device="gpu", torch_module=rebuilt).run_batch(pairs)
    assert len(drawn) == count
    for picture, (first, second) in zip(drawn, pairs, strict=True):
        with torch.inference_mode():
            expected = module(torch.from_numpy(first)[None], torch.from_numpy(second)[None])[0].numpy()
        assert np.abs(picture.astype(int) - expected).mean() < 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("count", [1, 9])
def test_the_person_is_returned_on_request(tmp_path: Path, count: int):
    """A network with a reference returns the frame, and the person alone if all outputs are requested."""
    network = CopyGenerator(8, 2, 2)
    network.copy_only()
    plate = np.full((SIDE_PX, SIDE_PX, 3), 50, np.uint8)
    export_generator(network, plate, tmp_path / "generator.onnx", SIDE_PX, SIDE_PX)
    engine = open_engine(tmp_path / "generator.onnx", device="gpu", inputs=3, torch_module=rebuilt)
    reference = np.zeros((SIDE_PX, SIDE_PX, 4), np.uint8)
    reference[:32] = (90, 60, 30, 255)
    items = [(*pair, reference) for pair in _pairs(count)]
    drawn = engine.run_all(items)
    assert len(drawn) == len(engine.run_batch(items)) == count
    for frame, person in drawn:
        np.testing.assert_array_equal(person, reference)
        np.testing.assert_array_equal(frame[:32], reference[:32, :, :3])
        np.testing.assert_array_equal(frame[32:], plate[32:])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_gpu_engine_is_refused(model):
    """The engine does not silently fall back to the CPU."""
    with pytest.raises(ActorUnusable, match="no CUDA device"):
        open_engine(model[0], device="gpu", torch_module=rebuilt)
