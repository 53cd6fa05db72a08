"""The model repository that the agent writes for Triton."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from services.generator.triton.model_repository import (
    MAX_BATCH_SIZE,
    MAX_WAITING,
    EngineOptions,
    ModelRepository,
    config_pbtxt,
)
from serving.inference.batch_sizes import BATCH_SIZES


def parsed(text: str) -> model_config_pb2.ModelConfig:
    """Parse the configuration the way Triton does."""
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("name", ["plain", 'wéird "quoted" \\ folder'])
def test_the_configuration_is_the_contract(tmp_path: Path, name: str):
    """Names, types and batch size match the contract; any folder name can be quoted."""
    config = parsed(config_pbtxt("juggler", [3, 1], tmp_path / name, EngineOptions(threads=4, precision="bf16")))
    assert (config.name, config.backend, config.max_batch_size) == ("juggler", "python", MAX_BATCH_SIZE)
    assert [(i.name, model_config_pb2.DataType.Name(i.data_type)) for i in config.input] == [
        ("LABEL_MAP", "TYPE_UINT8"),
        ("PREVIOUS_FRAME", "TYPE_UINT8"),
        ("REFERENCE", "TYPE_UINT8"),
    ]
    assert [list(i.dims) for i in config.input] == [[-1, -1, 3], [-1, -1, 3], [-1, -1, 4]]
    assert [i.name for i in config.input if i.optional] == ["REFERENCE"]
    assert [(o.name, model_config_pb2.DataType.Name(o.data_type)) for o in config.output] == [
        ("FRAME", "TYPE_UINT8"),
        ("PERSON", "TYPE_UINT8"),
        ("COMPUTE_SECONDS", "TYPE_FP64"),
        ("PRECISION", "TYPE_STRING"),
    ]
    assert list(config.version_policy.specific.versions) == [1, 3]
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    folder = str((tmp_path / name).resolve())
    assert parameters == {"actors_root": folder, "device": "cpu", "threads": "4", "precision": "bf16"}


@pytest.mark.parametrize(("device", "kind"), [("cpu", "KIND_CPU"), ("gpu", "KIND_GPU")])
def test_the_device_decides_the_instance(tmp_path: Path, device: str, kind: str):
    """There is one instance, on the requested device."""
    config = parsed(config_pbtxt("a", [1], tmp_path, EngineOptions(device=device)))  # type: ignore[arg-type]
    (group,) = config.instance_group
    assert (model_config_pb2.ModelInstanceGroup.Kind.Name(group.kind), group.count) == (kind, 1)


def test_a_gpu_draws_what_waits_as_one_batch(tmp_path: Path):
    """Batches prefer the sizes that the engine is prepared for; no request waits for others; the queue is bounded."""
    batching = parsed(config_pbtxt("a", [1], tmp_path, EngineOptions(device="gpu"))).dynamic_batching
    assert tuple(batching.preferred_batch_size) == tuple(size for size in BATCH_SIZES if size > 1)
    assert max(batching.preferred_batch_size) == MAX_BATCH_SIZE
    assert batching.max_queue_delay_microseconds == 0
    assert batching.default_queue_policy.max_queue_size == MAX_WAITING


def test_a_cpu_has_no_batcher(tmp_path: Path):
    """A CPU draws one by one, and Triton's batcher would delay requests."""
    assert not parsed(config_pbtxt("a", [1], tmp_path, EngineOptions())).HasField("dynamic_batching")


def test_entries_are_written_over_and_removed(tmp_path: Path):
    """Writing again replaces the versions; each has a model.py; no partial files remain; removing is complete."""
    repository = ModelRepository(tmp_path / "repository", tmp_path / "actors", EngineOptions())
    repository.write("a", [1])
    repository.write("a", [1, 2])
    entry = tmp_path / "repository" / "a"
    files = sorted(path.relative_to(entry).as_posix() for path in entry.rglob("*") if path.is_file())
    assert files == ["1/model.py", "2/model.py", "config.pbtxt"]
    assert list(parsed((entry / "config.pbtxt").read_text()).version_policy.specific.versions) == [1, 2]
    assert "from services.generator.model import TritonPythonModel" in (entry / "1" / "model.py").read_text()
    repository.remove("a")
    repository.remove("a")
    assert not entry.exists()
