"""Triton's model repository: one entry for each actor to load, written for this machine's hardware.

    <root>/<actor>/config.pbtxt
    <root>/<actor>/<version>/model.py

Entries contain no weights: the model reads them from the actors' folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serving.inference.batch_sizes import BATCH_SIZES
from serving.inference.precision import Device, Precision
from serving.process.atomic_files import written_whole

MAX_BATCH_SIZE: Final = BATCH_SIZES[-1]
MAX_WAITING: Final = 64
"""Requests in one actor's queue on a GPU; further requests are rejected."""

_MODEL_PY: Final = """\
from services.generator.model import TritonPythonModel

__all__ = ["TritonPythonModel"]
"""

# The pictures' sides are not fixed: versions of one actor may have crops of different sizes, and the model checks them
# with a clearer message. For the same reason REFERENCE is optional: some versions of an actor may have a wardrobe, and
# the model refuses a request without it, or with one that the version does not take.
_CONFIG_PBTXT: Final = """\
name: {name}
backend: "python"
max_batch_size: {max_batch_size}
input [
  {{ name: "LABEL_MAP" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }},
  {{ name: "PREVIOUS_FRAME" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }},
  {{ name: "REFERENCE" data_type: TYPE_UINT8 dims: [ -1, -1, 4 ] optional: true }}
]
output [
  {{ name: "FRAME" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }},
  {{ name: "PERSON" data_type: TYPE_UINT8 dims: [ -1, -1, 4 ] }},
  {{ name: "COMPUTE_SECONDS" data_type: TYPE_FP64 dims: [ 1 ] }},
  {{ name: "PRECISION" data_type: TYPE_STRING dims: [ 1 ] }}
]
{batching}instance_group [ {{ kind: {kind} count: 1 }} ]
version_policy {{ specific {{ versions: [ {versions} ] }} }}
{parameters}"""


# Only a GPU gains from batches. On a CPU, Triton's batcher even costs: on busy cores it misses the wake-up of a request
# that arrives just as the previous one is answered, and finds it only 500 ms later (one request in ten, measured with
# 2.51). Without it, requests go straight to the instance.
#
# On a GPU the requests that wait while it draws become one batch, whichever sessions they come from: the queue belongs
# to the actor, since the actor is the model. The preferred sizes are those that the engine has recorded: of three that
# wait, two are drawn at once and one next, because the engine would draw three as four. There is no queue delay: it
# would add to the latency of a single stream.
_BATCHING: Final = (
    f"dynamic_batching {{ preferred_batch_size: [ {', '.join(map(str, BATCH_SIZES[1:]))} ] "
    f"max_queue_delay_microseconds: 0 default_queue_policy {{ max_queue_size: {MAX_WAITING} }} }}\n"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """How the models run their networks. threads, precision: see `serving.inference.engine.open_engine`."""

    device: Device = "cpu"
    threads: int = 2
    precision: Precision = "auto"


class ModelRepository:
    """Writes the entries below `root`, each file atomically."""

    def __init__(self, root: Path, actors_root: Path, engine: EngineOptions) -> None:
        self.root = root
        self._actors_root = actors_root
        self._engine = engine

    def write(self, actor_id: str, versions: Sequence[int]) -> None:
        """Write the entry so that Triton's next load of the actor serves `versions`."""
        folder = self.root / actor_id
        for version in versions:
            (folder / str(version)).mkdir(parents=True, exist_ok=True)
            _replace(folder / str(version) / "model.py", _MODEL_PY)
        _replace(folder / "config.pbtxt", config_pbtxt(actor_id, versions, self._actors_root, self._engine))

    def remove(self, actor_id: str) -> None:
        """Remove the actor's entry, if it exists."""
        shutil.rmtree(self.root / actor_id, ignore_errors=True)


def config_pbtxt(actor_id: str, versions: Sequence[int], actors_root: Path, engine: EngineOptions) -> str:
    """Return Triton's complete configuration of one actor: Triton's auto-complete is off."""
    parameters = {
        "actors_root": str(actors_root.absolute()),
        "device": engine.device,
        "threads": str(engine.threads),
        "precision": engine.precision,
    }
    return _CONFIG_PBTXT.format(
        name=_quoted(actor_id),
        max_batch_size=MAX_BATCH_SIZE,
        batching="" if engine.device == "cpu" else _BATCHING,
        kind="KIND_CPU" if engine.device == "cpu" else "KIND_GPU",
        versions=", ".join(map(str, sorted(versions))),
        parameters="".join(
            f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}\n"
            for key, value in parameters.items()
        ),
    )


def _quoted(text: str) -> str:
    # Protobuf's text format has the same escapes as JSON with unescaped UTF-8.
    return json.dumps(text, ensure_ascii=False)


def _replace(path: Path, text: str) -> None:
    with written_whole(path) as partial:
        partial.write_text(text)
