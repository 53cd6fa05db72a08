"""An evaluation as tables, files and plots: CSV for programs, Markdown for documents, pictures to look at."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib
import numpy as np

from motion.frame import Picture
from serving.process.atomic_files import written_whole
from training.evaluation.held_out_frames import preview_sheet
from training.evaluation.keypoints import FEW_JOINTS, PARTS, PartScore
from training.evaluation.metrics import SSIM_SETTINGS
from training.evaluation.score_rows import EvaluationRow
from training.evaluation.self_reconstruction import Evaluation
from training.evaluation.unseen_poses.scores import UnseenScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOT_AVAILABLE: Final = "n/a"
FEW: Final = "*"
_OF_PICTURES: Final = (
    "body_ssim", "body_ssim_inside", "body_psnr_db", "face_ssim", "face_ssim_inside", "face_psnr_db",
    "sharpness", "face_sharpness",
)  # fmt: skip
_MEASURES: Final = {
    "ssim": ("SSIM", 3),
    "ssim_inside": ("SSIM inside", 3),
    "lpips": ("LPIPS", 4),
    "psnr_db": ("PSNR dB", 1),
}
"""The measures of body and face: the heading of each, and its digits."""
_LIKENESS: Final = (*_OF_PICTURES, "body_lpips", "face_lpips")


@dataclass(frozen=True, slots=True)
class Table:
    """A title, headings, and rows of words."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables_of(evaluation: Evaluation) -> list[Table]:
    """The paper's three tables, and those of sharpness, flicker and speed, and of poses that the footage lacks.

    The paper's are the likeness of body and face, the pose distance with its basis, and missed detections. A distance
    over too few joints is marked, see `PartScore.rests_on_few` and `footnotes`. A number that could not be measured is
    "n/a"; a cell whose measure makes no sense is empty.
    """
    rows, width_px, height_px = evaluation.rows, *evaluation.picture_size
    likeness = Table(
        "Likeness to the real frames (SSIM and PSNR: more is better; LPIPS: less)",
        ("drawn by", *(f"{part} {measure}" for part in ("body", "face") for measure, _ in _MEASURES.values())),
        [_likeness(row) for row in rows if row.pictures is not None],
    )
    distance = Table(
        f"Pose distance in pixels of {width_px}x{height_px} (less is better)",
        ("drawn by", "body (23)", "face (70)", "hands (21 each)", "overall (135)", "torso lengths"),
        [(r.drawn_by, *(_distance(r.parts[p]) for p in PARTS), _number(r.pose_distance, 3)) for r in rows],
    )
    rests_on = Table(
        "The basis of these distances: joints compared of those asked for (frames)",
        ("drawn by", *PARTS),
        [(r.drawn_by, *(_rests_on(r.parts[p]) for p in PARTS)) for r in rows],
    )
    missed = Table(
        "Joints missed by the detector, per frame",
        ("drawn by", "body", "face", "hands", "overall", "frames with a pose"),
        [
            (r.drawn_by, *(f"{r.parts[p].missed:.2f}" for p in PARTS), f"{r.frames_with_a_pose}/{r.frames}")
            for r in rows
        ],
    )
    real_levels = next((r.flicker_levels for r in rows if r.pictures is None), None)
    motion = Table(
        "Sharpness (1 is as sharp as the film), flicker (temporal error along the flow, levels of 255) and speed",
        ("drawn by", "sharpness", "face sharpness", "flicker", "drawn / real", "frames per second"),
        [
            (
                r.drawn_by,
                *(_number(getattr(r.pictures, of, None), 2, absent="") for of in ("sharpness", "face_sharpness")),
                _number(r.flicker_levels, 2) if r.has_motion else "",
                _number(_ratio(r.flicker_levels, real_levels), 2, absent="") if r.has_motion else "",
                _number(r.frames_per_second, 1, absent=""),
            )
            for r in rows
        ],
    )
    tables = [likeness, distance, rests_on, missed, motion]
    return tables if evaluation.unseen is None else [*tables, _of_unseen(evaluation.unseen)]


def _of_unseen(scores: UnseenScores) -> Table:
    rows = [(name, _number(distance, 3)) for name, distance in scores.each.items()]
    found = (
        f"found in {scores.found} of {scores.poses}, {scores.missed or 0:.0%} of the joints missed, "
        f"second heads in {scores.second_heads}"
    )
    return Table(
        "Poses that the footage lacks (pose distance in torso lengths; less is better)",
        ("made-up pose", "pose distance"),
        [*rows, (f"all ({found})", _number(scores.distance, 3))],
    )


def _ratio(levels: float | None, real_levels: float | None) -> float | None:
    return levels / real_levels if levels is not None and real_levels else None


def footnotes(evaluation: Evaluation) -> list[str]:
    """Notes that a reader of the tables needs."""
    few = any(score.rests_on_few for row in evaluation.rows for score in row.parts.values())
    return [SSIM_SETTINGS, *([f"{FEW}: {FEW_JOINTS}"] if few else [])]


def evaluation_paths(folder: Path, name: str) -> list[Path]:
    """The files that `write_evaluation` writes."""
    return [folder / f"{name}{ending}" for ending in (".csv", ".md", ".json", "-plots.png", "-pictures.png")]


def write_evaluation(
    evaluation: Evaluation, folder: Path, name: str, write: Callable[[Path, Picture], None]
) -> list[Path]:
    """Write NAME.csv, .md, .json, -plots.png and -pictures.png; returns their paths. Raises OSError.

    write: writes a picture that shows the actor.
    """
    tables = tables_of(evaluation)
    paths = evaluation_paths(folder, name)
    with written_whole(paths[0]) as partial, partial.open("w", newline="") as file:
        rows = [_sheet_row(row) for row in evaluation.rows]
        sheet = csv.DictWriter(file, list(rows[0]))
        sheet.writeheader()
        sheet.writerows(rows)
    with written_whole(paths[1]) as partial:
        partial.write_text(markdown(evaluation, tables))
    with written_whole(paths[2]) as partial:
        facts = {
            "title": evaluation.title,
            "picture_size_px": evaluation.picture_size,
            "rows": [_flat(row) | {"frame_ssim": row.frame_ssim} for row in evaluation.rows],
            "not_available": evaluation.not_available,
            "notes": [*footnotes(evaluation), *evaluation.notes],
            "facts": evaluation.facts,
            "unseen_poses": None if evaluation.unseen is None else evaluation.unseen.to_dict(),
        }
        partial.write_text(json.dumps(facts, indent=2) + "\n")
    _write_plots(evaluation, paths[3])
    write(paths[4], _pictures(evaluation))
    return paths


def _pictures(evaluation: Evaluation) -> Picture:
    """The shown frames, and below them the poses that the footage lacks, as many side by side."""
    caption, across = f"rows: {', '.join(evaluation.shown_rows)}", len(evaluation.shown)
    sheets = [preview_sheet(caption, evaluation.shown)]
    made = evaluation.unseen_shown
    if made:
        blank = np.full_like(made[0], 255)
        made = [*made, *[blank] * (-len(made) % across)]
        columns = [made[column::across] for column in range(across)]
        sheets.append(preview_sheet("poses that the footage lacks", columns))
    return np.concatenate(sheets)


def markdown(evaluation: Evaluation, tables: Sequence[Table]) -> str:
    """The tables, with all notes needed to read them."""
    parts = [f"# {evaluation.title}", ""]
    for table in tables:
        parts += [f"**{table.title}**", "", _line(table.headings), _line(["---"] * len(table.headings))]
        parts += [*map(_line, table.rows), ""]
    parts += [f"- {note}" for note in footnotes(evaluation)]
    parts += [f"- {what} is not available: {reason}" for what, reason in evaluation.not_available.items()]
    parts += [f"- {note}" for note in evaluation.notes]
    parts += [f"- {line}" for line in fact_lines(evaluation)]
    return "\n".join(parts) + "\n"


def fact_lines(evaluation: Evaluation) -> list[str]:
    """The facts that are not in a table, such as "transfer hips distance px: 10.46"."""
    return [f"{key.replace('_', ' ')}: {_shown(value)}" for key, value in evaluation.facts.items()]


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else "not measured" if value is None else str(value)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _likeness(row: EvaluationRow) -> tuple[str, ...]:
    values = _flat(row)
    columns = [(f"{part}_{name}", digits) for part in ("body", "face") for name, (_, digits) in _MEASURES.items()]
    return (row.drawn_by, *(_number(values[name], digits) for name, digits in columns))


def _number(value: float | None, digits: int, *, absent: str = NOT_AVAILABLE) -> str:
    return absent if value is None else f"{value:.{digits}f}"


def _distance(score: PartScore) -> str:
    return _number(score.distance_px, 2) + (FEW if score.rests_on_few else "")


def _rests_on(score: PartScore) -> str:
    return f"{score.joints}/{score.asked} ({score.frames})"


def _flat(row: EvaluationRow) -> dict[str, Any]:
    pictures = {name: getattr(row.pictures, name, None) for name in _OF_PICTURES}
    parts = {f"{name}_{key}": value for name, score in row.parts.items() for key, value in asdict(score).items()}
    return {
        "drawn_by": row.drawn_by,
        "frames": row.frames,
        **pictures,
        "body_lpips": row.body_lpips,
        "face_lpips": row.face_lpips,
        **parts,
        "frames_with_a_pose": row.frames_with_a_pose,
        "pose_distance_torso_lengths": row.pose_distance,
        "flicker_levels": row.flicker_levels,
        "frames_per_second": row.frames_per_second,
    }


def _sheet_row(row: EvaluationRow) -> dict[str, Any]:
    """A CSV row: "not available" for values that could not be measured, empty for measures without meaning here."""
    without_meaning = {"frames_per_second"}
    if row.pictures is None:
        without_meaning |= set(_LIKENESS)
    if not row.has_motion:
        without_meaning.add("flicker_levels")
    return {
        name: "not available" if value is None and name not in without_meaning else value
        for name, value in _flat(row).items()
    }


def _write_plots(evaluation: Evaluation, path: Path) -> None:
    """Plot every frame's SSIM and the pose distances of all parts into one picture."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(9, 7), layout="constrained")
    for row in evaluation.rows:
        if row.frame_ssim:
            above.plot(row.frame_ssim, label=row.drawn_by, linewidth=1)
            above.legend(fontsize=8)
    above.set(title=evaluation.title, xlabel="frame", ylabel="body SSIM")
    draw_pose_bars(below, evaluation.rows)
    with written_whole(path) as partial:
        figure.savefig(partial, dpi=110)
    pyplot.close(figure)


def draw_pose_bars(axes: Axes, rows: Sequence[EvaluationRow]) -> None:
    """Draw bars of every part's pose distance; an undetected part gets n/a, since an empty bar would look best."""
    width = 0.8 / len(rows)
    for index, row in enumerate(rows):
        places = np.arange(len(PARTS)) + index * width
        scores = [row.parts[part] for part in PARTS]
        distances_px = [score.distance_px for score in scores]
        bars_px = [np.nan if distance is None else distance for distance in distances_px]
        axes.bar(places, bars_px, width, label=row.drawn_by)
        for place, score in zip(places, scores, strict=True):
            if score.distance_px is None:
                axes.text(place, 0, NOT_AVAILABLE, rotation=90, ha="center", va="bottom", fontsize=8)
            elif score.rests_on_few:
                axes.text(place, score.distance_px, FEW, ha="center", va="bottom", fontsize=8)
    middles = np.arange(len(PARTS)) + 0.4 - width / 2
    axes.set(ylabel="pose distance, pixels", xticks=middles, xticklabels=list(PARTS))
    axes.legend(fontsize=8)
