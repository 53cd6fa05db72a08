"""Export trained networks into the files that are served: ONNX, uint8 in and out, weights at half precision."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from motion.frame import Picture
from services.face.network import FaceGenerator, ServedFace
from services.generator.network import Generator, ServedGenerator
from serving.errors import DanceError
from serving.inference.engine import PictureEngine
from serving.process.atomic_files import written_whole

_OPSET: Final = 17
_SMALLEST_HALVED: Final = 16
"""Constants with fewer values stay unchanged: they save nothing, and are often shapes and scales."""

_FEWEST_EXPORT_DB: Final = 30.0
"""An engine in bf16 agrees with torch to at least 40 dB; below 30 dB the export is broken."""

Names = tuple[str, str, str]
GENERATOR_NAMES: Final[Names] = ("label_map", "previous_frame", "frame")
FACE_NAMES: Final[Names] = ("label", "face", "refined")


def export_generator(network: Generator, plate: Picture | None, path: Path, width_px: int, height_px: int) -> None:
    """Write the body's network. plate: `[height_px, width_px, 3]` uint8, the crop's, for networks with an opacity."""
    _export(ServedGenerator(network, plate), path, width_px, height_px, GENERATOR_NAMES)


def export_face(network: FaceGenerator, path: Path, crop_px: int) -> None:
    """Write the face network, for crops of this side."""
    _export(ServedFace(network), path, crop_px, crop_px, FACE_NAMES)


class ExportBroken(DanceError):
    """An exported network does not draw the same as the trained one."""


def check_export(name: str, served: nn.Module, engine: PictureEngine, pairs: Sequence[tuple[Picture, Picture]]) -> None:
    """Raise ExportBroken, with `name`, if `engine` and the torch module agree on these pairs to less than 30 dB."""
    agreement_db = difference_db(served, engine.run_batch(pairs), pairs)
    if agreement_db < _FEWEST_EXPORT_DB:
        raise ExportBroken(f"the exported {name} agrees with the trained one to only {agreement_db:.1f} dB")


def difference_db(served: nn.Module, pictures: Sequence[Picture], pairs: Sequence[tuple[Picture, Picture]]) -> float:
    """PSNR in dB between an engine's pictures for `pairs` and those that the torch module draws in float32."""
    squared = []
    with torch.inference_mode():
        for picture, (first, second) in zip(pictures, pairs, strict=True):
            drawn = served(*(torch.from_numpy(np.array(side))[None] for side in (first, second)))[0].numpy()
            squared.append(np.square(drawn.astype(np.float64) - picture).mean())
    return float(10 * np.log10(255**2 / max(float(np.mean(squared)), 1e-6)))


def _export(served: nn.Module, path: Path, width_px: int, height_px: int, names: Names) -> None:
    example = torch.full((1, height_px, width_px, 3), 128, dtype=torch.uint8)
    served.eval().requires_grad_(False)
    batch_only = {name: {0: "batch"} for name in names}
    with written_whole(path) as partial:
        with warnings.catch_warnings():
            # All measurements used the tracer, which warns that torch has a newer exporter.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                served,
                (example, example),
                str(partial),
                input_names=list(names[:2]),
                output_names=[names[2]],
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
