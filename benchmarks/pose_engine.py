"""What does a pose cost, beside the solution in MediaPipe's wheel with the same networks?

Both see every frame in turn, in one process, so that other work on the machine slows both. Prints a report in Markdown.
`python -m benchmarks.pose_engine --help`.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from statistics import fmean, median
from typing import Annotated

import av
import cv2
import numpy as np
import typer

from benchmarks import table
from benchmarks.cases import SAMPLES
from motion.frame import Picture
from motion.pose_choice import PoseBackend, PoseDetail
from services.pose.backends import EstimatorConfig, make_estimator
from services.pose.estimator import PeopleEstimator, PoseRules
from services.pose.mediapipe.networks import pose_networks

_NOT_COUNTED = 3
"""The first frames: networks are warm, but the person must be found."""


def main(
    clip: Annotated[Path, typer.Argument(help="A video.", exists=True)] = SAMPLES / "source_clip.mp4",
    frames: Annotated[int, typer.Option(min=10, help="Frames of it.")] = 100,
) -> None:
    """Compare the CPU time of a frame at every detail, and measure the first answer of a new stream."""
    cv2.setNumThreads(1)  # as in the pose service
    with av.open(str(clip)) as container:
        pictures = [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            for frame in islice(container.decode(video=0), frames)
        ]
    height_px, width_px = pictures[0].shape[:2]
    print(f"{clip.name}, {len(pictures)} frames of {width_px}x{height_px}, {pose_networks().precision}\n")
    print(table.header("detail", "solution: mean, median", "engine: mean, median", "ratio of means"))
    for detail in PoseDetail:
        solution, engine = _seconds(detail, pictures)
        cells = [f"{1000 * fmean(times):.1f}, {1000 * median(times):.1f} ms" for times in (solution, engine)]
        print(table.row(detail.value, *cells, f"{fmean(engine) / fmean(solution):.2f}"), flush=True)
    firsts = [_first_answer_seconds(pictures[index]) for index in range(0, len(pictures), len(pictures) // 10)]
    print(f"\nfirst answer of a new stream: median {1000 * median(firsts):.0f} ms, longest {1000 * max(firsts):.0f} ms")


def _seconds(detail: PoseDetail, pictures: list[Picture]) -> tuple[list[float], list[float]]:
    """Return the CPU seconds of each frame, of all threads, with the solution and with the engine."""
    times: tuple[list[float], list[float]] = ([], [])
    with ExitStack() as stack:
        estimators = [
            stack.enter_context(closing(_estimator(backend, detail)))
            for backend in (PoseBackend.MEDIAPIPE_SOLUTION, PoseBackend.MEDIAPIPE)
        ]
        for picture in pictures:
            for estimator, spent in zip(estimators, times, strict=True):
                began = time.process_time()
                estimator.estimate(picture)
                spent.append(time.process_time() - began)
    return times[0][_NOT_COUNTED:], times[1][_NOT_COUNTED:]


def _first_answer_seconds(picture: Picture) -> float:
    """Return how long a new stream waits for its first pose, in a process whose networks are ready."""
    began = time.perf_counter()
    with closing(_estimator(PoseBackend.MEDIAPIPE, PoseDetail.HOLISTIC)) as estimator:
        estimator.estimate(picture)
    return time.perf_counter() - began


def _estimator(backend: PoseBackend, detail: PoseDetail) -> PeopleEstimator:
    return make_estimator(EstimatorConfig(backend, detail, PoseRules()), b"")


if __name__ == "__main__":
    typer.run(main)
