"""`dance evaluate-pose`: compares the pose backends on the same clips."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import Annotated, Final

import typer

from client.errors import CommandError, Interrupted, UsageError
from client.poses.dancer_estimator import opened_backends
from client.poses.local_estimation import EstimationOptions, PoseModels, VideoEstimator
from client.poses.scores import FoundPeople, scored
from client.terminal.display import Display
from motion.keypoint_files.folder import read_folder
from motion.keypoint_files.openpose_json import BadKeypoints, shrunk_size
from motion.people.dancer_choice import DancerChoice
from motion.pose import Pose
from motion.pose_choice import PoseBackend

_COLUMNS: Final = (
    ("backend", ""), ("frames", ""), ("with a pose", ""), ("people a frame", ".2f"), ("ids", ""), ("dancer in", ""),
    ("lost in", ""), ("changes", ""), ("jitter", ".0f"), ("PCK@0.2", ".2f"), ("OKS", ".2f"), ("ms a frame", ".0f"),
    ("of which network", ".0f"), ("after it", ".1%"),
)  # fmt: skip
"""The heading and the number format of each field of `PoseScores`, in the order of the fields."""
HEADINGS: Final = ("clip", *(heading for heading, _ in _COLUMNS))


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationJob(EstimationOptions):
    """The options of one `dance evaluate-pose`.

    truth: for each clip a folder of keypoints with one person per file; without it the first backend is the reference.
    """

    clips: Annotated[list[str], typer.Argument(metavar="CLIP", help="Video files.")]
    backends: Annotated[
        str | None,
        typer.Option("--backends", metavar="NAME,...", help="Default: mediapipe and every backend with a card."),
    ] = None
    truth: Annotated[
        list[Path],
        typer.Option(
            "--truth", metavar="DIR", help="True joints of a clip, as OpenPose JSON; once for each clip, in order."
        ),
    ] = field(default_factory=list)
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="At most this many of each clip.")] = None


def evaluate(job: EvaluationJob, display: Display, should_stop: Callable[[], bool]) -> list[tuple[str, ...]]:
    """A row for each backend on each clip, with the columns of HEADINGS.

    The backends take turns frame by frame, so that other load on the machine affects all of them alike. Raises
    CommandError, and Interrupted when stopped.
    """
    compared = _parsed_backends(job.backends, job.models)
    backends = opened_backends(job.models.cards)
    rows = []
    for clip, folder in zip_longest(job.clips, job.truth):
        truth = None if folder is None else true_poses(folder, job.max_side_px)
        with ExitStack() as closing:
            estimators = [
                closing.enter_context(VideoEstimator(clip, _for(job, backend), backends)) for backend in compared
            ]
            reader = estimators[0].reader
            line = closing.enter_context(display.progress(Path(clip).name, reader.expected_frames))
            frames_of: list[list[FoundPeople]] = [[] for _ in compared]
            in_turn = zip(*(estimator.frames() for estimator in estimators), strict=True)
            for frames in islice(in_turn, job.frames):
                for mine, frame in zip(frames_of, frames, strict=True):
                    mine.append(frame.found)
                line.advance()
                if should_stop():
                    raise Interrupted(f"stopped in {clip}")
            display.source_notes(clip, reader.notes)
        reference = [found.dancer for found in frames_of[0]] if truth is None else truth
        for place, (backend, mine) in enumerate(zip(compared, frames_of, strict=True)):
            scores = scored(backend.value, mine, None if truth is None and place == 0 else reference)
            cells = (_cell(value, spec) for value, (_, spec) in zip(astuple(scores), _COLUMNS, strict=True))
            rows.append((Path(clip).stem, *cells))
    return rows


def true_poses(folder: Path, max_side_px: int) -> list[Pose | None]:
    """The person in each frame of a folder of keypoints; None for a frame without one. Raises CommandError."""
    try:
        known = read_folder(folder)
        if known.facts is not None and shrunk_size(known.facts.size, max_side_px) != known.facts.size:
            known = read_folder(folder, shrink_to_px=max_side_px)
    except BadKeypoints as error:
        raise CommandError(str(error)) from error
    if known.step > 1:
        raise CommandError(f"{folder}: expected one file per frame, got one per {known.step} frames")
    if known.most_people > 1:
        raise CommandError(f"{folder}: expected one person per file, got {known.most_people}")
    return [frame.people[0].pose if frame.people else None for frame in known.frames]


def _for(job: EvaluationJob, backend: PoseBackend) -> EvaluationJob:
    # MediaPipe finds one person at most, so there is no choice.
    dancer = job.dancer if backend.finds_several else DancerChoice()
    return replace(job, models=replace(job.models, backend=backend), dancer=dancer)


def _cell(value: str | float, spec: str) -> str:
    return "" if isinstance(value, float) and math.isnan(value) else format(value, spec)


def markdown_of(rows: Sequence[tuple[str, ...]]) -> str:
    """The rows as a Markdown table."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def _parsed_backends(text: str | None, models: PoseModels) -> list[PoseBackend]:
    """Parse "mediapipe,openpose"; None means MediaPipe and every backend with a card. Raises UsageError."""
    if text is None:
        return [PoseBackend.MEDIAPIPE, *models.cards]
    try:
        backends = [PoseBackend(name.strip()) for name in text.split(",")]
    except ValueError as error:
        known = ", ".join(backend.value for backend in PoseBackend)
        raise UsageError(f"--backends: expected names from {known}, separated by commas, got {text!r}") from error
    if len(set(backends)) < len(backends):
        raise UsageError(f"--backends: expected each name once, got {text!r}")
    return backends
