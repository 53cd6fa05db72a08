"""Pose networks that others have trained, run by OpenVINO, onnxruntime or OpenCV: a picture in, named arrays out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from services.pose.models.card import InputFacts, Runtime
from serving.errors import BadSettings
from serving.inference import silent_libraries
from serving.inference.engine import openvino_core

Floats = NDArray[np.float32]
_COMPILED_SIZES: Final = 4
"""Compiled forms of a network that are kept, one for each size of picture; making one takes about a second."""


class Network(Protocol):
    """A network for one stream of pictures. Used by one thread at a time."""

    def run(self, blob: Floats) -> Sequence[Floats]:
        """`[N, C, H, W]` or `[N, H, W, C]` float32 in; the wanted outputs, in the order asked for."""
        ...


def blob_of(pictures: Sequence[Picture], facts: InputFacts) -> Floats:
    """The network's input for pictures of one size, `[H, W, 3]` uint8 RGB: layout, colours, mean and deviation."""
    batch = np.stack(pictures).astype(np.float32)
    if facts.colour == "BGR":
        batch = batch[..., ::-1]
    if facts.mean != (0.0, 0.0, 0.0):
        batch = batch - np.array(facts.mean, np.float32)
    if facts.deviation != (1.0, 1.0, 1.0):
        batch = batch / np.array(facts.deviation, np.float32)
    if facts.layout == "NCHW":
        batch = batch.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(batch, np.float32)


class NetworkFile:
    """A network's file, opened once for a process; `network` gives a stream what it needs of its own.

    path: ONNX, or for OpenCV also a Caffe model with its `structure` (prototxt). outputs: those wanted, by name.
    Raises BadSettings for a file that the runtime cannot read, and where the runtime is not installed.
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
            raise BadSettings(str(path), f"{error.name} is not installed: the extra [pose] holds it") from error
        except (RuntimeError, cv2.error, ValueError) as error:
            raise BadSettings(str(path), f"{runtime} cannot read this network: {_first_line(error)}") from error
        self._make: Callable[[tuple[int, ...]], Network] = opened

    def network(self, shape: tuple[int, ...]) -> Network:
        """For inputs of this shape. Raises BadSettings where the network takes no such input."""
        try:
            with self._lock:
                return self._make(shape)
        except (RuntimeError, cv2.error) as error:
            told = "x".join(map(str, shape))
            raise BadSettings(str(self.path), f"takes no input of {told}: {_first_line(error)}") from error

    def _openvino(self) -> Callable[[tuple[int, ...]], Network]:
        core = openvino_core()
        model = core.read_model(self.path)
        _check_outputs(self.path, [name for output in model.outputs for name in output.names], self._outputs)
        compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()

        def make(shape: tuple[int, ...]) -> Network:
            if shape not in compiled:
                # A fixed size lets the compiler plan, and is twice as fast as a size that may change.
                sized = model.clone()
                sized.reshape(list(shape))
                hints = {"INFERENCE_NUM_THREADS": self._threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
                compiled[shape] = core.compile_model(sized, "CPU", hints)
            compiled.move_to_end(shape)
            while len(compiled) > _COMPILED_SIZES:
                compiled.popitem(last=False)
            return _OpenVinoNetwork(compiled[shape], self._outputs)

        return make

    def _onnxruntime(self) -> Callable[[tuple[int, ...]], Network]:
        onnxruntime = silent_libraries.onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common class of their own
            raise RuntimeError(str(error)) from error
        _check_outputs(self.path, [output.name for output in session.get_outputs()], self._outputs)
        return lambda shape: _OnnxNetwork(session, self._outputs)

    def _opencv(self) -> Callable[[tuple[int, ...]], Network]:
        files = (str(self.path),) if self._structure is None else (str(self.path), str(self._structure))
        self._read_net(files)  # a damaged file is told now

        # A net holds its own buffers: every stream has one.
        return lambda shape: _OpenCvNetwork(self._read_net(files), self._outputs)

    def _read_net(self, files: tuple[str, ...]) -> Any:
        net = cv2.dnn.readNet(*files)
        # OpenCV names layers; an ONNX output is the layer that makes it.
        _check_outputs(self.path, [*net.getLayerNames(), *net.getUnconnectedOutLayersNames()], self._outputs)
        return net


class _OpenVinoNetwork:
    def __init__(self, compiled: Any, outputs: Sequence[str]) -> None:
        self._request = compiled.create_infer_request()
        self._outputs = outputs

    def run(self, blob: Floats) -> Sequence[Floats]:
        self._request.infer([blob], share_inputs=True)
        # A request's outputs are overwritten by the next picture.
        return [np.array(self._request.get_tensor(name).data, np.float32) for name in self._outputs]


class _OnnxNetwork:
    def __init__(self, session: Any, outputs: Sequence[str]) -> None:
        self._session = session
        self._outputs = list(outputs)
        self._input = session.get_inputs()[0].name

    def run(self, blob: Floats) -> Sequence[Floats]:
        try:
            found = self._session.run(self._outputs, {self._input: blob})
        except Exception as error:  # as above; the network does not take what its card says
            raise RuntimeError(_first_line(error)) from error
        return [np.asarray(array) for array in found]


class _OpenCvNetwork:
    def __init__(self, net: Any, outputs: Sequence[str]) -> None:
        self._net = net
        self._outputs = list(outputs)

    def run(self, blob: Floats) -> Sequence[Floats]:
        self._net.setInput(blob)
        return [np.array(array, np.float32) for array in self._net.forward(self._outputs)]


def _check_outputs(path: Path, given: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in given]
    if missing:
        raise BadSettings(str(path), f"has no output {missing[0]!r}; it has {', '.join(given[-8:])}")


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
