"""Actors whose networks are so small that their output can be computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from motion.body import BodyStats
from motion.crop import Crop
from motion.face_region import FaceRule
from motion.frame import FrameSize, PictureEncoding
from motion.labelmap import LABEL_MAP_VERSION
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.storage import write_wardrobe
from serving.actors.consent import ConsentRecord
from serving.actors.store import Actor, ActorStore, NetworkShape, WardrobeFacts
from serving.pictures.codec import encode_picture

SIDE_PX = 32


def tiny_network(path: Path, inputs: tuple[str, ...], output: str, side_px: int, bias: int) -> Path:
    """Write an ONNX network that adds half of the first picture, a quarter of the second and `bias`.

    A third input, `[N, H, W, 4]`, adds an eighth of its colours; it is also a second output, `person`.
    """
    shape: list[str | int | None] = ["N", side_px, side_px, 3]
    shapes = [shape, shape, [*shape[:3], 4]]
    half, quarter, more = (
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in (("half", 0.5), ("quarter", 0.25), ("more", bias))
    )
    nodes = [
        helper.make_node("Cast", [inputs[0]], ["first"], to=TensorProto.FLOAT),
        helper.make_node("Cast", [inputs[1]], ["second"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["first", "half"], ["first_part"]),
        helper.make_node("Mul", ["second", "quarter"], ["second_part"]),
        helper.make_node("Add", ["first_part", "second_part"], ["sum"]),
        *_eighth_of_third(inputs, "sum", "whole"),
        helper.make_node("Add", ["whole", "more"], ["biased"]),
        helper.make_node("Round", ["biased"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], [output], to=TensorProto.UINT8),
    ]
    outputs = [output]
    if len(inputs) > 2:
        nodes.append(helper.make_node("Identity", [inputs[2]], ["person"]))
        outputs.append("person")
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.UINT8, shapes[i]) for i, name in enumerate(inputs)],
        [helper.make_tensor_value_info(name, TensorProto.UINT8, shapes[2 * i]) for i, name in enumerate(outputs)],
        [half, quarter, more, *_SLICE, numpy_helper.from_array(np.array(0.125, np.float32), "eighth")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


_SLICE = [numpy_helper.from_array(np.array([value]), name) for name, value in (("begin", 0), ("end", 3), ("axis", 3))]


def _eighth_of_third(inputs: tuple[str, ...], added_to: str, result: str) -> list[onnx.NodeProto]:
    if len(inputs) < 3:
        return [helper.make_node("Identity", [added_to], [result])]
    return [
        helper.make_node("Cast", [inputs[2]], ["third"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["third", "begin", "end", "axis"], ["colours"]),
        helper.make_node("Mul", ["colours", "eighth"], ["third_part"]),
        helper.make_node("Add", [added_to, "third_part"], [result]),
    ]


def publish_tiny(
    store: ActorStore,
    folder: Path,
    actor_id: str,
    *,
    bias: int = 0,
    face: bool = True,
    generator: bytes | None = None,
    label_map_version: int = LABEL_MAP_VERSION,
    side_px: int = SIDE_PX,
    serve: bool = True,
    wardrobe: Wardrobe | None = None,
    consent: ConsentRecord | None = None,
) -> Actor:
    """Publish an actor with tiny networks, or with the bytes `generator` as generator.onnx.

    folder: an empty folder for temporary files. wardrobe: of `side_px` x `side_px`, for an actor with a reference.
    consent: None for one that is stated and never ends.
    """
    inputs = ("label_map", "previous_frame", *(("reference",) if wardrobe else ()))
    model = tiny_network(folder / "generator.onnx", inputs, "frame", side_px, bias)
    if generator is not None:
        model.write_bytes(generator)
    files = {"generator.onnx": model, "plate.png": folder / "plate.png"}
    if face:
        files["face.onnx"] = tiny_network(folder / "face.onnx", ("label", "face"), "refined", SIDE_PX, bias)
    if wardrobe is not None:
        files["wardrobe.npz"] = folder / "wardrobe.npz"
        write_wardrobe(files["wardrobe.npz"], wardrobe)
    plate = encode_picture(np.zeros((64, 64, 3), np.uint8), PictureEncoding.PNG)
    files["plate.png"].write_bytes(plate.data)
    actor = Actor(
        id=actor_id,
        version=0,
        folder=folder,
        label_map_version=label_map_version,
        crop=Crop(x_px=0, y_px=0, width_px=64, height_px=64, out_width_px=side_px, out_height_px=side_px),
        frame_size=FrameSize(64, 64),
        frame_rate_hz=25.0,
        body=BodyStats(near_ankle_y=0.9, far_ankle_y=0.8, near_height=0.6, far_height=0.5, hip_x=0.5, frames=10),
        face_rule=FaceRule(side_per_face_size=1.6, min_side_px=16, crop_px=SIDE_PX),
        generator=NetworkShape(base_channels=1, downsamplings=0, blocks=0, reference=wardrobe is not None),
        face=NetworkShape(base_channels=1, downsamplings=0, blocks=0) if face else None,
        preset="tiny",
        consent=ConsentRecord.of_text("not needed: drawn by a test") if consent is None else consent,
        wardrobe=None if wardrobe is None else WardrobeFacts.of(wardrobe),
    )
    return store.publish(actor, files, serve=serve)
