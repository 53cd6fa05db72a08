"""A fake of the module that Triton's Python backend gives to a model."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


@dataclass
class FakeTensor:
    """`pb_utils.Tensor`."""

    name: str
    array: np.ndarray[Any, Any]

    def as_numpy(self) -> np.ndarray[Any, Any]:
        """Its values."""
        return self.array


class FakeTritonError:
    """`pb_utils.TritonError`."""

    INVALID_ARG, INTERNAL, CANCELLED, UNAVAILABLE = "invalid", "internal", "cancelled", "unavailable"

    def __init__(self, message: str, code: str) -> None:
        self.message, self.code = message, code


def fake_pb_utils() -> ModuleType:
    """Return the module `triton_python_backend_utils`. A request has its inputs in `tensor(name)`."""
    pb_utils: Any = ModuleType("triton_python_backend_utils")
    pb_utils.TritonError = FakeTritonError
    pb_utils.TritonModelException = type("TritonModelException", (Exception,), {})
    pb_utils.Tensor = FakeTensor
    pb_utils.get_input_tensor_by_name = lambda request, name: request.tensor(name)
    pb_utils.InferenceResponse = lambda output_tensors=(), error=None: SimpleNamespace(
        outputs={tensor.name: tensor.array for tensor in output_tensors}, error=error
    )
    module: ModuleType = pb_utils
    return module
