import csv

import numpy as np
import pytest

from serving.process.atomic_files import written_whole
from training.evaluation.metrics import PictureScores
from training.evaluation.preview import preview_sheet
from training.process.atomic import read_picture, write_picture
from training.reporting.scoretable import ScoreTable


def test_failed_writing_leaves_the_file_before(tmp_path):
    """What breaks off in the middle is never seen."""
    path = tmp_path / "file.txt"
    path.write_text("whole")

    def break_off():
        with written_whole(path) as partial:
            partial.write_text("ha")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_pictures_survive_being_written(tmp_path):
    """RGB comes back as RGB; a missing picture is an error."""
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_picture(tmp_path / "new" / "picture.png", picture)
    np.testing.assert_array_equal(read_picture(tmp_path / "new" / "picture.png"), picture)
    with pytest.raises(OSError, match="missing"):
        read_picture(tmp_path / "missing.png")


def test_scores_of_a_lost_run_are_dropped(tmp_path):
    """After a crash, rows beyond the checkpoint are written again and not twice."""
    scores = PictureScores(4, 0.5, 0.4, 15.0, 0, None, None, None)
    table = ScoreTable(tmp_path / "scores.csv", keep_until=0)
    for pictures in (10, 20, 30):
        table.add(60.0, pictures, scores)
    ScoreTable(tmp_path / "scores.csv", keep_until=20).add(150.0, 40, scores)
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["pictures"] for row in rows] == ["10", "20", "40"]
    assert rows[-1]["minutes"] == "2.5"
    assert rows[-1]["face_ssim"] == ""


def test_preview_has_one_column_per_frame():
    """Three pictures below each other, two frames side by side, a caption above."""
    picture = np.zeros((32, 40, 3), np.uint8)
    sheet = preview_sheet("1 minute", [[picture] * 3] * 2)
    assert sheet.shape[1:] == (80, 3)
    assert sheet.shape[0] > 96
    with pytest.raises(ValueError, match="at least one frame"):
        preview_sheet("", [])
