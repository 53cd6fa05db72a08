"""What does upsampling by a transposed convolution save? (`serving.inference.upsampling`)

Draws with an actor's network twice, as its file is and as the CPU engine changes it, in turns, and compares CPU time
and pictures. The previous picture is noise, so that pictures differ by the networks alone.

`python -m benchmarks.upsampling`
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.cases import SAMPLES
from benchmarks.table import header, row
from services.generator.inputs import input_shapes
from serving.actors.store import ActorStore
from serving.inference.engine import openvino_core
from serving.inference.upsampling import transpose_upsampling

_UNMEASURED = 3


def main(
    actor: Annotated[str, typer.Option(help="The actor whose network draws.")] = "sample",
    actors: Annotated[Path, typer.Option(help="Folder of the actors.")] = SAMPLES / "actors",
    threads: Annotated[int, typer.Option(min=1, help="Threads of OpenVINO.")] = 2,
    frames: Annotated[int, typer.Option(min=1, help="How many pictures each network draws.")] = 20,
) -> None:
    """Print a row for each network."""
    loaded = ActorStore(actors).load(actor)
    noise = np.random.default_rng(0)
    inputs = [noise.integers(0, 256, (1, *shape), np.uint8) for shape in input_shapes(loaded).values()]
    core = openvino_core()
    model = core.read_model(loaded.generator_path)
    model.reshape({i: list(picture.shape) for i, picture in zip(model.inputs, inputs, strict=True)})
    for result in model.get_results()[1:]:
        model.remove_result(result)
    changed = model.clone()
    replaced = transpose_upsampling(changed)
    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    compiled = [core.compile_model(one, "CPU", options) for one in (model, changed)]
    precision = compiled[0].get_property("INFERENCE_PRECISION_HINT").to_string()
    requests = [one.create_infer_request() for one in compiled]

    cpu_ms: tuple[list[float], list[float]] = ([], [])
    pictures: list[Any] = [None, None]
    for turn in range(_UNMEASURED + frames):
        for i, request in enumerate(requests):
            started = time.process_time()
            pictures[i] = request.infer(inputs, share_inputs=True)[0]
            if turn >= _UNMEASURED:
                cpu_ms[i].append((time.process_time() - started) * 1000)
    levels = np.abs(pictures[0].astype(np.int16) - pictures[1])

    print(f"{loaded.id}, {frames} pictures each, {precision}, {threads} threads; {replaced} layers change\n")
    print(header("network", "CPU ms, median", "beside the file's", "pictures differ"))
    before, after = (statistics.median(ms) for ms in cpu_ms)
    print(row("as in its file", f"{before:.0f}", "1.00", ""))
    differ = f"{np.mean(levels > 0):.1e} of the values, by at most {levels.max()}"
    print(row("transposed", f"{after:.0f}", f"{after / before:.2f}", differ))


if __name__ == "__main__":
    typer.run(main)
