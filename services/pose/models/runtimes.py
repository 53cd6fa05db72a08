"""Run third-party pose networks in OpenVINO, onnxruntime or OpenCV: pictures in, named arrays out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import FrameSize, Picture
from services.pose.models.card import InputFacts, Runtime
from serving.errors import BadSettings
from serving.inference import silent_libraries
from serving.inference.engine import openvino_core

Floats = NDArray[np.float32]
_COMPILED_SIZES: Final = 4
"""Maximum number of cached compiled networks, one for each input size; compiling takes about a second."""


Network = Callable[[Floats], Sequence[Floats]]
"""A network for one stream of pictures, called by one thread at a time.

Takes `[N, C, H, W]` or `[N, H, W, C]` float32; returns the requested outputs in order.
"""


def blob_of(picture: Picture, facts: InputFacts) -> Floats:
    """Convert a picture, `[H, W, 3]` uint8 RGB, to the network's input: layout, colours, mean and deviation."""
    batch = picture[None].astype(np.float32)
    if facts.colour == "BGR":
        batch = batch[..., ::-1]
    if facts.mean != (0.0, 0.0, 0.0):
        batch = batch - np.array(facts.mean, np.float32)
    if facts.deviation != (1.0, 1.0, 1.0):
        batch = batch / np.array(facts.deviation, np.float32)
    if facts.layout == "NCHW":
        batch = batch.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(batch, np.float32)


def padded(picture: Picture, inner: FrameSize, outer: FrameSize, grey: int) -> Picture:
    """Scale a picture to the size `inner`, and pad it at the right and at the bottom to the size `outer`."""
    whole = np.full((outer.height_px, outer.width_px, 3), grey, np.uint8)
    # Area averaging keeps details that are thinner than a pixel.
    whole[: inner.height_px, : inner.width_px] = cv2.resize(
        picture, (inner.width_px, inner.height_px), interpolation=cv2.INTER_AREA
    )
    return whole


@contextmanager
def card_checked(name: str) -> Iterator[None]:
    """Turn the RuntimeError of a network's first run into BadSettings for the card of this name."""
    try:
        yield
    except RuntimeError as error:
        raise BadSettings(name, f"the network rejects the input that the card describes: {error}") from error


class NetworkFile:
    """A network's file, opened once per process; `network` creates the part that each stream needs for itself.

    path: ONNX, or for OpenCV also a Caffe model with its `structure` (prototxt). outputs: names of the outputs to
    return. Raises BadSettings if the runtime cannot read the file or is not installed.
    """

    def __init__(
        self, path: Path, runtime: Runtime, outputs: Sequence[str], *, structure: Path | None = None, threads: int = 2
    ) -> None:
        self.path = path
        self._outputs = tuple(outputs)
        self._structure = structure
        self._threads = threads
        self._lock = threading.Lock()
        try:
            opened = {"openvino": self._openvino, "onnxruntime": self._onnxruntime, "opencv": self._opencv}[runtime]()
        except ModuleNotFoundError as error:
            raise BadSettings(str(path), f"{error.name} is not installed; it is in the extra [pose]") from error
        except (RuntimeError, cv2.error, ValueError) as error:
            raise BadSettings(str(path), f"{runtime} cannot read this network: {_first_line(error)}") from error
        self._make: Callable[[tuple[int, ...]], Network] = opened

    def network(self, shape: tuple[int, ...]) -> Network:
        """Return a network for inputs of this shape. Raises BadSettings if it does not accept them."""
        try:
            with self._lock:
                return self._make(shape)
        except (RuntimeError, cv2.error) as error:
            size = "x".join(map(str, shape))
            raise BadSettings(str(self.path), f"does not accept inputs of {size}: {_first_line(error)}") from error

    def _openvino(self) -> Callable[[tuple[int, ...]], Network]:
        core = openvino_core()
        model = core.read_model(self.path)
        _check_outputs(self.path, [name for output in model.outputs for name in output.names], self._outputs)
        compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()

        def make(shape: tuple[int, ...]) -> Network:
            if shape not in compiled:
                # A network of fixed size is twice as fast as one of variable size.
                sized = model.clone()
                sized.reshape(list(shape))
                hints = {"INFERENCE_NUM_THREADS": self._threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
                compiled[shape] = core.compile_model(sized, "CPU", hints)
            compiled.move_to_end(shape)
            while len(compiled) > _COMPILED_SIZES:
                compiled.popitem(last=False)
            request = compiled[shape].create_infer_request()

            def run(blob: Floats) -> Sequence[Floats]:
                request.infer([blob], share_inputs=True)
                # Copied, because the next request overwrites them.
                return [np.array(request.get_tensor(name).data, np.float32) for name in self._outputs]

            return run

        return make

    def _onnxruntime(self) -> Callable[[tuple[int, ...]], Network]:
        onnxruntime = silent_libraries.onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no base class of their own
            raise RuntimeError(str(error)) from error
        _check_outputs(self.path, [output.name for output in session.get_outputs()], self._outputs)
        name = session.get_inputs()[0].name

        def run(blob: Floats) -> Sequence[Floats]:
            try:
                return [np.asarray(array) for array in session.run(list(self._outputs), {name: blob})]
            except Exception as error:  # as above; the network does not accept the input that its card describes
                raise RuntimeError(_first_line(error)) from error

        return lambda shape: run

    def _opencv(self) -> Callable[[tuple[int, ...]], Network]:
        files = (str(self.path),) if self._structure is None else (str(self.path), str(self._structure))
        self._read_net(files)  # raises now if the file is damaged

        def make(shape: tuple[int, ...]) -> Network:
            net = self._read_net(files)  # a net has its own buffers, so every stream needs one

            def run(blob: Floats) -> Sequence[Floats]:
                net.setInput(blob)
                return [np.array(array, np.float32) for array in net.forward(list(self._outputs))]

            return run

        return make

    def _read_net(self, files: tuple[str, ...]) -> Any:
        net = cv2.dnn.readNet(*files)
        # OpenCV names layers; an ONNX output is the layer that produces it.
        _check_outputs(self.path, [*net.getLayerNames(), *net.getUnconnectedOutLayersNames()], self._outputs)
        return net


def _check_outputs(path: Path, given: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in given]
    if missing:
        raise BadSettings(str(path), f"has no output {missing[0]!r}; its outputs are {', '.join(given[-8:])}")


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
