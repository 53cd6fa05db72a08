"""Export trained networks into the files that are served: ONNX, uint8 in and out, weights at half precision."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from motion.frame import Picture
from services.face.network import FaceGenerator, ServedFace
from services.generator.network import REFERENCE_CHANNELS, CopyGenerator, Generator, ServedGenerator
from serving.errors import DanceError
from serving.inference.engine import PictureEngine
from serving.process.atomic_files import written_whole

_OPSET: Final = 17
_SMALLEST_HALVED: Final = 16
"""Constants with fewer values stay unchanged: they save nothing, and are often shapes and scales."""

_FEWEST_EXPORT_DB: Final = 30.0
"""An engine in bf16 agrees with torch to at least 40 dB; below 30 dB the export is broken."""

Names = tuple[str, ...]
GENERATOR_NAMES: Final[tuple[Names, Names]] = (("label_map", "previous_frame"), ("frame",))
"""The names of the inputs and of the outputs."""
COPY_NAMES: Final[tuple[Names, Names]] = (("label_map", "previous_frame", "reference"), ("frame", "person"))
"""Of a generator with a reference."""
FACE_NAMES: Final[tuple[Names, Names]] = (("label", "face"), ("refined",))
_CHANNELS: Final = {"reference": REFERENCE_CHANNELS}


def export_generator(network: Generator, plate: Picture | None, path: Path, width_px: int, height_px: int) -> None:
    """Write the body's network. plate: `[height_px, width_px, 3]` uint8, the crop's, for networks with an opacity."""
    copies = isinstance(network, CopyGenerator)
    served = ServedGenerator(network, plate, returns_person=copies)
    _export(served, path, width_px, height_px, COPY_NAMES if copies else GENERATOR_NAMES)


def export_face(network: FaceGenerator, path: Path, crop_px: int) -> None:
    """Write the face network, for crops of this side."""
    _export(ServedFace(network), path, crop_px, crop_px, FACE_NAMES)


class ExportBroken(DanceError):
    """An exported network does not draw the same as the trained one."""


def check_export(name: str, served: nn.Module, engine: PictureEngine, items: Sequence[Any]) -> None:
    """Raise ExportBroken, with `name`, if `engine` and the torch module agree on these items to less than 30 dB.

    items: the pictures that the network takes, in its order.
    """
    agreement_db = difference_db(served, engine.run_batch(items), items)
    if agreement_db < _FEWEST_EXPORT_DB:
        raise ExportBroken(f"the exported {name} agrees with the trained one to only {agreement_db:.1f} dB")


def difference_db(served: nn.Module, pictures: Sequence[Picture], items: Sequence[Any]) -> float:
    """PSNR in dB between an engine's pictures for `items` and those that the torch module draws in float32."""
    squared = []
    with torch.inference_mode():
        for picture, inputs in zip(pictures, items, strict=True):
            drawn = served(*(torch.from_numpy(np.array(given))[None] for given in inputs))[0].numpy()
            squared.append(np.square(drawn.astype(np.float64) - picture).mean())
    return float(10 * np.log10(255**2 / max(float(np.mean(squared)), 1e-6)))


def _export(served: nn.Module, path: Path, width_px: int, height_px: int, names: tuple[Names, Names]) -> None:
    inputs, outputs = names
    example = tuple(
        torch.full((1, height_px, width_px, _CHANNELS.get(name, 3)), 128, dtype=torch.uint8) for name in inputs
    )
    served.eval().requires_grad_(False)
    batch_only = {name: {0: "batch"} for name in (*inputs, *outputs)}
    with written_whole(path) as partial:
        with warnings.catch_warnings():
            # All measurements used the tracer, which warns that torch has a newer exporter.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                served,
                example,
                str(partial),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes=batch_only,
                opset_version=_OPSET,
                dynamo=False,
            )
        model = onnx.load(str(partial))
        _halve(model)
        onnx.checker.check_model(model)
        onnx.save(model, str(partial))


def _halve(model: onnx.ModelProto) -> None:
    """Store large float constants as float16, each followed by a cast; the engine sets the arithmetic's precision."""
    casts = []
    graph = model.graph
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < _SMALLEST_HALVED:
            continue
        name = tensor.name
        widened = f"{name}.float32"
        for node in graph.node:
            for position, used in enumerate(node.input):
                if used == name:
                    node.input[position] = widened
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name))
        casts.append(helper.make_node("Cast", [name], [widened], name=f"{name}.widen", to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
