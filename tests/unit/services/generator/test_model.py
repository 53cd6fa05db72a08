"""The model that Triton runs, with a fake of Triton's own module."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from motion.crop import Crop
from services.generator.actor_network import Painted, Painter
from services.generator.sizes import SizedPainters, SizeNotReady
from serving.actors.store import NetworkShape
from serving.errors import ActorUnusable, BadInput, BadPicture
from tests.unit.services.generator.fake_triton import FakeTensor, fake_pb_utils

SIDE_PX = 4


@dataclass
class FakeRequest:
    """A request with inputs of `count` pictures. reference_count: None for a request without a reference."""

    side_px: int = SIDE_PX
    count: int = 1
    previous_count: int | None = None
    reference_count: int | None = None
    cancelled: bool = False
    asked: list[str] = field(default_factory=lambda: ["FRAME", "COMPUTE_SECONDS"])

    def is_cancelled(self) -> bool:
        """Whether the caller cancelled."""
        return self.cancelled

    def requested_output_names(self) -> list[str]:
        """The outputs that the caller requests."""
        return self.asked

    def tensor(self, name: str) -> FakeTensor | None:
        """The input of that name; None if it was not sent."""
        if name == "REFERENCE":
            sent = self.reference_count
            return FakeTensor(name, np.full((sent, self.side_px, self.side_px, 4), 7, np.uint8)) if sent else None
        previous = self.count if self.previous_count is None else self.previous_count
        count = self.count if name == "LABEL_MAP" else previous
        return FakeTensor(name, np.full((count, self.side_px, self.side_px, 3), 7, np.uint8))


class FakePainter:
    """Returns the label map, or fails."""

    precision = "bf16"
    fails = False
    reference = False
    draws_person = False

    def check(self, name: str, picture: np.ndarray[Any, Any]) -> None:
        """See `Painter.check`."""
        if picture.shape[:2] != (SIDE_PX, SIDE_PX):
            raise BadPicture(name, "is of another size")

    def check_names(self, given: Set[str]) -> None:
        """See `Painter.check_names`."""
        if "REFERENCE" in given and not self.reference:
            raise BadInput("REFERENCE", "was sent")

    def paint(self, items: list[Any], *, with_person: bool) -> list[Painted]:
        """See `Painter.paint`; the reference comes back as the person."""
        if self.fails:
            raise ActorUnusable("the network fell ill")
        return [Painted(label_map, 0.25, *(rest[1:] if with_person else ())) for label_map, *rest in items]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """An initialised `TritonPythonModel` with a fake painter; `model.opened` has the painter's arguments."""
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake_pb_utils())
    monkeypatch.delitem(sys.modules, "services.generator.model", raising=False)
    module = importlib.import_module("services.generator.model")
    opened: dict[str, Any] = {}

    def opening(actor: Any, **options: object) -> FakePainter:
        opened.update(actor=actor.found, **options)
        return FakePainter()

    def load(store: Any, name: str, version: int) -> Any:
        crop, shape = Crop(0, 0, SIDE_PX, SIDE_PX, SIDE_PX, SIDE_PX), NetworkShape(1, 0, 0)
        return SimpleNamespace(found=(store.root, name, version), crop=crop, generator=shape)

    monkeypatch.setattr(Painter, "open", opening)
    monkeypatch.setattr(module.ActorStore, "load", load)
    model = module.TritonPythonModel()
    model.initialize(arguments(tmp_path))
    model.opened = opened
    yield model
    sys.modules.pop("services.generator.model", None)


def arguments(actors_root: Path) -> dict[str, str]:
    """The arguments that the stub passes to `initialize`."""
    parameters = {"actors_root": str(actors_root), "device": "cpu", "threads": "2", "precision": "auto"}
    config = {"parameters": {key: {"string_value": value} for key, value in parameters.items()}}
    return {"model_name": "a", "model_version": "3", "model_config": json.dumps(config)}


def test_the_configuration_says_what_is_loaded(model: Any, tmp_path: Path):
    """Actor, version, folder and engine come from Triton's arguments and the model's parameters."""
    engine = {"device": "cpu", "threads": 2, "precision": "auto", "size": None}
    assert model.opened == {"actor": (tmp_path, "a", 3), **engine}


def test_an_unusable_actor_fails_to_load_by_name(model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Triton gets an exception whose text begins with our error's name, which the agent searches for."""

    def refuse(*_: object, **__: object) -> None:
        raise ActorUnusable("another label-map version")

    monkeypatch.setattr(Painter, "open", refuse)
    with pytest.raises(Exception, match=r"^ActorUnusable: another label-map version$"):
        model.initialize(arguments(tmp_path))


@pytest.mark.parametrize(
    ("visible", "device", "seen"), [(None, 1, "1"), ("", 0, "0"), ("4,7", 1, "7"), ("MIG-a,MIG-b", 0, "MIG-a")]
)
def test_an_instance_computes_on_the_gpu_that_triton_gave_it(
    model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, visible: str | None, device: int, seen: str
):
    """Triton numbers the devices that it sees; the instance's process sees only its own."""
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    told = arguments(tmp_path)
    told["model_config"] = told["model_config"].replace('"cpu"', '"gpu"')
    model.initialize({**told, "model_instance_device_id": str(device)})
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)  # so that it is undone


def test_responses_contain_the_requested_outputs(model: Any):
    """Each request gets one response, in order, with all of its items; the precision only if requested."""
    first, second = model.execute([FakeRequest(count=2), FakeRequest(asked=["FRAME", "PRECISION"])])
    assert set(first.outputs) == {"FRAME", "COMPUTE_SECONDS"}
    assert first.outputs["FRAME"].shape == (2, SIDE_PX, SIDE_PX, 3)
    np.testing.assert_array_equal(first.outputs["COMPUTE_SECONDS"], [[0.25], [0.25]])
    assert set(second.outputs) == {"FRAME", "PRECISION"}
    assert second.outputs["PRECISION"].tolist() == [[b"bf16"]]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (FakeRequest(side_px=5), "invalid"),
        (FakeRequest(count=0), "invalid"),
        (FakeRequest(count=2, previous_count=1), "invalid"),
        (FakeRequest(reference_count=1), "invalid"),
        (FakeRequest(cancelled=True), "cancelled"),
    ],
)
def test_a_bad_request_is_answered_alone(model: Any, bad: FakeRequest, code: str):
    """An invalid request gets its own error and is not drawn; the others in the batch are."""
    before, refused, after = model.execute([FakeRequest(), bad, FakeRequest()])
    assert refused.error.code == code
    assert before.error is after.error is None
    assert before.outputs["FRAME"].shape == after.outputs["FRAME"].shape == (1, SIDE_PX, SIDE_PX, 3)
    (alone,) = model.execute([bad])
    assert alone.error.code == code


def test_a_size_that_is_not_ready_can_be_asked_for_again(model: Any, monkeypatch: pytest.MonkeyPatch):
    """Its request is UNAVAILABLE; one for the own size in the same batch is drawn."""

    def of(painters: Any, width_px: int, height_px: int) -> Any:
        if width_px == 2 * SIDE_PX:
            raise SizeNotReady("the network is being compiled")
        return painters.own

    monkeypatch.setattr(SizedPainters, "of", of)
    refused, drawn = model.execute([FakeRequest(side_px=2 * SIDE_PX), FakeRequest()])
    assert refused.error.code == "unavailable"
    assert drawn.error is None


def test_a_failing_network_is_an_error_for_each(model: Any, monkeypatch: pytest.MonkeyPatch):
    """Every request of the batch gets the error, and the stub stays alive."""
    monkeypatch.setattr(FakePainter, "fails", True)
    responses = model.execute([FakeRequest(), FakeRequest()])
    assert [(r.error.code, r.error.message) for r in responses] == [("internal", "the network fell ill")] * 2


def test_the_person_is_returned_if_requested_and_drawn(model: Any, monkeypatch: pytest.MonkeyPatch):
    """Versions with a wardrobe return it on request. Others leave it out, and the rest of the answer is complete."""
    asked = ["FRAME", "PERSON"]
    (without,) = model.execute([FakeRequest(asked=asked)])
    assert set(without.outputs) == {"FRAME"}
    monkeypatch.setattr(FakePainter, "reference", True)
    monkeypatch.setattr(FakePainter, "draws_person", True)
    drawn, not_asked = model.execute([FakeRequest(reference_count=1, asked=asked), FakeRequest(reference_count=1)])
    assert drawn.outputs["PERSON"].shape == (1, SIDE_PX, SIDE_PX, 4)
    assert set(not_asked.outputs) == {"FRAME", "COMPUTE_SECONDS"}


def test_versions_with_a_wardrobe_take_as_many_references_as_label_maps(model: Any, monkeypatch: pytest.MonkeyPatch):
    """A request with references is drawn; one with too few of them is refused."""
    monkeypatch.setattr(FakePainter, "reference", True)
    drawn, refused = model.execute([FakeRequest(count=2, reference_count=2), FakeRequest(count=2, reference_count=1)])
    assert drawn.outputs["FRAME"].shape == (2, SIDE_PX, SIDE_PX, 3)
    assert refused.error.message == "REFERENCE: has 1 pictures, LABEL_MAP 2; expected the same number"
