"""Scores of held-out frames during the body's training: in a CSV file, with previews, and for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Final

from motion.frame import Picture
from serving.process.atomic_files import written_whole
from training.evaluation.held_out_frames import HeldOut
from training.evaluation.metrics import PictureScores
from training.networks.recurrent_drawing import Draw
from training.reporting import metrics
from training.reporting.loss_curves import Curves

SCORE_EVERY_SECONDS: Final = 150.0
_COLUMNS: Final = (
    "minutes", "pictures", "sharpness", "face_sharpness", "body_ssim", "body_psnr_db", "face_ssim", "face_psnr_db",
)  # fmt: skip


class HeldOutScores:
    """Scores the held-out frames now and then, and keeps `scores.csv`, `preview.png` and `preview/` in `folder`.

    write_picture: writes a picture that shows the actor. resumed_at: the seconds of training at which it was resumed;
    None for a new training, which is scored early.
    keep_until: see `ScoreTable`.
    """

    def __init__(
        self,
        folder: Path,
        write_picture: Callable[[Path, Picture], None],
        held_out: HeldOut,
        keep_until: int,
        resumed_at: float | None,
    ) -> None:
        self._folder = folder
        self._write_picture = write_picture
        self._held_out = held_out
        self._table = ScoreTable(folder / "scores.csv", keep_until)
        self._scored_at = -SCORE_EVERY_SECONDS / 2 if resumed_at is None else resumed_at

    def is_due(self, seconds: float, progress: float) -> bool:
        """Whether it is time to score, after so many seconds of training and at this progress in [0, 1].

        Scores are due every 150 seconds and at the end. True counts as scored.
        """
        since = seconds - self._scored_at
        due = since >= SCORE_EVERY_SECONDS or (progress >= 1 and since > 0)
        if due:
            self._scored_at = seconds
        return due

    def add(self, seconds: float, pictures: int, draw: Draw, curves: Curves | None) -> str:
        """Score what `draw` draws after so many seconds and pictures of training. Returns the scores in words."""
        runs = self._held_out.drawn(draw)
        scores = self._held_out.scores(runs)
        self._table.add(seconds, pictures, scores)
        metrics.scored(scores)
        caption = f"{seconds / 60:.1f} minutes, {pictures} pictures"
        sheet = self._held_out.preview(caption, runs)
        for name in (f"preview/{round(seconds):06d}s.png", "preview.png"):
            self._write_picture(self._folder / name, sheet)
        if curves is not None:
            curves.show(pictures, {"body_ssim": scores.body_ssim, "sharpness": scores.sharpness or 0.0}, sheet)
        sharp = "not measured" if scores.sharpness is None else f"{scores.sharpness:.2f}"
        return f"{caption}: held-out sharpness {sharp}, body SSIM {scores.body_ssim:.3f}"


class ScoreTable:
    """A CSV file of scores with one row per evaluation, rewritten whole each time.

    Rows of more pictures than `keep_until` belong to a run that was lost after its last checkpoint, and are dropped.
    """

    def __init__(self, path: Path, keep_until: int) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        if path.is_file():
            with path.open(newline="") as file:
                self._rows = [row for row in csv.DictReader(file) if int(row["pictures"]) <= keep_until]

    def add(self, seconds: float, pictures: int, scores: PictureScores) -> None:
        """Add a row. seconds, pictures: of training so far."""
        values = {name: value for name, value in scores.to_dict().items() if name in _COLUMNS}
        row = {"minutes": round(seconds / 60, 2), "pictures": pictures, **values}
        self._rows.append({name: "" if value is None else str(value) for name, value in row.items()})
        with written_whole(self._path) as partial, partial.open("w", newline="") as file:
            table = csv.DictWriter(file, _COLUMNS)
            table.writeheader()
            table.writerows(self._rows)
