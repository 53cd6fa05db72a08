"""What a training's log says, line by line, for programs that watch one: a process here, or a Job."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from training.footage_report.findings import Finding, finding_of
from training.reporting.progress import Progress, progress_of

_VERSION: Final = re.compile(
    r"(?:published: (?:nothing left to train: this is )?)?(?P<actor>[a-z0-9][a-z0-9_-]*) version (?P<version>[1-9]\d*)"
    r"(?: is published in .*)?"
)
_PREPARED: Final = "prepared: "
_ERROR: Final = "error: "


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """A version of an actor is in the store; the quality gate decides whether it is served."""

    actor: str
    version: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the training ended without an actor."""

    message: str


LogLine = Progress | Finding | PublishedVersion | Failure


def read_line(line: str) -> LogLine | None:
    """Return what a line of a training's log says; None for a line that is only for people."""
    if line.startswith(_ERROR):
        return Failure(line.removeprefix(_ERROR))
    if line.startswith(_PREPARED):
        return finding_of(line.removeprefix(_PREPARED))
    published = _VERSION.fullmatch(line)
    if published is not None:
        return PublishedVersion(published["actor"], int(published["version"]))
    return progress_of(line)
