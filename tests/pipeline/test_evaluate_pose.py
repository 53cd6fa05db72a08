"""`dance evaluate-pose` with both of MediaPipe's backends."""

from __future__ import annotations

from client.__main__ import run


def test_the_engine_is_compared_with_mediapipes_own_solution(root, tmp_path):
    """Each backend has a row, and the second is compared with the first."""
    table = tmp_path / "table.md"
    asked = ["evaluate-pose", str(root / "samples" / "source_clip.mp4"), "--frames", "2", "-o", str(table)]
    assert run([*asked, "--backends", "mediapipe-solution,mediapipe"]) == 0
    heading, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.read_text().split("\n")
    )
    reference, compared = (dict(zip(heading, row, strict=True)) for row in rows[:2])
    assert (reference["backend"], compared["backend"]) == ("mediapipe-solution", "mediapipe")
    assert (reference["with a pose"], compared["with a pose"]) == ("2", "2")
    assert (reference["OKS"], compared["OKS"]) == ("", "1.00")
