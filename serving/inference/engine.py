"""Inference of our two networks: OpenVINO on a CPU, torch with CUDA graphs on a GPU.

A network takes two or three uint8 pictures of one size and returns one or two, so all share one interface. Pictures are
`[H, W, 3]` RGB; the generator's third input, the reference, and its second output, the person, are `[H, W, 4]`. The
network's graph converts to floats and back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from motion.crop import resized
from motion.frame import FrameSize, Picture
from serving.errors import ActorUnusable
from serving.inference import silent_libraries
from serving.inference.precision import Device, Precision
from serving.inference.upsampling import transpose_upsampling

if TYPE_CHECKING:
    from torch import nn


class PictureEngine(Protocol):
    """Runs one network. Not thread-safe: use it from one thread at a time."""

    precision: str
    """The actual precision of the arithmetic: "bf16" or "f32"."""

    def run(self, *pictures: Picture) -> Picture:
        """Turn the network's input pictures, in its order, into its first: `[H, W, 3]` uint8 RGB of the same size."""
        ...

    def run_batch(self, items: Sequence[Sequence[Picture]]) -> list[Picture]:
        """Like `run`, for several items of one size."""
        ...

    def run_all(self, items: Sequence[Sequence[Picture]]) -> list[tuple[Picture, ...]]:
        """Like `run_batch`, with every picture that the network returns."""
        ...


def open_engine(
    model_path: Path,
    *,
    device: Device = "cpu",
    threads: int = 2,
    precision: Precision = "auto",
    inputs: int = 2,
    size: FrameSize | None = None,
    torch_module: Callable[[Path], nn.Module] | None = None,
) -> PictureEngine:
    """Open the engine for the ONNX file `model_path` on `device`.

    inputs: how many pictures the network takes. size: of the pictures; None for the size of the exported network. On a
    GPU, `torch_module` returns a network for that size. precision "auto" is bf16 if the CPU computes it, else float32;
    "bf16" on a CPU without it is refused. There is no fallback from one device to the other. `torch_module` rebuilds
    the network from the file, and is required for a GPU. Raises ActorUnusable for a file that is missing or not such a
    network.
    """
    if not model_path.is_file():
        raise ActorUnusable(f"{model_path.name} is missing")
    if device == "gpu":
        if torch_module is None:
            raise ValueError("a GPU engine needs torch_module, which rebuilds the network from its file")
        from serving.inference.torch_engine import TorchEngine  # torch is an extra, and slow to import

        return TorchEngine(torch_module(model_path), precision=precision)
    return OpenVinoEngine(model_path, threads=threads, precision=precision, inputs=inputs, size=size)


class OpenVinoEngine:
    """OpenVINO on a CPU. A batch runs item by item, so a picture's bytes never depend on the others."""

    def __init__(
        self,
        model_path: Path,
        *,
        threads: int,
        precision: Precision = "auto",
        inputs: int = 2,
        size: FrameSize | None = None,
    ) -> None:
        core = openvino_core()
        chosen = _cpu_precision(core, precision)
        try:
            model = core.read_model(model_path)
        except RuntimeError as error:
            raise ActorUnusable(f"{model_path.name} is not a readable network: {_reason(error, model_path)}") from error
        most_outputs = 2 if inputs == _INPUTS_WITH_REFERENCE else 1
        if len(model.inputs) != inputs or not 1 <= len(model.outputs) <= most_outputs:
            out = "one or two" if most_outputs == 2 else "one"
            raise ActorUnusable(
                f"{model_path.name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; "
                f"expected {inputs} pictures in and {out} out"
            )
        if size is not None:
            _resize(model, size, model_path.name)
        shape = next((i.partial_shape for i in model.inputs if i.partial_shape.is_static), None)
        if shape is None and all(i.partial_shape[k].is_static for i in model.inputs for k in (1, 2, 3)):
            # A fixed batch of one lets the compiler plan its memory once.
            model.reshape({i: [1, *(i.partial_shape[k].get_length() for k in (1, 2, 3))] for i in model.inputs})
        transpose_upsampling(model)
        self._compile_options = {
            "INFERENCE_PRECISION_HINT": chosen,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        self.precision = str(chosen)
        self._several = len(model.outputs) > 1
        self._uncompiled = model
        self._requests: dict[bool, Any] = {}
        self._request(every_output=False)

    def run(self, *pictures: Picture) -> Picture:
        """See `PictureEngine.run`."""
        return self._run(pictures, every_output=False)[0]

    def run_batch(self, items: Sequence[Sequence[Picture]]) -> list[Picture]:
        """See `PictureEngine.run_batch`."""
        return [self.run(*pictures) for pictures in items]

    def run_all(self, items: Sequence[Sequence[Picture]]) -> list[tuple[Picture, ...]]:
        """See `PictureEngine.run_all`. The first call compiles the network again, if it has several outputs."""
        return [self._run(pictures, every_output=True) for pictures in items]

    def _run(self, pictures: Sequence[Picture], *, every_output: bool) -> tuple[Picture, ...]:
        request = self._request(every_output=every_output and self._several)
        result = request.infer([picture[None] for picture in pictures], share_inputs=True)
        return tuple(np.array(array[0], dtype=np.uint8) for array in result.values())

    def _request(self, *, every_output: bool) -> Any:
        """Return the inference request. OpenVINO computes all outputs, so each choice of them is a network to compile.

        Sessions that need the person are rare, and it takes 2 to 3 % of a drawing.
        """
        if every_output not in self._requests:
            model = self._uncompiled
            if every_output or not self._several:
                self._uncompiled = None  # its weights take as much memory as those of what is compiled from it
            else:
                model = model.clone()
                for result in model.get_results()[1:]:
                    model.remove_result(result)
            compiled = openvino_core().compile_model(model, "CPU", self._compile_options)
            self._requests[every_output] = compiled.create_infer_request()
        return self._requests[every_output]


_INPUTS_WITH_REFERENCE: Final = 3
_PLATE: Final = "plate_13HW"
"""The constant in a generator's file that has the size of its pictures, `[1, 3, H, W]` in levels of 0 to 255."""


def _resize(model: Any, size: FrameSize, name: str) -> None:
    """Make a network draw pictures of another size, onto a resized plate. Raises ActorUnusable if it cannot."""
    # Not `Model.reshape`: it would check the new plate against the old size of the pictures.
    for node in model.get_ops():
        if node.get_friendly_name() == _PLATE:
            plate = np.ascontiguousarray(node.get_data()[0].transpose(1, 2, 0), np.float32)
            smaller = resized(np.rint(plate).astype(np.uint8), size.width_px, size.height_px).transpose(2, 0, 1)[None]
            values = np.ascontiguousarray(smaller, node.get_data().dtype)
            constant = silent_libraries.openvino().op.Constant(values, shared_memory=False)
            for user in list(node.output(0).get_target_inputs()):
                user.replace_source_output(constant.output(0))
    try:
        for parameter in model.get_parameters():
            channels = parameter.get_partial_shape()[3]
            shape = silent_libraries.openvino().PartialShape([1, size.height_px, size.width_px, channels])
            parameter.set_partial_shape(shape)
        model.validate_nodes_and_infer_types()
    except RuntimeError as error:
        raise ActorUnusable(f"{name} does not draw {size.width_px}x{size.height_px} pictures: {error}") from error


@cache
def openvino_core() -> Any:
    """Return OpenVINO's core, the only one for the life of the process.

    Its CPU plugin sets another signal stack for the thread that starts it, and removes it when the core is freed. A
    second core would leave the thread with a freed stack, and the next SIGTERM would crash the process.
    """
    return silent_libraries.openvino().Core()


def cpu_computes_bf16() -> bool:
    """Whether this CPU computes in bf16, rather than only converting it."""
    return _cpu_precision(openvino_core(), "auto") == "bf16"


def _cpu_precision(core: object, wanted: Precision) -> str:
    has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # type: ignore[attr-defined]
    if wanted == "bf16" and not has_bf16:
        raise ActorUnusable("bf16 was requested, but this CPU does not compute it; use precision auto or f32")
    return "bf16" if wanted != "f32" and has_bf16 else "f32"


def _reason(error: BaseException, model_path: Path) -> str:
    # OpenVINO's messages begin with lines of its own code.
    lines = [line.strip() for line in str(error).splitlines() if not line.startswith("Exception from ")]
    return next(filter(None, lines), type(error).__name__).replace(str(model_path), model_path.name)
