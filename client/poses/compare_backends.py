"""`dance evaluate-pose`: compares the pose backends on the same clips."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rich.table import Table

from client.errors import CommandError, Interrupted, UsageError
from client.poses.local_estimation import Looked, Looking, LookRequest, opened_backends
from client.poses.scores import PoseScores, Seen, scored
from client.terminal.display import Display
from motion.keypoint_files.folder import read_folder
from motion.keypoint_files.openpose_json import BadKeypoints, shrunk_size
from motion.people.dancer_choice import DancerChoice
from motion.pose import Pose
from motion.pose_choice import PoseBackend

HEADINGS: Final = (
    "clip", "backend", "frames", "with a pose", "people a frame", "ids", "dancer in", "lost in", "changes", "jitter",
    "PCK@0.2", "OKS", "ms a frame", "of which network", "after it",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationJob:
    """The options of one `dance evaluate-pose`.

    truth: for each clip a folder of keypoints with one person per file, or None; without it the first backend is the
    reference. frames: the number of frames of each clip to use; None for all.
    """

    clips: Sequence[str]
    backends: Sequence[PoseBackend]
    look: LookRequest
    truth: Sequence[Path | None] = field(default_factory=tuple)
    frames: int | None = None


def evaluate(job: EvaluationJob, display: Display, should_stop: Callable[[], bool]) -> list[tuple[str, PoseScores]]:
    """The scores of each backend on each clip.

    The backends take turns frame by frame, so that other load on the machine affects all of them alike. Raises
    CommandError, and Interrupted when stopped.
    """
    backends = opened_backends(job.look.models)
    rows = []
    for number, clip in enumerate(job.clips):
        folder = job.truth[number] if number < len(job.truth) else None
        truth = None if folder is None else true_poses(folder, job.look.max_side_px)
        with ExitStack() as closing:
            lookers = [
                closing.enter_context(Looking(clip, _for(job.look, backend), backends)) for backend in job.backends
            ]
            expected = lookers[0].reader.expected_frames
            line = closing.enter_context(display.progress(Path(clip).name, expected))
            seen: list[list[Seen]] = [[] for _ in job.backends]
            for looked in _side_by_side(lookers, job.frames):
                for mine, one in zip(seen, looked, strict=True):
                    mine.append(_seen(one))
                line.advance()
                if should_stop():
                    raise Interrupted(f"stopped in {clip}")
            display.source_notes(clip, lookers[0].reader.notes)
        reference = [frame.dancer for frame in seen[0]] if truth is None else truth
        for place, (backend, mine) in enumerate(zip(job.backends, seen, strict=True)):
            against = None if truth is None and place == 0 else reference
            rows.append((Path(clip).stem, scored(backend.value, mine, against)))
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


def _for(look: LookRequest, backend: PoseBackend) -> LookRequest:
    # MediaPipe finds one person at most, so there is no choice.
    dancer = DancerChoice() if backend is PoseBackend.MEDIAPIPE else look.dancer
    return replace(look, models=replace(look.models, backend=backend), dancer=dancer)


def _side_by_side(lookers: Sequence[Looking], frames: int | None) -> Iterator[tuple[Looked, ...]]:
    for number, looked in enumerate(zip(*(looker.frames() for looker in lookers), strict=True)):
        if number == frames:
            return
        yield looked


def _seen(looked: Looked) -> Seen:
    estimate = looked.estimate
    return Seen(
        people=tuple(estimate.people),
        person_ids=estimate.person_ids or (1,) * len(estimate.people),
        dancer_index=estimate.dancer_index,
        lost=estimate.dancer_lost,
        changed=estimate.dancer_changed,
        seconds=estimate.compute_seconds,
        prepare_seconds=looked.prepare_seconds,
        network_seconds=looked.network_seconds,
    )


def cells(clip: str, scores: PoseScores) -> tuple[str, ...]:
    """A row of the table with the columns of HEADINGS."""
    return (
        clip,
        scores.backend,
        str(scores.frames),
        str(scores.with_people),
        _told(scores.people, 2),
        str(scores.ids),
        str(scores.with_dancer),
        str(scores.lost),
        str(scores.changes),
        _told(scores.jitter, 0),
        _told(scores.pck, 2),
        _told(scores.oks, 2),
        _told(scores.frame_ms, 0),
        _told(scores.network_ms, 0),
        "" if math.isnan(scores.beside_network) else f"{scores.beside_network:.1%}",
    )


def table_of(rows: Sequence[tuple[str, PoseScores]]) -> Table:
    """The scores as a table for a terminal."""
    table = Table()
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if number < 2 else "right")
    for clip, scores in rows:
        table.add_row(*cells(clip, scores))
    return table


def markdown_of(rows: Sequence[tuple[str, PoseScores]]) -> str:
    """The scores as a Markdown table."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    lines += [f"| {' | '.join(cells(clip, scores))} |" for clip, scores in rows]
    return "\n".join(lines) + "\n"


def parsed_backends(text: str | None, look: LookRequest) -> list[PoseBackend]:
    """Parse "mediapipe,openpose"; None means MediaPipe and every backend with a card. Raises UsageError."""
    if text is None:
        return [PoseBackend.MEDIAPIPE, *look.models.cards]
    try:
        backends = [PoseBackend(name.strip()) for name in text.split(",")]
    except ValueError as error:
        known = ", ".join(backend.value for backend in PoseBackend)
        raise UsageError(f"--backends: expected names from {known}, separated by commas, got {text!r}") from error
    if len(set(backends)) < len(backends):
        raise UsageError(f"--backends: expected each name once, got {text!r}")
    return backends


def _told(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"
