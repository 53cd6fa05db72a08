"""Makes a network's upsampling cheaper for OpenVINO, without a change of what it computes.

Our networks upsample by repeating every pixel and then convolve: three of four products use a value that the
neighbouring pixel used as well. Sums of the 3x3 kernel's rows and columns give a 4x4 kernel that reads each pixel once,
in a transposed convolution of stride two.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from serving.inference import silent_libraries

_ROWS_SUMMED: Final = ((2,), (1, 2), (0, 1), (0,))
"""Which rows of the 3x3 kernel each row of the 4x4 kernel sums."""
_TWICE: Final = (1.0, 1.0, 2.0, 2.0)


def transpose_upsampling(model: Any) -> int:
    """Replace every nearest-neighbour upsampling by two with its 3x3 convolution, in place, and count them.

    model: an OpenVINO model, not compiled. The upsampled picture must be padded by reflection, by one pixel, which is
    the same as padding the small one with its edge. Other upsampling stays.
    """
    replaced = 0
    for convolution in list(model.get_ordered_ops()):
        small = _upsampled_by(convolution)
        if small is None:
            continue
        op = silent_libraries.openvino().opset13
        kernel = op.constant(_transposed_kernel(_values(convolution.input(1).get_source_output().get_node())))
        padded = op.pad(small, [0, 0, 1, 1], [0, 0, 1, 1], "edge")
        # It returns 2 * side + 6 rows, of which three at each end are the padding's.
        large = op.convolution_backprop_data(
            padded, kernel, [2, 2], pads_begin=[3, 3], pads_end=[3, 3], dilations=[1, 1]
        )
        large.set_friendly_name(convolution.get_friendly_name())
        for user in list(convolution.output(0).get_target_inputs()):
            user.replace_source_output(large.output(0))
        replaced += 1
    if replaced:
        model.validate_nodes_and_infer_types()
    return replaced


def _upsampled_by(convolution: Any) -> Any:
    """Return the output that is upsampled, padded and given to `convolution`, or None if that is not what happens."""
    if convolution.get_type_name() != "Convolution":
        return None
    attributes = convolution.get_attributes()
    kernel = convolution.input(1).get_partial_shape()
    plain = attributes["strides"] == attributes["dilations"] == [1, 1] and attributes["auto_pad"] == "explicit"
    unpadded = attributes["pads_begin"] == attributes["pads_end"] == [0, 0]
    if not (plain and unpadded and [kernel[2], kernel[3]] == [3, 3]):
        return None
    pad = convolution.input(0).get_source_output().get_node()
    if pad.get_type_name() != "Pad" or pad.get_attributes()["pad_mode"] != "reflect" or len(_users(pad)) > 1:
        return None
    upsampling = pad.input(0).get_source_output().get_node()
    if upsampling.get_type_name() != "Interpolate" or len(_users(upsampling)) > 1:
        return None
    how = upsampling.get_attributes()
    if how["mode"] != "nearest" or how["shape_calculation_mode"] != "scales":
        return None
    if tuple(_values(upsampling.input(1).get_source_output().get_node())) != _TWICE:
        return None
    small, padded = upsampling.get_input_partial_shape(0), pad.get_output_partial_shape(0)
    for axis in (2, 3):
        if small[axis].is_dynamic or padded[axis] != small[axis].get_length() * 2 + 2:
            return None
    return upsampling.input(0).get_source_output()


def _users(node: Any) -> Any:
    return node.output(0).get_target_inputs()


def _values(node: Any) -> NDArray[np.float32]:
    """A constant's values, which a file may store at half precision."""
    constant = node.input(0).get_source_output().get_node() if node.get_type_name() == "Convert" else node
    return np.asarray(constant.get_data(), np.float32)


def _transposed_kernel(kernel_OI33: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the `[I, O, 4, 4]` kernel of the transposed convolution. O, I: channels out and in."""
    exact = kernel_OI33.astype(np.float64)
    rows = np.stack([exact[:, :, list(summed)].sum(axis=2) for summed in _ROWS_SUMMED], axis=2)
    both = np.stack([rows[:, :, :, list(summed)].sum(axis=3) for summed in _ROWS_SUMMED], axis=3)
    return np.ascontiguousarray(both.transpose(1, 0, 2, 3), np.float32)
