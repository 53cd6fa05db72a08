import math

import pytest

from training.reporting.lines import EVERY_SECONDS, PlainLines, line_of, progress_of
from training.reporting.progress import Progress


@pytest.mark.parametrize(
    "progress",
    [
        Progress(phase="poses", done=12),
        Progress(phase="drawing faces", part=0.5, done=6, total=12, seconds_left=30.0),
        Progress(phase="body", part=0.425, done=1200, pictures_per_second=3.4, seconds_left=180.0),
        Progress(phase="body", part=1.0, done=7, losses={"l1": 0.25, "feature_matching": 1e-05, "gan": -3.0}),
    ],
)
def test_a_line_is_read_back_as_it_was_meant(progress):
    """Who watches a log sees the same progress as who watches the job."""
    assert progress_of(line_of(progress)) == progress


def test_a_diverged_loss_is_still_progress():
    """A loss that is no number does not hide the rest of the line."""
    read = progress_of(line_of(Progress(phase="body", part=0.1, done=2, losses={"l1": math.nan, "gan": math.inf})))
    assert read is not None
    assert math.isnan(read.losses["l1"])
    assert read.losses["gan"] == math.inf


@pytest.mark.parametrize(
    "line",
    ["", "body: a note", "published me version 3 in actors/me/3", "error: 40.0 % | 3 done", "Body 1.0 % | 3 done"],
)
def test_other_lines_are_no_progress(line):
    """Notes, errors and what libraries write stay lines."""
    assert progress_of(line) is None


def test_lines_are_few():
    """A phase's beginning and end are told, every ten seconds in between, and notes at once."""
    now, lines = [0.0], []
    plain = PlainLines(lines.append, lambda: now[0])
    for step in range(101):
        plain.progress(Progress(phase="body", part=step / 100, done=step))
        now[0] += EVERY_SECONDS / 20
    plain.progress(Progress(phase="body", part=1.0, note="well done"))
    plain.progress(Progress(phase="face", part=0.0))
    assert [line.split(" | ")[0] for line in lines] == [
        *(f"body {percent}.0 %" for percent in (0, 20, 40, 60, 80, 100)),
        "body: well done",
        "face 0.0 %",
    ]
