"""Read the weights of an exported network, for engines that run it in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.errors import ActorUnusable


def read_weights(model_path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the initialisers of an ONNX file by name, as float32. Raises ActorUnusable for an unreadable file."""
    import onnx  # an extra
    from onnx import numpy_helper

    try:
        model = onnx.load(str(model_path), load_external_data=False)
    except Exception as error:  # onnx raises protobuf's DecodeError, which has no public base class
        raise ActorUnusable(f"{model_path.name} is not an ONNX file: {type(error).__name__}") from error
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    return {
        tensor.name: numpy_helper.to_array(tensor).astype(np.float32)
        for tensor in model.graph.initializer
        if tensor.data_type in floats
    }
