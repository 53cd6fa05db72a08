"""A training that a program starts and watches."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from client.training.unattended import TrainingLog, UnattendedTraining
from serving.errors import BadInput
from training import __main__ as training
from training.footage_report.findings import Finding, finding_line


def made(**changed: object) -> UnattendedTraining:
    facts = {
        "actor": "anna",
        "consent": 'Anna agreed: "yes"',
        "footage": (Path("a.mp4"), Path("b.mp4")),
        "preset": "quick-256",
        "minutes": 0.5,
        "frame_rate": 15.0,
        "actors": Path("/actors"),
        "work": Path("/work"),
        "device": "cpu",
    }
    return UnattendedTraining(**(facts | changed))  # type: ignore[arg-type]


def test_the_command_trains_what_was_asked_for(monkeypatch):
    """The training's own command line reads the same request back."""
    seen = []

    def noted(request, should_stop):
        seen.append(request)
        return 0

    monkeypatch.setattr(training, "_trained", noted)
    program, *words = made().command()
    assert program == sys.executable
    assert words[:3] == ["-P", "-m", "training"]
    assert training.run(words[3:]) == 0
    assert seen == [made().request()]


def test_a_blank_consent_is_refused():
    """Before any process starts."""
    with pytest.raises(BadInput, match="consent"):
        made(consent="  ").request()


def test_the_log_tells_how_far_a_training_is():
    """Progress, findings, each version once, and the reason of a failure; all other lines are for people."""
    log = TrainingLog()
    finding = Finding("warning", "hands", "left in 20%", "show them")
    for line in (
        "starting: this CPU does not compute bf16",
        f"prepared: {finding_line(finding)}",
        f"prepared: {finding_line(finding)}",
        "published: anna version 1",
        "body 25.0 % | 10 pictures done | 2.0 pictures/s | 15 s left | l1 0.2500",
        "anna version 1 is published in /actors/anna/1, and new sessions get it",
        "error: the disk is full",
    ):
        log.line(line)
    assert log.progress is not None
    assert (log.progress.phase, log.progress.part, log.progress.seconds_left) == ("body", 0.25, 15.0)
    assert log.findings == {"hands": finding}
    assert log.versions == [1]
    assert log.failure == "the disk is full"
