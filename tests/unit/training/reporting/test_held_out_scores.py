import csv

from training.evaluation.metrics import PictureScores
from training.reporting.held_out_scores import ScoreTable


def test_scores_of_a_lost_run_are_dropped(tmp_path):
    """After a crash, rows beyond the checkpoint are replaced, not written twice."""
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
