"""What a training writes to its log is what a program reads there."""

from __future__ import annotations

import pytest

from training.footage_report.findings import Finding, finding_line
from training.reporting.log_lines import Failure, PublishedVersion, read_line
from training.reporting.progress import PlainLines, Progress, line_of


@pytest.mark.parametrize("level", ["warning", "refused"])
def test_findings_of_the_preparation_are_read_back(level):
    """The level, what it is about, the measured facts and the advice survive, with any punctuation in the advice."""
    finding = Finding(level, "whole body", "head and both ankles in 3% of the frames", "step back; or turn the camera")
    assert read_line(f"prepared: {finding_line(finding)}") == finding


def test_published_versions_are_read_from_every_line_that_tells_them():
    """The note of a publication, that of a training with nothing left to do, and the last line of all."""
    lines = (
        "published: swan-2_b version 12",
        "published: nothing left to train: this is swan-2_b version 12",
        "swan-2_b version 12 is published in /actors/swan-2_b/12, and new sessions get it",
    )
    assert {read_line(line) for line in lines} == {PublishedVersion("swan-2_b", 12)}


def test_progress_is_read_as_it_is_written():
    """A line of progress is read back with its rounding."""
    progress = Progress(phase="looking for poses", part=0.5, done=150, total=300, seconds_left=12.0)
    assert read_line(line_of(progress)) == progress


def test_lines_for_people_mean_nothing():
    """Notes, reports and pieces of a traceback are not taken for anything else."""
    lines: list[str] = []
    PlainLines(lines.append).progress(Progress(phase="published", note="version 1, 40 s after the start; it shows"))
    lines += ["prepared: report: /work/report.html", "Traceback (most recent call last):", "", "me version 1 of 2"]
    assert [read_line(line) for line in lines] == [None] * len(lines)


def test_the_reason_of_a_failure_is_read():
    """The last line of a failed training says why."""
    assert read_line("error: the disk is full: free some") == Failure("the disk is full: free some")
