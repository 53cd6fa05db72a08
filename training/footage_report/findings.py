"""One finding of a report on footage, and its line in a log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

Level = Literal["good", "warning", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding about the footage. measured: in words, with numbers. advice: what to do; empty if all is well."""

    level: Level
    what: str
    measured: str
    advice: str = ""


_LINE: Final = re.compile(
    r"(?P<level>warning|refused): (?P<what>[a-z][a-z ]*): (?P<measured>.*?); (?P<advice>[^;].*)", re.DOTALL
)


def finding_line(finding: Finding) -> str:
    """One line, as `refused: camera: moved by 90 pixels; put the camera on a tripod`, without its end."""
    return f"{finding.level}: {finding.what}: {finding.measured}; {finding.advice}"


def finding_of(line: str) -> Finding | None:
    """Read back a line of `finding_line` for a warning or a refusal; None for any other line."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    return Finding(cast(Level, match["level"]), match["what"], match["measured"], match["advice"])
