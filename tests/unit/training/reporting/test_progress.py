import math

import pytest

from training.reporting.progress import EVERY_SECONDS, PhaseClock, PlainLines, Progress, line_of, progress_of


def test_time_left_follows_what_is_done():
    """If a quarter took ten seconds, thirty are left; another phase starts over."""
    now = [100.0]
    clock = PhaseClock(lambda: now[0])
    assert clock.progress("poses", 0, 40).seconds_left is None
    now[0] = 110.0
    quarter = clock.progress("poses", 10, 40)
    assert (quarter.part, quarter.done, quarter.total, quarter.seconds_left) == (0.25, 10, 40, 30.0)
    assert clock.progress("plate", 1, 2).seconds_left is None


def test_what_was_done_before_does_not_count_as_speed():
    """A phase that starts in the middle is timed from there."""
    now = [0.0]
    clock = PhaseClock(lambda: now[0])
    clock.progress("poses", 30, 40)
    now[0] = 10.0
    assert clock.progress("poses", 35, 40).seconds_left == 10.0


def test_a_phase_that_begins_again_is_timed_from_there():
    """What lies between two evaluations of a training, such as minutes of steps, does not count for the second."""
    now = [0.0]
    clock = PhaseClock(lambda: now[0])
    for done in (0, 8):
        clock.progress("evaluating", done, 8)
    now[0] = 600.0
    clock.progress("evaluating", 0, 8)
    now[0] = 601.0
    assert clock.progress("evaluating", 1, 8).seconds_left == 7.0


def test_unknown_totals_have_no_part():
    """Without a total only the count is known; a count beyond the total is still the whole."""
    clock = PhaseClock(lambda: 0.0)
    unknown = clock.progress("poses", 5, None)
    assert (unknown.done, unknown.part, unknown.seconds_left) == (5, None, None)
    assert clock.progress("poses", 50, 40).part == 1


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
    """Reading a log line gives the same progress as watching the job."""
    assert progress_of(line_of(progress)) == progress


def test_lines_name_their_unit_and_older_lines_are_read_too():
    """Steps are not pictures. Lines without a unit, of older images, are still progress."""
    steps = Progress(phase="evaluating", part=0.25, done=2, total=8, pictures_per_second=0.5)
    assert line_of(steps) == "evaluating 25.0 % | 2 of 8 steps done | 0.5 steps/s"
    assert progress_of("evaluating 25.0 % | 2 of 8 done | 0.5 pictures/s") == steps
    assert line_of(Progress(phase="measuring", part=1.0, done=3, total=3)) == "measuring 100.0 % | 3 of 3 steps done"
    assert line_of(Progress(phase="body", part=0.5, done=10)) == "body 50.0 % | 10 pictures done"


def test_a_diverged_loss_is_still_progress():
    """A loss that is NaN or infinite does not hide the rest of the line."""
    read = progress_of(line_of(Progress(phase="body", part=0.1, done=2, losses={"l1": math.nan, "gan": math.inf})))
    assert read is not None
    assert math.isnan(read.losses["l1"])
    assert read.losses["gan"] == math.inf


@pytest.mark.parametrize(
    "line",
    [
        "",
        "body: a note",
        "me version 3 is published in actors/me/3, and new sessions get it",
        "error: 40.0 % | 3 done",
        "Body 1.0 % | 3 done",
    ],
)
def test_other_lines_are_no_progress(line):
    """Notes, errors and the output of libraries are not progress."""
    assert progress_of(line) is None


def test_lines_are_few():
    """Lines are written at a phase's beginning and end and every ten seconds in between; notes at once."""
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
