"""MediaPipe's networks in OpenVINO: compiled once for a process, used by all of its streams.

Requests are asynchronous. Those of all streams go to one queue for each network, which runs as many at a time as there
are threads. They are not batched: on a CPU, OpenVINO takes as long for a batch of two or four as for the pictures one
by one (docs/decisions/0016-a-pose-engine-of-our-own.md).
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.pose_choice import PoseDetail
from services.pose.mediapipe import model_files
from services.pose.mediapipe.model_files import ModelFile
from serving.inference import silent_libraries
from serving.inference.engine import cpu_computes_bf16, openvino_core

Floats = NDArray[np.float32]
Outputs = Mapping[str, Floats]
"""A network's outputs by their name in its file."""

_log = logging.getLogger(__name__)
_PIXEL_RANGE: Final = 255.0


def sigmoid(logits: Floats) -> Floats:
    """Return the logistic function of each value."""
    with np.errstate(over="ignore"):  # the limit for a large negative logit is right
        return np.asarray(1 / (1 + np.exp(-logits)))


class SharedNetwork:
    """One compiled network with a queue of requests. Thread-safe.

    outputs: the outputs that are used. The compiler leaves out what only the others need. symmetric: the network's
    input is -1 to 1; otherwise it is 0 to 1. threads: how many requests run at a time, each in one thread.
    """

    def __init__(self, path: Path, outputs: tuple[str, ...], *, symmetric: bool, threads: int, precision: str) -> None:
        openvino = silent_libraries.openvino()
        model = openvino_core().read_model(path)
        for result in model.get_results():
            if not result.input_value(0).names.intersection(outputs):
                model.remove_result(result)
        self.side_px = int(model.inputs[0].shape[1])
        prepared = openvino.preprocess.PrePostProcessor(model)
        prepared.input().tensor().set_element_type(openvino.Type.u8)
        steps = prepared.input().preprocess().convert_element_type(openvino.Type.f32)
        if symmetric:
            steps.mean(_PIXEL_RANGE / 2).scale(_PIXEL_RANGE / 2)
        else:
            steps.scale(_PIXEL_RANGE)
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
        }
        self._tensor = openvino.Tensor
        self._outputs = outputs
        self._compiled = openvino_core().compile_model(prepared.build(), "CPU", options)
        self._queue = openvino.AsyncInferQueue(self._compiled, threads)
        self._starting = threading.Lock()  # two threads that start at once would get each other's answers
        self._queue.set_callback(self._done)
        # An answer that arrives while the interpreter shuts down would abort the process.
        atexit.register(self._queue.wait_all)
        self.run(np.zeros((self.side_px, self.side_px, 3), np.uint8))  # the first run allocates its memory

    def start(self, crop: Picture) -> Future[Outputs]:
        """Run the network on `crop`, `[side_px, side_px, 3]` uint8 RGB. Waits while all threads are busy."""
        answer: Future[Outputs] = Future()
        # The crop travels with the request, which reads its pixels in place.
        with self._starting:
            self._queue.start_async({0: self._tensor(crop[None], shared_memory=True)}, (answer, crop))
        return answer

    def run(self, crop: Picture) -> Outputs:
        """Like `start`, and wait for the outputs."""
        return self.start(crop).result()

    def _done(self, request: Any, with_request: tuple[Future[Outputs], Picture]) -> None:
        answer, _ = with_request
        try:
            # Copied, because the next request overwrites them.
            answer.set_result({name: np.array(request.get_tensor(name).data, np.float32) for name in self._outputs})
        except Exception as error:  # raised where the answer is awaited
            answer.set_exception(error)


class PoseNetworks:
    """MediaPipe's networks, each compiled when it is first used. Thread-safe.

    threads: how many requests each of them runs at a time. precision: the actual precision of the arithmetic, "bf16" or
    "f32".
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self.threads = threads
        self.precision = "bf16" if cpu_computes_bf16() else "f32"
        _log.info("MediaPipe's networks run in OpenVINO, in %s", self.precision)
        self._folder = folder
        self._lock = threading.Lock()
        self._compiled: dict[str, SharedNetwork] = {}

    def prepare(self, detail: PoseDetail, *, with_mask: bool) -> None:
        """Compile what an estimator of this detail uses, so that no picture has to wait for it."""
        names = ["person_detector", "body_and_mask" if with_mask else "body"]
        if detail is not PoseDetail.BODY:
            names += ["hand_recrop", "hand", "face_detector", "face"]
        for name in names:
            getattr(self, name)  # compiles it

    @property
    def person_detector(self) -> SharedNetwork:
        """Finds people in a whole picture."""
        outputs = ("Identity", "Identity_1")
        return self._network("person_detector", model_files.POSE_DETECTION, outputs, symmetric=True)

    @property
    def body(self) -> SharedNetwork:
        """Finds a body's landmarks in a crop around it."""
        return self._network("body", model_files.POSE_LANDMARK, ("Identity", "Identity_1", "Identity_3"))

    @property
    def body_and_mask(self) -> SharedNetwork:
        """Like `body`, with the person's mask, which takes half as much time again."""
        outputs = ("Identity", "Identity_1", "Identity_2", "Identity_3")
        return self._network("body_and_mask", model_files.POSE_LANDMARK, outputs)

    @property
    def hand_recrop(self) -> SharedNetwork:
        """Finds the exact place of a hand in a crop around it."""
        return self._network("hand_recrop", model_files.HAND_RECROP, ("output_crop",))

    @property
    def hand(self) -> SharedNetwork:
        """Finds a hand's landmarks."""
        return self._network("hand", model_files.HAND_LANDMARK, ("Identity", "Identity_1"))

    @property
    def face_detector(self) -> SharedNetwork:
        """Finds the exact place of a face in a crop around a head."""
        outputs = ("regressors", "classificators")
        return self._network("face_detector", model_files.FACE_DETECTION, outputs, symmetric=True)

    @property
    def face(self) -> SharedNetwork:
        """Finds a face's landmarks."""
        return self._network("face", model_files.FACE_LANDMARK, ("conv2d_21", "conv2d_31"))

    def _network(
        self, name: str, file: ModelFile, outputs: tuple[str, ...], *, symmetric: bool = False
    ) -> SharedNetwork:
        network = self._compiled.get(name)
        if network is None:
            with self._lock:
                if name not in self._compiled:
                    self._compiled[name] = SharedNetwork(
                        self._folder / file.path,
                        outputs,
                        symmetric=symmetric,
                        threads=self.threads,
                        precision=self.precision,
                    )
                network = self._compiled[name]
        return network


def pose_networks(threads: int = 0) -> PoseNetworks:
    """Return the process's networks. Raises BadSettings without their files.

    threads: how many requests each network runs at a time; 0 for one on each core of this process.
    """
    return _networks(threads or len(os.sched_getaffinity(0)))


@cache
def _networks(threads: int) -> PoseNetworks:
    return PoseNetworks(model_files.models_folder(), threads)
