"""What is stored of a making: `making.json`, written whole, which a restarted gateway goes on from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from serving.actors.consent import MOST_NAME_CHARACTERS, ConsentRecord
from serving.process.atomic_files import written_whole

RECORD_FILE: Final = "making.json"


class State(StrEnum):
    """Where a making is."""

    FILMING = "filming"
    WAITING = "waiting"
    TRAINING = "training"
    REFUSED = "refused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_queued(self) -> bool:
        """Whether it waits for its training, or trains."""
        return self in (State.WAITING, State.TRAINING)

    @property
    def is_over(self) -> bool:
        """Whether nothing follows."""
        return self in (State.DONE, State.CANCELLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Consent:
    """What a person agreed to. shown: the exact text on the page. typed: what the person typed. at: ISO 8601, UTC."""

    name: str
    typed: str
    shown: str
    at: str

    @property
    def record(self) -> ConsentRecord:
        """The consent as it is stored with the actor. What it is for, and that it has no end, is in the text shown."""
        return ConsentRecord(
            who=self.name[:MOST_NAME_CHARACTERS],
            given_on=datetime.fromisoformat(self.at).date(),
            recorded_by="the page",
            words=f'{self.name}, {self.at}, on the page. Shown: "{self.shown}" Typed: "{self.typed}"',
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FootageRecord:
    """What is there of the footage. kind: camera, file, or empty without any. size: of the whole file, in bytes.

    end: "full" once a limit was reached, "size" if frames of another size came; they are not kept. steps, views: for
    how many seconds a step was filmed and a view was seen.
    """

    kind: str = ""
    frames: int = 0
    seconds: float = 0.0
    bytes: int = 0
    size: int = 0
    end: str = ""
    steps: dict[str, float] = field(default_factory=dict)
    views: dict[str, float] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether a training can begin with it."""
        return self.frames > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class MakingRecord:
    """One making. Times are Unix times in seconds, None if not yet.

    limits_key: hash of who is counted. attempt: counts the trainings, also on new footage. touched_s: when its visitor
    last did something with it. versions: what was published. existed: the actor's versions before.
    """

    id: str
    visitor_id: str
    limits_key: str
    name: str
    actor: str
    created_s: float
    touched_s: float
    delete_footage: bool = True
    state: State = State.FILMING
    footage: FootageRecord = field(default_factory=FootageRecord)
    consent: Consent | None = None
    queued_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    attempt: int = 0
    existed: tuple[int, ...] = ()
    versions: tuple[int, ...] = ()
    findings: tuple[dict[str, str], ...] = ()
    problem: dict[str, str] | None = None
    footage_deleted: bool = False

    @property
    def deletes(self) -> bool:
        """Whether its footage has to be deleted, and still is there."""
        gone = self.state is State.CANCELLED or (self.state is State.DONE and self.delete_footage)
        return gone and not self.footage_deleted

    def write(self, folder: Path) -> None:
        """Write the record into its folder. Raises OSError."""
        with written_whole(folder / RECORD_FILE) as partial:
            partial.touch(mode=0o600)
            partial.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> MakingRecord:
        """Read the record of a folder. Raises OSError, and ValueError, KeyError or TypeError for a damaged one."""
        said: dict[str, Any] = json.loads((folder / RECORD_FILE).read_text())
        known = {one.name for one in fields(cls)}
        values = {name: value for name, value in said.items() if name in known}
        consent = values.get("consent")
        return cls(
            **values
            | {
                "state": State(values["state"]),
                "footage": FootageRecord(**values["footage"]),
                "consent": None if consent is None else Consent(**consent),
                **{name: tuple(values[name]) for name in ("existed", "versions", "findings")},
            }
        )


def iso(at_s: float | None) -> str | None:
    """Return a Unix time as ISO 8601 in UTC, to the second; None for None."""
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
