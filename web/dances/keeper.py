"""The dances of a gateway: works on them one after another, and deletes them after their time."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from grpc import StatusCode

from client.errors import NoBodyFound, ServerError, UnwritableVideo
from provenance.credentials.signing import ContentCredentials
from serving.errors import UnreadableVideo
from serving.observability import logs
from serving.process.background import in_background, in_stoppable_thread
from web.access.orchestrator import Orchestrator
from web.access.refusals import Refused, consent_word
from web.access.signing import gateway_credentials
from web.access.visitors import Visitor, Visitors
from web.dances.clips import SampleDance, check_clip, for_people, sample_dances
from web.dances.dance import SOURCE_FILE, Dance, Kind, State
from web.dances.dancing import ClipDancer
from web.dances.finishing import NothingToDance, finish
from web.dances.metrics import DELETED, KEPT_BYTES
from web.dances.queue import DanceQueue
from web.dances.recordings import RecordingSpool, finish_recording
from web.dances.store import DanceStore
from web.settings import WebSettings

_FULL_WAIT_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 30.0
_log: Final = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")


class DanceKeeper:
    """Owns the store and the queue. `running()` works and deletes while its context lasts.

    clock: Unix time in seconds.
    """

    def __init__(
        self,
        settings: WebSettings,
        orchestrator: Orchestrator,
        visitors: Visitors,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.orchestrator = orchestrator
        self.visitors = visitors
        self.store = DanceStore(settings, clock)
        self.queue = DanceQueue(self.store, self._work, at_once=settings.dances_at_once, may_begin=self._may_begin)
        self.samples: dict[str, SampleDance] = {}
        self._rejected_tokens: dict[str, str] = {}
        self._recordings: dict[str, RecordingSpool] = {}
        self._credentials: ContentCredentials | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[DanceKeeper]:
        """Read what an earlier process left, and go on. Raises BadSettings for an unusable folder, and CannotSign."""
        self.samples = await asyncio.to_thread(sample_dances)
        self._credentials = await asyncio.to_thread(gateway_credentials, self.settings)
        with self.store:
            for dance in self.store.all():
                if dance.record.state is State.UPLOADING and dance.has_all and not self.store.gives_up(dance):
                    await self._check_after_restart(dance)
            try:
                async with self.queue.running(), in_background(self._delete_in_time(), "dance expiry"):
                    yield self
            finally:
                for spool in self._recordings.values():
                    await asyncio.to_thread(spool.close)

    def source_of(self, dance: Dance) -> Path:
        """Return the clip of a dance. Raises Refused 404 if its sample is not installed any more."""
        if not dance.record.sample:
            return dance.folder / SOURCE_FILE
        if dance.record.sample not in self.samples:
            raise Refused(404, "no_such_sample", "There is no such sample dance.")
        return self.samples[dance.record.sample].path

    async def uploaded(self, dance: Dance) -> None:
        """Check a dance whose upload is complete, and queue it. Raises Refused, and ends the dance, if it cannot be."""
        if dance.record.kind is Kind.DANCE and not dance.record.sample:
            try:
                clip, notes = await asyncio.to_thread(check_clip, dance.folder / SOURCE_FILE, self.settings)
            except Refused as refusal:
                await self.store.end(dance, State.FAILED, refusal.word, str(refusal))
                raise
            self.store.change(dance, clip=clip, notes=notes)
        self.store.change(dance, state=State.WAITING)
        self.queue.wake()

    def begin_recording(self, visitor: Visitor, actor: str) -> Dance:
        """Add a recording, which `recording_of` then takes pictures for. Raises Refused at the user's limit."""
        dance = self.store.create(visitor, Kind.RECORDING, State.RECORDING, actor=actor)
        self._recordings[dance.record.id] = RecordingSpool(
            dance,
            most_seconds=self.settings.max_recording_seconds,
            most_bytes=self.settings.max_recording_bytes,
            check_room=self.store.check_room,
            clock=self.store.clock,
        )
        return dance

    def recording_of(self, visitor_id: str, dance_id: str) -> RecordingSpool:
        """Return where a visitor's live session puts its pictures. It need not be closed.

        Raises Refused 404 for an unknown one, 409 for one that was stopped or begun before the gateway's restart.
        """
        dance = self.store.find(visitor_id, dance_id)
        if dance.record.id not in self._recordings:
            raise Refused(409, "wrong_state", "This recording takes no more pictures: begin another one.")
        return self._recordings[dance.record.id]

    async def stop_recording(self, dance: Dance, sound_bytes: int, sound_begins_seconds: float) -> None:
        """Take no more pictures, and queue the recording, after its sound has been uploaded if there is one."""
        await self._close_recording(dance)
        state = State.UPLOADING if sound_bytes else State.WAITING
        self.store.change(
            dance,
            state=state,
            bytes=sound_bytes,
            sound_begins_seconds=sound_begins_seconds,
            touched_s=self.store.clock(),
        )
        self.queue.wake()

    async def _close_recording(self, dance: Dance) -> None:
        spool = self._recordings.pop(dance.record.id, None)
        if spool is not None:
            spool.full = True  # here, on the loop: nothing may be appended while the thread below closes it
            await asyncio.to_thread(spool.close)

    async def cancel(self, dance: Dance) -> None:
        """Stop a dance and delete its files, except its record."""
        await self.queue.cancel(dance)
        await self._close_recording(dance)
        async with dance.uploading:
            await self.store.end(dance, State.CANCELLED)

    async def remove(self, dance: Dance) -> None:
        """Stop a dance and delete it."""
        await self.queue.cancel(dance)
        await self._close_recording(dance)
        async with dance.uploading:
            await self.store.remove(dance)

    def deletes_in_seconds(self, dance: Dance) -> float | None:
        """Return when a dance will be deleted; None while it is in the queue or at work."""
        record, kept_seconds = dance.record, self.settings.dances_kept_seconds
        if record.state.is_queued and record.word != "sign_in_again":
            return None
        since_s = record.touched_s if record.ended_s is None else record.ended_s
        if record.id in self._recordings:
            since_s = max(since_s, self._recordings[record.id].touched_s)
        return max(0.0, since_s + kept_seconds - self.store.clock())

    async def delete_old(self) -> None:
        """Delete the dances whose time is over."""
        for dance in self.store.all():
            if self.deletes_in_seconds(dance) == 0.0 and not dance.uploading.locked():
                await self.remove(dance)
                DELETED.labels(dance.record.kind.value).inc()
        KEPT_BYTES.set(await asyncio.to_thread(lambda: self.store.used_bytes))

    async def _delete_in_time(self) -> None:
        while True:
            try:
                await self.delete_old()
            except Exception:  # of any kind, such as a disk's: what is not deleted now is deleted later
                _log.exception("dances were not deleted in time")
            await asyncio.sleep(min(_LOOK_SECONDS, self.settings.dances_kept_seconds / 2))

    async def _check_after_restart(self, dance: Dance) -> None:
        try:
            await self.uploaded(dance)
        except Refused as refusal:
            _log.info("refused a clip", extra=logs.facts(word=refusal.word))

    def _may_begin(self, dance: Dance) -> bool:
        if dance.record.kind is Kind.RECORDING:
            return True
        visitor_id = dance.record.visitor_id
        token = self.visitors.token_of(visitor_id)
        may = token is not None and self._rejected_tokens.get(visitor_id) != token
        word = "" if may else "sign_in_again"
        if may:
            self._rejected_tokens.pop(visitor_id, None)
        if dance.record.word != word:
            # From now on, its visitor has as long as for an upload.
            self.store.change(dance, word=word, text="", touched_s=self.store.clock())
        return may

    async def _work(self, dance: Dance) -> None:
        try:
            await self._work_to_the_end(dance)
        except Refused as refusal:
            await self.store.end(dance, State.FAILED, refusal.word, str(refusal))
        except UnreadableVideo as error:
            await self.store.end(dance, State.FAILED, "unreadable_clip", for_people(error, self.source_of(dance)))
        except NoBodyFound:
            text = "Head, hips and both ankles are never seen together: film the whole body, from head to feet."
            await self.store.end(dance, State.FAILED, "no_body", text)
        except NothingToDance as error:
            await self.store.end(dance, State.FAILED, "nothing_to_dance", str(error))
        except ServerError as error:
            await self._end_by_server(dance, error)
        except (UnwritableVideo, OSError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if not (isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)):
                raise
            await self.store.end(dance, State.FAILED, "no_room", "The server's disk is full: try again later.")

    async def _work_to_the_end(self, dance: Dance) -> None:
        signed = self._credentials
        assert signed is not None
        if dance.record.kind is Kind.RECORDING:
            self.store.change(dance, state=State.FINISHING)
            result, notes = await in_stoppable_thread(lambda stopped: finish_recording(dance, signed, stopped))
        else:
            await self._dance(dance)
            self.store.change(dance, state=State.FINISHING)
            source = self.source_of(dance)
            result, notes = await in_stoppable_thread(lambda stopped: finish(dance, source, signed, stopped))
        self.store.change(
            dance,
            result=result,
            notes=tuple(dict.fromkeys((*dance.record.notes, *notes))),
            pictures=dance.progress.pictures,
            remarks=dict(dance.progress.remarks),
        )
        await self.store.end(dance, State.DONE)

    async def _dance(self, dance: Dance) -> None:
        token = self.visitors.token_of(dance.record.visitor_id) or ""
        access, consents = self.orchestrator.access_for(token), self.orchestrator.consents
        dancer = ClipDancer(self.store, dance, self.source_of(dance), access, consents)
        assert dance.record.clip is not None
        dance.progress.of = dance.record.clip.frames
        if dance.record.body is None:
            self.store.change(dance, state=State.MEASURING)
            fitted = await _despite_full_server(dance, dancer.measure)
            clip = replace(dance.record.clip, frames=dance.progress.measured)
            self.store.change(dance, body=fitted.body, clip=clip)
        dance.progress.measured = dance.progress.of = dance.record.clip.frames or 0
        self.store.change(dance, state=State.DANCING)
        await _despite_full_server(dance, dancer.dance)

    async def _end_by_server(self, dance: Dance, error: ServerError) -> None:
        visitor_id = dance.record.visitor_id
        if error.status is StatusCode.UNAUTHENTICATED and self.visitors.needs_token:
            # The token has expired: the dance goes on from its last checkpoint with the next one.
            self._rejected_tokens[visitor_id] = self.visitors.token_of(visitor_id) or ""
            self.store.change(dance, state=State.WAITING)
            return
        gone = error.retryable or error.status in (None, StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED)
        _log.warning("a dance was ended by the server", extra=logs.facts(because=error))
        if gone:
            text = "The server that dances could not be reached for too long: try it again later."
            await self.store.end(dance, State.FAILED, "server_gone", text)
        else:
            _, word = consent_word(error) or (409, "refused")
            await self.store.end(dance, State.FAILED, word, f"The server answered: {error}")


async def _despite_full_server(dance: Dance, work: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Do the work, and again as long as the server has no room for it."""
    while True:
        try:
            return await work()
        except ServerError as error:
            if error.status is not StatusCode.RESOURCE_EXHAUSTED:
                raise
            wait_seconds = error.retry_after_seconds or _FULL_WAIT_SECONDS
        dance.progress.stand_still("server_full")
        await asyncio.sleep(wait_seconds)
