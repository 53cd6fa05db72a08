"""Requests to Triton as bytes, and its responses as arrays."""

from __future__ import annotations

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from orchestrator.stage_calls.inference import InferenceRequests, outputs_by_name


def test_a_request_names_its_tensors_and_holds_their_bytes():
    """A request is a ModelInferRequest with model, version, shapes with a batch of one, outputs and contents."""
    pictures = {
        "A": np.arange(2 * 100 * 3, dtype=np.uint8).reshape(2, 100, 3),
        "B": np.full((1, 2, 4), 7, np.uint8),
    }
    requests = InferenceRequests("anna", "3", ("FRAME", "PERSON"))
    requests.request({name: np.zeros_like(picture) for name, picture in pictures.items()})  # leaves nothing behind
    message = service_pb2.ModelInferRequest.FromString(requests.request(pictures))
    assert (message.model_name, message.model_version) == ("anna", "3")
    assert [(one.name, one.datatype, list(one.shape)) for one in message.inputs] == [
        ("A", "UINT8", [1, 2, 100, 3]),
        ("B", "UINT8", [1, 1, 2, 4]),
    ]
    assert [one.name for one in message.outputs] == ["FRAME", "PERSON"]
    assert list(message.raw_input_contents) == [picture.tobytes() for picture in pictures.values()]


def test_the_size_of_pictures_may_change():
    """After pictures of one size, a request with pictures of another size has their shape and bytes."""
    requests = InferenceRequests("anna", "1", ())
    for side_px in (4, 2, 4):
        picture = np.full((side_px, side_px, 3), side_px, np.uint8)
        message = service_pb2.ModelInferRequest.FromString(requests.request({"A": picture}))
        assert list(message.inputs[0].shape) == [1, side_px, side_px, 3]
        assert list(message.raw_input_contents) == [picture.tobytes()]


def test_a_picture_with_gaps_is_sent_whole():
    """A picture that is a view of a larger one is sent as the pixels that it shows."""
    larger = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    message = service_pb2.ModelInferRequest.FromString(
        InferenceRequests("anna", "1", ()).request({"A": larger[::2, ::2]})
    )
    assert list(message.raw_input_contents) == [larger[::2, ::2].tobytes()]


def test_outputs_are_found_by_their_names():
    """Outputs may come in any order; each has its own type and shape."""
    response = service_pb2.ModelInferResponse()
    response.outputs.add(name="COMPUTE_SECONDS", datatype="FP64", shape=[1, 1])
    response.outputs.add(name="FRAME", datatype="UINT8", shape=[1, 1, 2, 3])
    response.raw_output_contents.extend([np.float64(0.25).tobytes(), bytes(range(6))])
    outputs = outputs_by_name(response)
    np.testing.assert_array_equal(outputs["FRAME"], np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3))
    np.testing.assert_array_equal(outputs["COMPUTE_SECONDS"], [[0.25]])


@pytest.mark.parametrize(
    ("datatype", "shape", "contents"),
    [
        ("UINT8", [1, 7], [bytes(6)]),
        ("UINT8", [1, 6], []),
        ("UINT8", [1, 6], [bytes(6), bytes(6)]),
        ("FP64", [1], [bytes(7)]),
        ("BYTES", [1], [bytes(8)]),
    ],
)
def test_outputs_that_do_not_match_their_description_are_refused(
    datatype: str, shape: list[int], contents: list[bytes]
):
    """Contents of another size, missing ones and types that no actor has raise ValueError."""
    response = service_pb2.ModelInferResponse(raw_output_contents=contents)
    response.outputs.add(name="FRAME", datatype=datatype, shape=shape)
    with pytest.raises(ValueError):  # noqa: PT011  # NumPy's own words differ
        outputs_by_name(response)
