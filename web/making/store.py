"""The folder of makings: `<making folder>/<visitor id>/<making id>/`, with limits on how much it holds."""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from web.access.gateway_folder import gateway_folder, leave_out
from web.access.refusals import Refused
from web.access.visitors import Visitor
from web.making.record import RECORD_FILE, MakingRecord, State
from web.settings import WebSettings

SPOOL_FILE: Final = "frames"
UPLOAD_FILE: Final = "upload"
VIDEOS_FOLDER: Final = "videos"
WORK_FOLDER: Final = "work"
_ID_BYTES: Final = 16
_WORK_FACTOR: Final = 4
"""Prepared footage and checkpoints, as a multiple of the largest footage; a guess on the safe side."""
_log: Final = logging.getLogger(__name__)


class Making:
    """One making: its record, which `MakingStore.change` replaces, and its folder."""

    def __init__(self, record: MakingRecord, folder: Path) -> None:
        self.record = record
        self.folder = folder

    @property
    def spool(self) -> Path:
        """The frames of a camera."""
        return self.folder / SPOOL_FILE

    @property
    def upload(self) -> Path:
        """The bytes of a video file."""
        return self.folder / UPLOAD_FILE

    @property
    def videos(self) -> Path:
        """The folder of the videos that a camera's frames were written to."""
        return self.folder / VIDEOS_FOLDER

    @property
    def work(self) -> Path:
        """The work folder of its training."""
        return self.folder / WORK_FOLDER

    @property
    def preview(self) -> Path:
        """The newest preview of its training."""
        return self.work / self.record.actor / "preview.png"


class MakingStore:
    """All makings of this gateway; a context manager, which reads what an earlier process left.

    Nothing on the disk has a name that a visitor chose, except the folder of the training, which is named after the
    actor's id. clock: Unix time in seconds. Entering raises BadSettings if the folder cannot be used, or another
    gateway uses it.
    """

    def __init__(self, settings: WebSettings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.clock = clock
        self.root = settings.makings_folder
        self._makings: dict[str, Making] = {}
        self._held = ExitStack()

    def __enter__(self) -> MakingStore:
        self._held.enter_context(gateway_folder(self.root, "WEB_MAKING_FOLDER"))
        for folder in sorted(self.root.glob("*/*/")):
            self._load(folder)
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def _load(self, folder: Path) -> None:
        try:
            record = MakingRecord.read(folder)
        except Exception as error:
            leave_out(folder, "making", error)
            return
        making = self._makings[record.id] = Making(record, folder)
        if record.state is State.TRAINING:
            self.change(making, state=State.WAITING)

    def all(self) -> list[Making]:
        """Return all makings, oldest first."""
        return sorted(self._makings.values(), key=lambda making: making.record.created_s)

    def of(self, visitor_id: str) -> list[Making]:
        """Return a visitor's makings, newest first."""
        return [making for making in reversed(self.all()) if making.record.visitor_id == visitor_id]

    def waiting(self) -> list[Making]:
        """Return the queue: what a restart interrupted, then first come, first served."""
        queued = [making for making in self._makings.values() if making.record.state is State.WAITING]
        return sorted(queued, key=lambda making: (making.record.started_s is None, making.record.queued_s or 0.0))

    def find(self, visitor_id: str, making_id: str) -> Making:
        """Return a visitor's making. Raises Refused 404 for an unknown one and for one of another visitor."""
        making = self._makings.get(making_id)
        if making is None or making.record.visitor_id != visitor_id:
            raise Refused(404, "no_such_making", "You are not making such an actor: it may have been deleted.")
        return making

    def has(self, making: Making) -> bool:
        """Whether it was not forgotten."""
        return self._makings.get(making.record.id) is making

    def create(self, visitor: Visitor, name: str, actor: str, *, delete_footage: bool) -> Making:
        """Add a making.

        Raises Refused: 409 if this visitor has one that goes on, 429 at the user's limit, 507 if there is no room.
        """
        key = visitor.limits_digits
        going_on = [making.record for making in self._makings.values() if not making.record.state.is_over]
        if any(record.visitor_id == visitor.id for record in going_on):
            text = "You are making an actor already: go on with it, or cancel it first."
            raise Refused(409, "making_exists", text)
        if sum(record.limits_key == key for record in going_on) >= self.settings.max_makings_per_user:
            text = "Others at your address are making actors: try again when they are done."
            raise Refused(429, "too_many", text, retry_after_seconds=60.0)
        self.check_room()
        now_s = self.clock()
        record = MakingRecord(
            id=secrets.token_hex(_ID_BYTES),
            visitor_id=visitor.id,
            limits_key=key,
            name=name,
            actor=actor,
            created_s=now_s,
            touched_s=now_s,
            delete_footage=delete_footage,
        )
        folder = self.root / visitor.id / record.id
        folder.mkdir(mode=0o700, parents=True)
        record.write(folder)
        making = self._makings[record.id] = Making(record, folder)
        return making

    def change(self, making: Making, **fields: Any) -> None:
        """Change fields of its record, also on the disk. Does nothing for a making that was forgotten."""
        if self.has(making):
            making.record = replace(making.record, **fields)
            making.record.write(making.folder)

    def touch(self, making: Making, **fields: Any) -> None:
        """Change fields because its visitor did something."""
        self.change(making, touched_s=self.clock(), **fields)

    def forget(self, making: Making) -> None:
        """Delete it with its record. Nothing may work on it any more. Takes a while."""
        if self._makings.pop(making.record.id, None) is not None:
            shutil.rmtree(making.folder, ignore_errors=True)
            with suppress(OSError):  # the visitor has other makings
                making.folder.parent.rmdir()

    def check_room(self, needed_bytes: int | None = None) -> None:
        """Raise Refused 507 unless there is room for so much; None: for one more making and its training."""
        needed = self.settings.max_making_bytes * _WORK_FACTOR if needed_bytes is None else needed_bytes
        if shutil.disk_usage(self.root).free < needed + self.settings.disk_kept_bytes:
            text = "The server has no room for more footage now: try again later."
            raise Refused(507, "disk_full", text, retry_after_seconds=600.0)


def delete_footage(making: Making) -> None:
    """Delete the footage and everything that was made from it, except the published actor. Takes a while.

    Raises OSError if something cannot be deleted.
    """
    for path in list(making.folder.iterdir()):
        if path.name == RECORD_FILE:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
