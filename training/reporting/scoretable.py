"""The scores of held-out frames while a body is trained: one row per evaluation, in a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from serving.process.atomic_files import written_whole
from training.evaluation.metrics import PictureScores

_COLUMNS: Final = ("minutes", "pictures", "body_ssim", "body_psnr_db", "face_ssim", "face_psnr_db")


class ScoreTable:
    """Rows of a file that is written whole each time. Rows of more pictures than `keep_until` belong to a run that was
    lost after its last checkpoint, and are dropped."""

    def __init__(self, path: Path, keep_until: int) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        if path.is_file():
            with path.open(newline="") as file:
                self._rows = [row for row in csv.DictReader(file) if int(row["pictures"]) <= keep_until]

    def add(self, seconds: float, pictures: int, scores: PictureScores) -> None:
        """Adds a row. seconds: of training so far. pictures: drawn in training so far."""
        values = {name: value for name, value in scores.to_dict().items() if name in _COLUMNS}
        row = {"minutes": round(seconds / 60, 2), "pictures": pictures, **values}
        self._rows.append({name: "" if value is None else str(value) for name, value in row.items()})
        with written_whole(self._path) as partial, partial.open("w", newline="") as file:
            table = csv.DictWriter(file, _COLUMNS)
            table.writeheader()
            table.writerows(self._rows)
