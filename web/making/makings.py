"""All makings of a gateway: what visitors may do with them, and what happens to those that are left alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Final

from client.cluster.options import ClusterAccess
from serving.actors.store import ActorStore
from serving.errors import ActorUnusable, BadSettings, UnreadableVideo
from serving.observability import logs
from serving.process.background import in_background
from web.access.refusals import Refused
from web.access.visitors import Visitor
from web.dances.clips import CHUNK_BYTES, SNIFFED_BYTES, append_chunk, check_beginning
from web.dances.spool import cut
from web.making import metrics
from web.making.footage import Filming, FootageLimits, check_video, spooled
from web.making.names import actor_id_from
from web.making.queue import TrainingQueue
from web.making.record import Consent, FootageRecord, State, iso
from web.making.store import Making, MakingStore, delete_footage
from web.making.trainers import Trainer, TrainerHere, TrainerOnCluster
from web.making.view import view_of
from web.settings import WebSettings

_log: Final = logging.getLogger(__name__)
MOST_WORDS_CHARACTERS: Final = 4000
_EXPIRY_EVERY_SECONDS: Final = 60.0
_OPEN: Final = (State.FILMING, State.REFUSED, State.FAILED)
"""States in which the visitor has to do something."""


def makings_of(settings: WebSettings) -> Makings:
    """Return the makings of a gateway with these settings. Raises BadSettings if trainings cannot run here."""
    if settings.making_on == "here":
        missing = [package for package in ("torch", "mediapipe") if find_spec(package) is None]
        if missing:
            message = f"training needs {missing[0]}: in a checkout, pip install -e '.[training,pose]'"
            raise BadSettings("WEB_MAKES_ACTORS", message)
        return Makings(MakingStore(settings), TrainerHere())
    access = ClusterAccess(namespace=settings.making_namespace)
    return Makings(MakingStore(settings), TrainerOnCluster(access, settings.making_image or None, settings.making_gpus))


class Makings:
    """An async context manager. trainer: where trainings run. pause: waits for so many seconds.

    Entering raises BadSettings if the folder cannot be used.
    """

    def __init__(
        self, store: MakingStore, trainer: Trainer, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.store = store
        self.settings = store.settings
        self.queue = TrainingQueue(store, trainer, pause)
        self._pause = pause
        self._actors = ActorStore(store.settings.making_actors)
        self._filming: dict[str, Filming] = {}
        self._uploads: dict[str, asyncio.Lock] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Makings:
        async with AsyncExitStack() as stack:
            stack.enter_context(self.store)
            await asyncio.to_thread(self._finish_removals)
            await stack.enter_async_context(self.queue)
            await stack.enter_async_context(in_background(self._expire(), "expiry of makings"))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def _finish_removals(self) -> None:
        try:
            self._actors.finish_removals()
        except OSError as error:
            _log.warning("files of withdrawn actors are left", extra=logs.facts(because=error.strerror))

    @property
    def limits(self) -> FootageLimits:
        """How much of a camera is kept."""
        settings = self.settings
        return FootageLimits(
            seconds=settings.max_making_seconds,
            bytes=settings.max_making_bytes,
            side_px=settings.max_clip_side_px,
            disk_kept_bytes=settings.disk_kept_bytes,
        )

    def view(self, making: Making) -> dict[str, Any]:
        """Return a making as the page sees it."""
        return view_of(making, self.store, self.queue)

    # Names and owners

    def name(self, visitor: Visitor, name: str) -> dict[str, Any]:
        """Return the actor's id for a name, and whether this visitor may use it. Raises Refused 422."""
        actor = actor_id_from(name)
        return {"actor": actor, "free": self._is_free(visitor, actor), "yours": actor in self.actors_of(visitor.id)}

    def actors_of(self, visitor_id: str) -> list[str]:
        """Return the ids of the actors that this visitor made here, and that no other person trained since."""
        made: dict[str, set[int]] = {}
        for making in self.store.of(visitor_id):
            made.setdefault(making.record.actor, set()).update(making.record.versions)
        return [actor for actor, versions in made.items() if versions and versions.issuperset(self._versions(actor))]

    def _versions(self, actor: str) -> list[int]:
        try:
            return self._actors.versions(actor)
        except ActorUnusable:
            return [-1]  # there is something, and it is not this visitor's to replace

    def _is_free(self, visitor: Visitor, actor: str) -> bool:
        for making in self.store.all():
            record = making.record
            if record.actor == actor and record.visitor_id != visitor.id and not record.state.is_over:
                return False
        return not self._versions(actor) or actor in self.actors_of(visitor.id)

    # What a visitor does, in order

    def begin(self, visitor: Visitor, name: str, *, delete_footage: bool) -> Making:
        """Begin a making. Raises Refused."""
        actor = actor_id_from(name)
        if not self._is_free(visitor, actor):
            raise Refused(409, "name_taken", f"There is an actor called {actor} already: choose another name.")
        making = self.store.create(visitor, printable(name), actor, delete_footage=delete_footage)
        metrics.STARTED.inc()
        return making

    async def film(self, making: Making) -> None:
        """Drop the footage, so that it can be filmed again.

        Raises Refused: 409 while the training goes on, 500 if the footage cannot be deleted.
        """
        self._check_open(making)
        filming = self._filming.pop(making.record.id, None)
        if filming is not None:
            filming.supersede()
        async with self._upload_lock(making):
            self._check_open(making)
            await _delete(making)
            self.store.touch(
                making,
                state=State.FILMING,
                footage=FootageRecord(),
                findings=(),
                problem=None,
                started_s=None,
                ended_s=None,
                footage_deleted=False,
            )

    async def filming(self, visitor: Visitor, making_id: str) -> Filming:
        """Return what keeps the frames of a live session, a context manager; it takes over from an earlier one.

        Raises Refused: 404 for an unknown making, 409 for one that has its footage, 500 if earlier footage cannot be
        deleted.
        """
        making = self.store.find(visitor.id, making_id)
        self._check_filming(making)
        earlier = self._filming.get(making_id)
        if earlier is not None:
            earlier.supersede()
        record, size, last_s = await asyncio.to_thread(spooled, making.spool, making.record.footage)
        self._check_filming(making)
        if record.kind == "camera":
            await asyncio.to_thread(cut, making.spool, record.bytes)
        else:
            await _delete(making)  # what a kill or a full disk left must not get into this training

        def keep(now: FootageRecord) -> None:
            if self._filming.get(making_id) is filming and making.record.state is State.FILMING:
                self.store.touch(making, footage=now)

        filming = Filming(making.spool, self.limits, record, keep, size, last_s)
        self._filming[making_id] = filming
        return filming

    async def upload(self, making: Making, offset: int, size: int | None, chunk: bytes) -> None:
        """Add a piece of a video file. size: of the whole file, needed with the first piece. Raises Refused."""
        async with self._upload_lock(making):
            self._check_filming(making)
            footage = making.record.footage
            if footage.kind != "file" or offset == 0:
                footage = await self._new_upload(making, size, chunk)
            if offset != footage.bytes:
                raise WrongOffset(footage.bytes)
            if len(chunk) > CHUNK_BYTES or offset + len(chunk) > footage.size:
                raise Refused(
                    413, "footage_too_large", f"A piece has at most {CHUNK_BYTES} bytes, up to the file's end."
                )
            self.store.check_room(len(chunk))
            await asyncio.to_thread(append_chunk, making.upload, offset, chunk)
            footage = replace(footage, bytes=offset + len(chunk))
            if footage.bytes == footage.size:
                footage = await self._checked_upload(making, footage)
            self.store.touch(making, footage=footage)

    async def _checked_upload(self, making: Making, footage: FootageRecord) -> FootageRecord:
        try:
            frames, seconds = await asyncio.to_thread(check_video, making.upload, self.settings)
        except (Refused, UnreadableVideo):
            self.store.touch(making, footage=FootageRecord())
            await _delete(making)
            raise
        return replace(footage, frames=frames, seconds=seconds)

    async def _new_upload(self, making: Making, size: int | None, chunk: bytes) -> FootageRecord:
        if size is None or size < 1:
            raise Refused(422, "bad_size", "The first piece must say how many bytes the whole file has: size=….")
        if size > self.settings.max_making_bytes:
            most = self.settings.max_making_bytes // 2**20
            raise Refused(413, "footage_too_large", f"The video has {size // 2**20} MiB, and {most} are taken: cut it.")
        check_beginning(chunk[:SNIFFED_BYTES])
        filming = self._filming.pop(making.record.id, None)
        if filming is not None:
            filming.supersede()
        footage = FootageRecord(kind="file", size=size)
        self.store.touch(making, footage=footage)
        await _delete(making)
        return footage

    def agree(self, making: Making, name: str, typed: str, shown: str) -> None:
        """Store the consent. Raises Refused."""
        self._check_open(making)
        words = [printable(text) for text in (name, typed, shown)]
        if not all(words) or max(map(len, words)) > MOST_WORDS_CHARACTERS:
            most = MOST_WORDS_CHARACTERS
            text = f"A consent takes a name, typed words and the text that was shown, at most {most} characters each."
            raise Refused(422, "bad_consent", text)
        at = iso(self.store.clock())
        assert at is not None
        self.store.touch(making, consent=Consent(name=words[0], typed=words[1], shown=words[2], at=at))

    def start(self, making: Making) -> None:
        """Queue the training. Raises Refused."""
        record = making.record
        if record.state.is_queued or record.state.is_over:
            raise Refused(409, "already_started", "This training has begun already, or is over.")
        if record.state is State.REFUSED or not record.footage.is_complete:
            raise Refused(409, "no_footage", "There is no footage to train on: film, or upload a whole video.")
        if record.consent is None:
            raise Refused(409, "no_consent", "The person in the footage has to agree first.")
        if len(self.store.waiting()) >= self.settings.max_makings_waiting:
            text = "Too many people are waiting for their actors: try again in a few minutes."
            raise Refused(429, "too_many", text, retry_after_seconds=60.0)
        filming = self._filming.pop(record.id, None)
        if filming is not None:
            filming.supersede()
        self.store.touch(
            making,
            state=State.WAITING,
            queued_s=self.store.clock(),
            started_s=None,
            ended_s=None,
            attempt=record.attempt + 1,
        )
        self.queue.look()

    def cancel(self, making: Making) -> None:
        """End a making; its files are deleted a moment later. Does nothing for one that is over."""
        filming = self._filming.pop(making.record.id, None)
        if filming is not None:
            filming.supersede()
        if not making.record.state.is_over:
            self.queue.cancel(making)

    async def forget(self, making: Making) -> None:
        """Cancel a making, wait until its files are deleted, and forget it, unless it is how its actor is known.

        Raises Refused 500 if its files cannot be deleted.
        """
        self.cancel(making)
        self.queue.drop_footage(making)
        if not await self.queue.cleared(making):
            raise _not_deleted()
        if making.record.versions and self._versions(making.record.actor):
            return
        await asyncio.to_thread(self.store.forget, making)

    async def withdraw(self, visitor: Visitor, actor: str) -> None:
        """Delete an actor that this visitor made. Raises Refused 404 and 409, and 500 if footage cannot be deleted."""
        if actor not in self.actors_of(visitor.id) or not self._versions(actor):
            raise Refused(404, "not_yours", "You have made no actor of this name here.")
        makings = [making for making in self.store.of(visitor.id) if making.record.actor == actor]
        if any(making.record.state.is_queued for making in makings):
            raise Refused(409, "in_training", "This actor is in training: cancel that first.")
        for making in makings:
            if making.record.state.is_over:
                await _delete(making)
        await asyncio.to_thread(self._actors.remove, actor)
        metrics.WITHDRAWN.inc()
        for making in makings:
            if making.record.state.is_over:
                await asyncio.to_thread(self.store.forget, making)
            else:
                self.store.change(making, versions=())

    # What nobody goes on with

    async def _expire(self) -> None:
        while True:
            await self._pause(_EXPIRY_EVERY_SECONDS)
            try:
                self.expire()
            except Exception:  # of any kind, such as a disk's: what is not deleted now is deleted later
                _log.exception("makings were not deleted in time")

    def expire(self) -> None:
        """Cancel what waits too long for its visitor, delete what could not be deleted, forget what left no actor."""
        self.queue.clear_again()
        before_s = self.store.clock() - self.settings.makings_kept_seconds
        for making in self.store.all():
            record = making.record
            if record.touched_s >= before_s or (record.ended_s or 0.0) >= before_s:
                continue
            if record.state in _OPEN:
                metrics.EXPIRED.inc()
                self.cancel(making)
            elif record.state is State.CANCELLED and record.footage_deleted and not record.versions:
                self.store.forget(making)

    def _upload_lock(self, making: Making) -> asyncio.Lock:
        return self._uploads.setdefault(making.record.id, asyncio.Lock())

    def _check_open(self, making: Making) -> None:
        if making.record.state not in _OPEN:
            raise Refused(409, "already_started", "This training has begun already, or is over.")

    def _check_filming(self, making: Making) -> None:
        if making.record.state is not State.FILMING:
            text = "There is footage already: ask for filming again, which deletes it."
            raise Refused(409, "already_filmed", text)


async def _delete(making: Making) -> None:
    try:
        await asyncio.to_thread(delete_footage, making)
    except OSError as error:
        _log.error("footage was not deleted", extra=logs.facts(making=making.record.id, because=error))
        raise _not_deleted() from error


def _not_deleted() -> Refused:
    return Refused(500, "not_deleted", "The footage could not be deleted. The server will try again.")


def printable(text: str) -> str:
    """Return a text of a visitor without control characters, on one line, without spaces around it."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


class WrongOffset(Refused):
    """A piece of a file does not begin where the last one ended. received_bytes: how much is there."""

    def __init__(self, received_bytes: int) -> None:
        super().__init__(409, "wrong_offset", f"{received_bytes} bytes are here: go on there.")
        self.received_bytes = received_bytes
