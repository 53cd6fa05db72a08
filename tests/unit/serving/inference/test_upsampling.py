"""Upsampling as a transposed convolution: the same values, and nothing else is touched."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.inference import silent_libraries
from serving.inference.engine import openvino_core
from serving.inference.upsampling import transpose_upsampling

Shape = tuple[int, int, int, int]


def upsampling(
    shape: Shape = (1, 3, 6, 10),
    *,
    scale: float = 2.0,
    border: str = "reflect",
    kernel: int = 3,
    mode: str = "nearest",
    stride: int = 1,
    shown: bool = False,
) -> Any:
    """A model that upsamples, pads and convolves. shown: return the padded picture as well."""
    ov = silent_libraries.openvino()
    op = ov.opset13
    x = op.parameter(shape, np.float32)
    scales = op.constant(np.array([1, 1, scale, scale], np.float32))
    large = op.interpolate(x, scales, mode, "scales", nearest_mode="floor", coordinate_transformation_mode="asymmetric")
    margin = [0, 0, kernel // 2, kernel // 2]
    padded = op.pad(large, margin, margin, border)
    weights = np.random.default_rng(1).standard_normal((5, shape[1], kernel, kernel)).astype(np.float32)
    drawn = op.convolution(padded, op.constant(weights), [stride, stride], [0, 0], [0, 0], [1, 1])
    return ov.Model([drawn, padded] if shown else [drawn], [x])


def run(model: Any, x: np.ndarray) -> np.ndarray:
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(x)[0])


@pytest.mark.parametrize("shape", [(1, 3, 6, 10), (1, 8, 5, 7), (2, 1, 2, 2)])
def test_upsampling_computes_the_same_when_it_is_transposed(shape: Shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    model = upsampling(shape)
    before = run(model.clone(), x)
    assert transpose_upsampling(model) == 1
    assert {node.get_type_name() for node in model.get_ops()}.isdisjoint({"Interpolate", "Convolution"})
    np.testing.assert_allclose(run(model, x), before, atol=2e-5)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"scale": 3.0}, id="three times"),
        pytest.param({"border": "constant"}, id="zero padding"),
        pytest.param({"kernel": 5}, id="a 5x5 kernel"),
        pytest.param({"mode": "linear"}, id="linear"),
        pytest.param({"stride": 2}, id="a stride of two"),
        pytest.param({"shown": True}, id="a padded picture that is used twice"),
    ],
)
def test_other_upsampling_stays_as_it_is(other: dict[str, Any]):
    model = upsampling(**other)
    before = [node.get_friendly_name() for node in model.get_ordered_ops()]
    assert transpose_upsampling(model) == 0
    assert [node.get_friendly_name() for node in model.get_ordered_ops()] == before


def test_every_upsampling_of_the_sample_actor_is_transposed(root: Path):
    model = openvino_core().read_model(root / "samples/actors/sample/1/generator.onnx")
    assert transpose_upsampling(model) == 3
