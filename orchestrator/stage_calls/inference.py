"""Inference on Triton, in the KServe v2 protocol: arrays as a request's bytes, and a response as arrays.

Triton's own client copies each tensor three times before gRPC sees it, and builds the same names and shapes again for
each frame. Here the head of a request is serialised once, and each tensor is copied once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from serving.rpc.call_context import CarryingChannel

_SERVICE: Final = "/inference.GRPCInferenceService"
_TYPES: Final = {"UINT8": np.uint8, "FP64": np.float64}
_Shapes = tuple[tuple[str, tuple[int, ...]], ...]
_RAW_INPUT_TAG: Final = service_pb2.ModelInferRequest(raw_input_contents=[b""]).SerializeToString()[:-1]


class InferenceStub:
    """The calls that the orchestrator makes. `infer` takes a serialised request; see `InferenceRequests`."""

    def __init__(self, channel: CarryingChannel) -> None:
        self.infer = channel.unary_unary(
            f"{_SERVICE}/ModelInfer", response_deserializer=service_pb2.ModelInferResponse.FromString
        )
        self.server_live = channel.unary_unary(
            f"{_SERVICE}/ServerLive",
            request_serializer=service_pb2.ServerLiveRequest.SerializeToString,
            response_deserializer=service_pb2.ServerLiveResponse.FromString,
        )


class InferenceRequests:
    """Requests to one version of one model.

    outputs: the names of the outputs that are wanted.
    """

    def __init__(self, model: str, version: str, outputs: Sequence[str]) -> None:
        self._model = model
        self._version = version
        self._outputs = tuple(outputs)
        self._parts: dict[_Shapes, tuple[Any, ...]] = {}

    def request(self, inputs: Mapping[str, NDArray[np.uint8]]) -> bytes:
        """Return a serialised request with a batch of one. Serialised messages that follow one another are one message.

        inputs: pictures by name. Sessions have few sizes, and the parts for each are kept.
        """
        shapes = tuple((name, picture.shape) for name, picture in inputs.items())
        if shapes not in self._parts:
            self._parts[shapes] = self._parts_for(shapes)
        parts = list(self._parts[shapes])
        parts[2::2] = map(np.ascontiguousarray, inputs.values())
        return b"".join(parts)

    def _parts_for(self, shapes: _Shapes) -> tuple[Any, ...]:
        """Return the head, then for each input the bytes before its contents and a place for these."""
        head = service_pb2.ModelInferRequest(model_name=self._model, model_version=self._version)
        parts: list[Any] = []
        for name, shape in shapes:
            head.inputs.add(name=name, datatype="UINT8", shape=(1, *shape))
            parts += [_RAW_INPUT_TAG + _varint(math.prod(shape)), None]
        for name in self._outputs:
            head.outputs.add(name=name)
        return (head.SerializeToString(), *parts)


def outputs_by_name(response: Any) -> dict[str, NDArray[Any]]:
    """Return the outputs of a ModelInferResponse, read-only. Raises ValueError if they do not match their shapes."""
    contents = response.raw_output_contents
    if len(contents) != len(response.outputs):
        raise ValueError(f"{len(response.outputs)} outputs have {len(contents)} contents")
    arrays: dict[str, NDArray[Any]] = {}
    for output, content in zip(response.outputs, contents, strict=True):
        if output.datatype not in _TYPES:
            raise ValueError(f"{output.name} has the type {output.datatype}, expected {' or '.join(_TYPES)}")
        arrays[output.name] = np.frombuffer(content, _TYPES[output.datatype]).reshape(tuple(output.shape))
    return arrays


def _varint(number: int) -> bytes:
    """Return a number as protobuf writes it: seven bits in a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
