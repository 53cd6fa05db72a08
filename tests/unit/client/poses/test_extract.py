"""The report of `dance pose`."""

from __future__ import annotations

from client.poses.extract import PoseReport


def test_the_summary_counts_people():
    """One person is a person, several are people."""
    report = PoseReport(frames=65, frames_with_people=65, frames_with_dancer=65, ids={1})
    assert report.summary() == "65 frames: people in 65, 1 person in all, the dancer in 65"
    report.ids.add(2)
    assert "2 people in all" in report.summary()
