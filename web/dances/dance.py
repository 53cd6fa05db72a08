"""What is known about one dance or recording: its file `dance.json`, and its progress while it runs."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from motion.body import BodyStats
from motion.documents import read_document
from serving.pictures.background import Colour
from serving.process.atomic_files import written_whole
from web.dances.progress import Progress

RECORD_FILE: Final = "dance.json"
SOURCE_FILE: Final = "source"
"""The uploaded clip, or a recording's sound; without a suffix, since its name comes from the visitor."""
BACKGROUND_FILE: Final = "background"
SPOOL_FILE: Final = "spool"
RESULT_FILE: Final = "result.mp4"
POSES_FILE: Final = "poses"


class State(StrEnum):
    """Where a dance is on its way; `web.dances.routes` describes the states."""

    UPLOADING = "uploading"
    RECORDING = "recording"
    WAITING = "waiting"
    MEASURING = "measuring"
    DANCING = "dancing"
    FINISHING = "finishing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        """Whether nothing will be done for it any more."""
        return self in (State.DONE, State.FAILED, State.CANCELLED)

    @property
    def is_queued(self) -> bool:
        """Whether it is in the queue or at work."""
        return self in (State.WAITING, State.MEASURING, State.DANCING, State.FINISHING)


class Kind(StrEnum):
    """A clip that is danced whole, or pictures of a live session."""

    DANCE = "dance"
    RECORDING = "recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """A clip as the reader opened it. frames: None if they have to be counted. media_type: for playing the file."""

    seconds: float | None
    frames: int | None
    rate_hz: float
    width_px: int
    height_px: int
    has_sound: bool
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFacts:
    """The finished MP4."""

    bytes: int
    seconds: float
    frames: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the actor is laid over. kind: own, green, colour or picture. bytes: of the picture, which is uploaded."""

    kind: str = "own"
    colour: Colour | None = None
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DanceRecord:
    """The content of `dance.json`. Times are Unix times in seconds.

    limits_key: a hash of the visitor's. sample: id of the sample dance; "" for an upload. bytes: of the upload. clip:
    None until it was checked. body: None until it was measured. served_version: the actor's version that dances.
    interrupted: how often in a row a process ended while it worked on this dance. pictures, remarks: the progress's,
    once it is done. touched_s: when the last byte arrived. sound_begins_seconds: of
    a recording's sound, counted from the first picture.
    """

    id: str
    visitor_id: str
    limits_key: str
    kind: Kind
    state: State
    actor: str
    created_s: float
    touched_s: float
    word: str = ""
    text: str = ""
    version: int = 0
    mirror: bool = False
    place: Place = Place()
    sample: str = ""
    bytes: int = 0
    clip: ClipFacts | None = None
    body: BodyStats | None = None
    served_version: int = 0
    began_again: int = 0
    interrupted: int = 0
    notes: tuple[str, ...] = ()
    result: ResultFacts | None = None
    pictures: int = 0
    remarks: dict[str, int] = field(default_factory=dict)
    ended_s: float | None = None
    sound_begins_seconds: float = 0.0

    def write(self, folder: Path) -> None:
        """Write the file, whole or not at all. Raises OSError."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        for name in ("clip", "result", "place"):
            values[name] = None if values[name] is None else dataclasses.asdict(values[name])
        values["body"] = None if self.body is None else self.body.to_dict()
        with written_whole(folder / RECORD_FILE) as path:
            path.write_text(json.dumps(values))

    @classmethod
    def read(cls, folder: Path) -> DanceRecord:
        """Read the file. Raises OSError, BadDocument, and ValueError, TypeError or KeyError for other content."""
        values: dict[str, Any] = dict(read_document(folder / RECORD_FILE))
        values["kind"], values["state"] = Kind(values["kind"]), State(values["state"])
        values["place"] = _place(values["place"])
        values["clip"] = None if values["clip"] is None else ClipFacts(**values["clip"])
        values["result"] = None if values["result"] is None else ResultFacts(**values["result"])
        values["body"] = None if values["body"] is None else BodyStats.from_dict(values["body"])
        values["notes"] = tuple(values["notes"])
        return cls(**values)


def _place(values: Mapping[str, Any]) -> Place:
    colour = values["colour"]
    return Place(kind=values["kind"], colour=None if colour is None else tuple(colour), bytes=values["bytes"])


@dataclass(slots=True, eq=False)
class Dance:
    """A dance of the store. Only the store changes its record.

    uploading: held while a request adds to its files.
    """

    record: DanceRecord
    folder: Path
    progress: Progress = field(default_factory=Progress)
    uploading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def received_bytes(self) -> int:
        """How much of the upload is on the disk."""
        return _size(self.folder / SOURCE_FILE)

    @property
    def has_background(self) -> bool:
        """Whether the background needs no picture, or has it."""
        return self.record.place.kind != "picture" or (self.folder / BACKGROUND_FILE).exists()

    @property
    def has_all(self) -> bool:
        """Whether everything that was announced has been uploaded."""
        return self.has_background and (bool(self.record.sample) or self.received_bytes == self.record.bytes)

    @property
    def used_bytes(self) -> int:
        """The size of all its files."""
        return sum(_size(path) for path in self.folder.glob("*"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
