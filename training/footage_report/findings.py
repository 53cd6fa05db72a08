"""One finding of a report on footage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "warning", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding about the footage. measured: in words, with numbers. advice: what to do; empty if all is well."""

    level: Level
    what: str
    measured: str
    advice: str = ""
