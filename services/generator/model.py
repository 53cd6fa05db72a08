"""The model that Triton's Python backend runs, in a separate process for each version of each actor.

An actor's `model.py` in Triton's repository imports `TritonPythonModel` from here. Its settings are the parameters in
its config.pbtxt; `services.generator.triton.model_repository` writes both files.

Inputs: `LABEL_MAP` and `PREVIOUS_FRAME`, uint8 `[N, H, W, 3]` RGB of the crop's size; and `REFERENCE`, uint8
`[N, H, W, 4]`, for versions with a wardrobe and only for those. These also draw smaller pictures, after a first request
for them that is UNAVAILABLE while the network is compiled. Outputs: `FRAME`, uint8 `[N, H, W, 3]` RGB; `PERSON`,
uint8 `[N, H, W, 4]`, premultiplied RGB and opacity of the person alone, of versions with a wardrobe; `COMPUTE_SECONDS`,
float64 `[N, 1]`, the time spent on each item, without waiting; `PRECISION`, bytes `[N, 1]`, the precision that was
actually used. Only requested outputs are computed and sent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from motion.frame import FrameSize
from services.generator.actor_network import Painted, Painter
from services.generator.inputs import INPUT_NAMES, Inputs
from services.generator.sizes import SizedPainters, SizeNotReady
from serving.actors.store import ActorStore
from serving.errors import BadInput, DanceError


class TritonPythonModel:
    """One version of one actor. Triton's stub calls the methods, one at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the actor and draw a first picture. Raises TritonModelException, which starts with our error's name."""
        _close_shared_memory()
        parameters = {
            key: value["string_value"] for key, value in json.loads(args["model_config"])["parameters"].items()
        }
        if parameters["device"] == "gpu":
            _see_only(int(args["model_instance_device_id"]))
        try:
            actor = ActorStore(Path(parameters["actors_root"])).load(args["model_name"], int(args["model_version"]))

            def opened(size: FrameSize | None) -> Painter:
                return Painter.open(
                    actor,
                    device=parameters["device"],
                    threads=int(parameters["threads"]),
                    precision=parameters["precision"],
                    size=size,
                )

            self._painters = SizedPainters(actor, opened, at_once=parameters["device"] == "gpu")
        except DanceError as error:
            raise pb_utils.TritonModelException(f"{type(error).__name__}: {error}") from error

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response per request. An invalid request gets its own error and does not affect the others."""
        responses: list[Any] = [None] * len(requests)
        accepted: dict[Painter, list[tuple[int, list[Inputs]]]] = {}
        for place, request in enumerate(requests):
            if request.is_cancelled():
                responses[place] = _refusal("the request was cancelled", pb_utils.TritonError.CANCELLED)
                continue
            try:
                painter, items = self._items(request)
                accepted.setdefault(painter, []).append((place, items))
            except BadInput as error:
                responses[place] = _refusal(str(error), pb_utils.TritonError.INVALID_ARG)
            except SizeNotReady as error:
                responses[place] = _refusal(str(error), pb_utils.TritonError.UNAVAILABLE)
            except DanceError as error:
                responses[place] = _refusal(str(error), pb_utils.TritonError.INTERNAL)
        for painter, group in accepted.items():
            for place, response in self._drawn(painter, requests, group):
                responses[place] = response
        return responses

    def _drawn(
        self, painter: Painter, requests: list[Any], group: list[tuple[int, list[Inputs]]]
    ) -> list[tuple[int, Any]]:
        """Draw the items of requests for pictures of one size, and return each one's response with its place."""
        try:
            asked = any("PERSON" in requests[place].requested_output_names() for place, _ in group)
            with_person = asked and painter.draws_person
            drawn = painter.paint([item for _, items in group for item in items], with_person=with_person)
        except DanceError as error:
            return [(place, _refusal(str(error), pb_utils.TritonError.INTERNAL)) for place, _ in group]
        painted = iter(drawn)
        return [
            (place, self._response(painter, requests[place], [next(painted) for _ in items])) for place, items in group
        ]

    def _items(self, request: Any) -> tuple[Painter, list[Inputs]]:
        """Return the painter of a request's pictures, and the pictures of each item.

        Raises BadInput, SizeNotReady, and ActorUnusable if the network cannot be compiled for their size.
        """
        tensors = {name: pb_utils.get_input_tensor_by_name(request, name) for name in INPUT_NAMES}
        given = {name: tensor.as_numpy() for name, tensor in tensors.items() if tensor is not None}
        self._painters.own.check_names(given.keys())
        count = len(given["LABEL_MAP"])
        for name, pictures in given.items():
            if len(pictures) != count or count == 0:
                problem = f"has {len(pictures)} pictures, LABEL_MAP {count}; expected the same number"
                raise BadInput(name, problem)
        height_px, width_px = given["LABEL_MAP"].shape[1:3]
        painter = self._painters.of(width_px, height_px)
        for name, pictures in given.items():
            for picture in pictures:
                painter.check(name, picture)
        return painter, list(zip(*given.values(), strict=True))

    def _response(self, painter: Painter, request: Any, painted: list[Painted]) -> Any:
        outputs: dict[str, Callable[[], NDArray[Any]]] = {
            "FRAME": lambda: np.stack([item.frame for item in painted]),
            "PERSON": lambda: np.stack([item.person for item in painted if item.person is not None]),
            "COMPUTE_SECONDS": lambda: np.array([[item.compute_seconds] for item in painted], np.float64),
            "PRECISION": lambda: np.array([[painter.precision.encode()]] * len(painted), np.object_),
        }
        requested = set(request.requested_output_names())
        if not painter.draws_person:
            requested.discard("PERSON")  # a request that names no output asks for all of them
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, make()) for name, make in outputs.items() if name in requested]
        )


def _close_shared_memory() -> None:
    """Make the shared memory that pictures pass through private to this user. Triton creates it world-readable."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        mapped = line.partition("/dev/shm/")
        if mapped[1] and Path(mapped[1] + mapped[2]).exists():
            Path(mapped[1] + mapped[2]).chmod(0o600)


def _see_only(device: int) -> None:
    """Hide all GPUs but one of those that Triton sees. CUDA reads the variable at torch's first call."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(device + 1)]
    os.environ["CUDA_VISIBLE_DEVICES"] = names[device]


def _refusal(message: str, code: Any) -> Any:
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message, code))
