"""The folder of dances: `<data_folder>/dances/<visitor id>/<dance id>/`, with limits on how much it holds."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from serving.observability import logs
from web.access.gateway_folder import gateway_folder, leave_out
from web.access.refusals import Refused
from web.access.visitors import Visitor
from web.dances.dance import (
    BACKGROUND_FILE,
    RECORD_FILE,
    SOURCE_FILE,
    SPOOL_FILE,
    Dance,
    DanceRecord,
    Kind,
    State,
)
from web.dances.metrics import ENDED, STARTED
from web.settings import WebSettings

_ID_BYTES: Final = 16
_MOST_INTERRUPTIONS: Final = 5
_log: Final = logging.getLogger(__name__)


class DanceStore:
    """All dances and recordings of this gateway; a context manager, which reads what an earlier process left.

    Nothing on the disk has a name that a visitor chose. The store writes every record whole, so that a killed process
    leaves each dance in its last state. clock: Unix time in seconds.

    Entering raises BadSettings if the folder cannot be used, or another gateway uses it.
    """

    def __init__(self, settings: WebSettings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.clock = clock
        self.root = settings.data_folder.expanduser() / "dances"
        self._dances: dict[str, Dance] = {}
        self._held = ExitStack()

    def __enter__(self) -> DanceStore:
        self._held.enter_context(gateway_folder(self.root, "WEB_DATA_FOLDER"))
        for folder in sorted(self.root.glob("*/*/")):
            self._load(folder)
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def _load(self, folder: Path) -> None:
        try:
            record = DanceRecord.read(folder)
        except Exception as error:
            leave_out(folder, "dance", error)
            return
        dance = self._dances[record.id] = Dance(record, folder)
        if record.state is State.RECORDING or record.state is State.UPLOADING:
            self.change(dance, touched_s=self.clock())  # its visitor gets the whole time again
        if record.result is not None:
            dance.progress.restore(record.result.frames, record.pictures, record.remarks)
        if record.state.is_queued and not (record.state is not State.WAITING and self.gives_up(dance)):
            self.change(dance, state=State.WAITING, word="", text="")

    def gives_up(self, dance: Dance) -> bool:
        """Count that a process ended while it worked on this dance. Returns whether that was once too often.

        The clip itself may be what ends the process, and would do so at every start.
        """
        times = dance.record.interrupted + 1
        self.change(dance, interrupted=times)
        if times <= _MOST_INTERRUPTIONS:
            return False
        text = f"The server ended {times} times while it worked on this: try another clip."
        self.change(dance, state=State.FAILED, word="internal", text=text, ended_s=self.clock())
        _remove_files(dance.folder, lambda name: name != RECORD_FILE)
        return True

    def all(self) -> list[Dance]:
        """Return all dances, oldest first."""
        return sorted(self._dances.values(), key=lambda dance: dance.record.created_s)

    def of(self, visitor_id: str) -> list[Dance]:
        """Return a visitor's dances, newest first."""
        return [dance for dance in reversed(self.all()) if dance.record.visitor_id == visitor_id]

    def find(self, visitor_id: str, dance_id: str) -> Dance:
        """Return a visitor's dance. Raises Refused 404 for an unknown one and for one of another visitor."""
        dance = self._dances.get(dance_id)
        if dance is None or dance.record.visitor_id != visitor_id:
            raise Refused(404, "no_such_dance", "You have no such dance: it may have been deleted in the meantime.")
        return dance

    def has(self, dance: Dance) -> bool:
        """Whether it was not removed."""
        return self._dances.get(dance.record.id) is dance

    def create(self, visitor: Visitor, kind: Kind, state: State, **fields: Any) -> Dance:
        """Add a dance. fields: of its record. Raises Refused 429 at the user's limit, 507 if there is no room."""
        key = visitor.limits_digits
        most = self.settings.max_dances_per_user
        kept = (dance.record for dance in self._dances.values() if dance.record.limits_key == key)
        if sum(record.state not in (State.FAILED, State.CANCELLED) for record in kept) >= most:
            text = (
                f"{most} dances and recordings of yours are kept at a time, or of others at your network's address: "
                "delete one of them, or try again when one was deleted by itself."
            )
            raise Refused(429, "too_many_dances", text)
        self.check_room(fields.get("bytes", 0))
        now_s = self.clock()
        record = DanceRecord(
            id=secrets.token_hex(_ID_BYTES),
            visitor_id=visitor.id,
            limits_key=key,
            kind=kind,
            state=state,
            created_s=now_s,
            touched_s=now_s,
            **fields,
        )
        folder = self.root / visitor.id / record.id
        folder.mkdir(mode=0o700, parents=True)
        record.write(folder)
        dance = self._dances[record.id] = Dance(record, folder)
        STARTED.labels(kind.value).inc()
        return dance

    def change(self, dance: Dance, **fields: Any) -> None:
        """Change fields of its record, also on the disk. Does nothing for a dance that was removed."""
        if self.has(dance):
            dance.record = replace(dance.record, **fields)
            dance.record.write(dance.folder)

    async def end(self, dance: Dance, state: State, word: str = "", text: str = "") -> None:
        """Set its last state, and delete what is not needed any more."""
        if dance.record.state.has_ended or not self.has(dance):
            return
        self.change(dance, state=state, word=word, text=text, ended_s=self.clock())
        ENDED.labels(dance.record.kind.value, state.value).inc()
        facts = logs.facts(dance=dance.record.id, kind=dance.record.kind, state=state, word=word)
        _log.info("a dance ended", extra=facts)
        done = {SPOOL_FILE, BACKGROUND_FILE, *((SOURCE_FILE,) if dance.record.kind is Kind.RECORDING else ())}
        all_of_them = state is not State.DONE
        await asyncio.to_thread(
            _remove_files, dance.folder, lambda name: name in done or (all_of_them and name != RECORD_FILE)
        )

    async def remove(self, dance: Dance) -> None:
        """Delete it with all its files. Nothing may work on it any more."""
        if self.has(dance):
            del self._dances[dance.record.id]
            await asyncio.to_thread(self._remove_folder, dance.folder)

    def _remove_folder(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # the visitor has other dances
            folder.parent.rmdir()

    def check_room(self, more_bytes: int = 0) -> None:
        """Raise Refused 507 unless there is room for `more_bytes`, beside what was promised to other uploads."""
        promised = sum(
            max(0, dance.record.bytes - dance.received_bytes)
            for dance in list(self._dances.values())
            if dance.record.state is State.UPLOADING
        )
        wanted = self.used_bytes + promised + more_bytes
        free = shutil.disk_usage(self.root).free - promised - more_bytes
        if wanted > self.settings.data_max_bytes or free < self.settings.disk_kept_bytes:
            raise no_room()

    @property
    def used_bytes(self) -> int:
        """The size of all files."""
        return sum(dance.used_bytes for dance in list(self._dances.values()))


def no_room() -> Refused:
    """Return the refusal of what would not fit on the disk."""
    text = "The server has no room for more clips now: try again later, or delete some of yours."
    return Refused(507, "no_room", text, retry_after_seconds=60.0)


def _remove_files(folder: Path, unwanted: Callable[[str], bool]) -> None:
    """Remove files; large ones take a while."""
    for path in folder.glob("*"):
        if unwanted(path.name):
            path.unlink(missing_ok=True)
