"""Tiny pose networks with the inputs and outputs of real ones, and their model cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from motion.frame import Picture

CELL_PX = 8


def _saved(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any]) -> Path:
    made = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def write_paf_network(path: Path, *, one_output: bool = False, height: int | str = "h", width: int | str = "w") -> Path:
    """Write a network that reads two parts and one limb from a picture's colours.

    Part 0 is where the first channel is bright and part 1 where the second is; the part affinity field has the third
    channel as x and 0 as y. All are means over 8 x 8 pixels, scaled so that 255 is 1.
    """
    nodes = [
        helper.make_node("AveragePool", ["image"], ["means"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Div", ["means", "bright"], ["parts"]),
        helper.make_node("Split", ["parts"], ["r", "g", "b"], axis=1),
        helper.make_node("Mul", ["r", "none"], ["empty"]),
        helper.make_node("Concat", ["r", "g", "empty"], ["heatmaps"], axis=1),
        helper.make_node("Concat", ["b", "empty"], ["pafs"], axis=1),
    ]
    outputs, maps = ["heatmaps", "pafs"], {"heatmaps": 3, "pafs": 2, "both": 5}
    if one_output:
        nodes.append(helper.make_node("Concat", outputs, ["both"], axis=1))
        outputs = ["both"]
    return _saved(
        path,
        nodes,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, maps[n], "rows", "columns"]) for n in outputs],
        {"bright": np.array([255], np.float32), "none": np.array([0], np.float32)},
    )


def paf_card(path: Path, **changes: Any) -> dict[str, Any]:
    """Return that network's model card, for pictures of 128 x 64."""
    card: dict[str, Any] = {
        "format": "dance-pose-model-1",
        "backend": "openpose",
        "name": "tiny",
        "licence": "Apache-2.0",
        "model": {"path": path.name},
        "runtime": "onnxruntime",
        "input": {"colour": "RGB", "short_side_px": 64, "longest_side_px": 128, "multiple_of": 16},
        "outputs": {"heatmaps": "heatmaps", "pafs": "pafs"},
        "parts": ["RWrist", "LWrist"],
        "limbs": [[0, 1, 0, 1]],
    }
    return card | changes


def write_card(folder: Path, card: dict[str, Any], name: str = "card.json") -> Path:
    """Write a card and return its path."""
    path = folder / name
    path.write_text(json.dumps(card))
    return path


def write_whole_body_network(path: Path, width_px: int = 48, height_px: int = 64) -> Path:
    """Write a network that puts all 133 points at the brightest place, with two SimCC bins per pixel."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["columns"], axes=[1, 2], keepdims=0),
        helper.make_node("ReduceMean", ["input"], ["rows"], axes=[1, 3], keepdims=0),
    ]
    for name, size_px in (("columns", width_px), ("rows", height_px)):
        axis = "x" if name == "columns" else "y"
        nodes += [
            helper.make_node("Reshape", [name, f"{axis}_flat"], [f"{axis}_1"]),
            helper.make_node("Mul", [f"{axis}_1", f"{axis}_first"], [f"{axis}_2"]),
            helper.make_node("Reshape", [f"{axis}_2", f"{axis}_row"], [f"{axis}_3"]),
            helper.make_node("Expand", [f"{axis}_3", f"{axis}_all"], [f"simcc_{axis}"]),
        ]
        assert size_px > 0
    constants = {
        "x_flat": np.array([width_px, 1], np.int64), "y_flat": np.array([height_px, 1], np.int64),
        # The first of a pixel's two bins has the larger value.
        "x_first": np.array([[1, 0.5]], np.float32), "y_first": np.array([[1, 0.5]], np.float32),
        "x_row": np.array([1, 1, 2 * width_px], np.int64), "y_row": np.array([1, 1, 2 * height_px], np.int64),
        "x_all": np.array([1, 133, 2 * width_px], np.int64), "y_all": np.array([1, 133, 2 * height_px], np.int64),
    }  # fmt: skip
    return _saved(
        path,
        nodes,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, height_px, width_px])],
        [
            helper.make_tensor_value_info("simcc_x", TensorProto.FLOAT, [1, 133, 2 * width_px]),
            helper.make_tensor_value_info("simcc_y", TensorProto.FLOAT, [1, 133, 2 * height_px]),
        ],
        constants,
    )


def write_detector(path: Path, boxes: list[list[float]], labels: list[int], side_px: int = 64) -> Path:
    """Write a detector that finds these boxes (left, top, right, bottom, score) in every picture."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "none"], ["nothing"]),
        helper.make_node("Add", ["nothing", "boxes"], ["dets"]),
        helper.make_node("Identity", ["kinds"], ["labels"]),
    ]
    return _saved(
        path,
        nodes,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side_px, side_px])],
        [
            helper.make_tensor_value_info("dets", TensorProto.FLOAT, [1, len(boxes), 5]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, [1, len(boxes)]),
        ],
        {
            "none": np.array([0], np.float32),
            "boxes": np.array([boxes], np.float32),
            "kinds": np.array([labels], np.int64),
        },
    )


def whole_body_card(path: Path, **changes: Any) -> dict[str, Any]:
    """Return the whole-body network's model card, without a detector."""
    card: dict[str, Any] = {
        "format": "dance-pose-model-1",
        "backend": "rtmpose",
        "name": "tiny whole body",
        "licence": "Apache-2.0",
        "model": {"path": path.name},
        "points": "coco-wholebody-133",
        "input": {"colour": "RGB", "deviation": [255, 255, 255], "width_px": 48, "height_px": 64},
        "outputs": {"simcc_x": "simcc_x", "simcc_y": "simcc_y", "split": 2},
        "min_confidence": 0.001,
    }
    return card | changes


def two_hands(*pairs: tuple[float, float, float], width_px: int = 128, height_px: int = 64) -> Picture:
    """Draw people for the PAF network, each given as (x of one hand, x of the other, y) in pixels.

    The first hand is red and the second green, with blue along the line between them.
    """
    picture = np.zeros((height_px, width_px, 3), np.uint8)
    rows, columns = np.mgrid[:height_px, :width_px] + 0.5
    for first_px, second_px, y_px in pairs:
        for channel, x_px in ((0, first_px), (1, second_px)):
            spot = 255 * np.exp(-((columns - x_px) ** 2 + (rows - y_px) ** 2) / (2 * 7.0**2))
            picture[..., channel] = np.maximum(picture[..., channel], spot.astype(np.uint8))
        line = (np.abs(rows - y_px) < 8) & (columns > first_px - 8) & (columns < second_px + 8)
        picture[line, 2] = 255
    return picture
