"""What a GPU is given for the requests of several sessions that Triton gathered. The device is a fake."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from motion.frame import Picture
from services.generator import actor_network
from services.generator.triton.model_repository import EngineOptions, config_pbtxt
from serving.actors.store import ActorStore
from serving.inference.precision import Device
from tests.tiny_actors import SIDE_PX, publish_tiny
from tests.unit.services.generator.fake_triton import FakeTensor, fake_pb_utils


class FakeDevice:
    """An engine that blends each item's own pictures, and records the batches that it is given."""

    precision = "bf16"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, *pictures: Picture) -> Picture:
        """See `serving.inference.engine.PictureEngine`."""
        return self.run_batch([pictures])[0]

    def run_batch(self, items: Sequence[Sequence[Picture]]) -> list[Picture]:
        """See `serving.inference.engine.PictureEngine`."""
        self.batches.append(len(items))
        return [label_map // 2 + previous // 4 for label_map, previous in items]

    def run_all(self, items: Sequence[Sequence[Picture]]) -> list[tuple[Picture, ...]]:
        """See `serving.inference.engine.PictureEngine`."""
        return [(picture,) for picture in self.run_batch(items)]


@dataclass
class SessionRequest:
    """One session's request for its next picture."""

    label_map: Picture
    previous: Picture
    cancelled: bool = False

    @classmethod
    def of(cls, session: int) -> SessionRequest:
        """Return a request with pictures of the session's own."""
        noise = np.random.default_rng(session).integers(0, 256, (2, 1, SIDE_PX, SIDE_PX, 3)).astype(np.uint8)
        return cls(noise[0], noise[1])

    def is_cancelled(self) -> bool:
        """Whether the session is gone."""
        return self.cancelled

    def requested_output_names(self) -> list[str]:
        """What a session asks for."""
        return ["FRAME", "COMPUTE_SECONDS"]

    def tensor(self, name: str) -> FakeTensor | None:
        """The input of that name; None if it was not sent."""
        return {
            "LABEL_MAP": FakeTensor("LABEL_MAP", self.label_map),
            "PREVIOUS_FRAME": FakeTensor("PREVIOUS_FRAME", self.previous),
        }.get(name)


@dataclass
class Drawing:
    """A loaded model and its device."""

    model: Any
    device: FakeDevice


@pytest.fixture
def drawing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Load an actor as Triton does, from the configuration that the agent writes for a device."""
    device: Device = getattr(request, "param", "gpu")
    actors = tmp_path / "actors"
    (tmp_path / "parts").mkdir()
    actor = publish_tiny(ActorStore(actors), tmp_path / "parts", "anna")
    written = config_pbtxt(actor.id, [actor.version], actors, EngineOptions(device=device))
    config = text_format.Parse(written, model_config_pb2.ModelConfig())
    parameters = {key: {"string_value": value.string_value} for key, value in config.parameters.items()}
    fake = FakeDevice()

    def open_engine(model_path: Path, **options: Any) -> FakeDevice:
        assert (model_path, options["device"]) == (actor.generator_path, device)
        return fake

    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake_pb_utils())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(actor_network, "open_engine", open_engine)
    monkeypatch.delitem(sys.modules, "services.generator.model", raising=False)
    model = importlib.import_module("services.generator.model").TritonPythonModel()
    model.initialize(
        {
            "model_name": actor.id,
            "model_version": str(actor.version),
            "model_config": json.dumps({"parameters": parameters}),
            "model_instance_device_id": "0",
        }
    )
    fake.batches.clear()  # the warm-up
    yield Drawing(model, fake)
    sys.modules.pop("services.generator.model", None)


def test_requests_of_several_sessions_are_one_batch(drawing: Drawing):
    """The device runs once for all of them, and each session gets the bytes that it gets alone."""
    requests = [SessionRequest.of(session) for session in range(4)]
    alone = [drawing.model.execute([request])[0].outputs["FRAME"] for request in requests]
    drawing.device.batches.clear()
    together = drawing.model.execute(requests)
    assert drawing.device.batches == [4]
    for before, response in zip(alone, together, strict=True):
        np.testing.assert_array_equal(response.outputs["FRAME"], before)
    assert len({response.outputs["FRAME"].tobytes() for response in together}) == 4


def test_a_session_that_is_gone_moves_no_answer(drawing: Drawing):
    """A cancelled request is left out of the batch; the others keep their own pictures."""
    requests = [SessionRequest.of(session) for session in range(3)]
    requests[1].cancelled = True
    first, gone, last = drawing.model.execute(requests)
    assert drawing.device.batches == [2]
    assert gone.error.code == "cancelled"
    for request, response in ((requests[0], first), (requests[2], last)):
        np.testing.assert_array_equal(response.outputs["FRAME"], request.label_map // 2 + request.previous // 4)


def test_the_sessions_of_a_batch_share_its_time(drawing: Drawing):
    """Each answer reports an equal share, so that the sum is what the device spent."""
    responses = drawing.model.execute([SessionRequest.of(session) for session in range(4)])
    shares = {float(response.outputs["COMPUTE_SECONDS"].item()) for response in responses}
    assert len(shares) == 1


@pytest.mark.parametrize("drawing", ["cpu"], indirect=True)
def test_a_cpu_runs_one_session_after_the_other(drawing: Drawing):
    """Requests that Triton passes on together still run one by one, so that no byte depends on another session."""
    drawing.model.execute([SessionRequest.of(session) for session in range(3)])
    assert drawing.device.batches == [1, 1, 1]
