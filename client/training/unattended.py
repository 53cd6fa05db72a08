"""A training that a program starts and watches, without a terminal: its command, and what its log says so far."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from training.footage_report.findings import Finding
from training.options import FootageRequest, TrainRequest
from training.reporting.log_lines import Failure, PublishedVersion, read_line
from training.reporting.progress import Progress

__all__ = ["Finding", "Progress", "TrainingLog", "UnattendedTraining"]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnattendedTraining:
    """One training. footage: files, in order. The rest is as in `training.options`. Raises BadInput."""

    actor: str
    consent: str
    footage: tuple[Path, ...]
    preset: str
    minutes: float
    frame_rate: float | None
    actors: Path
    work: Path
    device: str

    def request(self) -> TrainRequest:
        """Return the training as `dance train` would ask for it."""
        return TrainRequest(
            actor=self.actor,
            consent=self.consent,
            footage=FootageRequest(files=list(self.footage), frame_rate=self.frame_rate),
            preset=self.preset,
            minutes=self.minutes,
            store_root=self.actors,
            work_root=self.work,
            device=self.device,
        )

    def command(self) -> tuple[str, ...]:
        """Return the command for a process on this machine: it is a Job's, with a Job's exit codes and lines."""
        return (sys.executable, "-P", "-m", "training", *self.request().arguments())


@dataclass(slots=True)
class TrainingLog:
    """What a training has said so far.

    progress: of the current phase; None before the first. findings: about the footage, by what they are about.
    versions: published ones, in order. failure: why it ended; empty while it has not failed.
    """

    progress: Progress | None = None
    findings: dict[str, Finding] = field(default_factory=dict)
    versions: list[int] = field(default_factory=list)
    failure: str = ""

    def line(self, text: str) -> None:
        """Take in one line of the log."""
        match read_line(text):
            case Progress() as progress:
                self.progress = progress
            case Finding() as finding:
                self.findings[finding.what] = finding
            case PublishedVersion() as published:
                if published.version not in self.versions:
                    self.versions.append(published.version)
            case Failure() as failure:
                self.failure = failure.message
            case None:
                pass
