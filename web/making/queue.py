"""The queue of trainings: one at a time over all visitors, through restarts of the gateway."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from client.errors import UnwritableVideo
from client.training.unattended import TrainingLog, UnattendedTraining
from serving.actors.store import ActorStore
from serving.errors import ActorNotFound, ActorUnusable
from serving.observability import logs
from serving.process.exit_codes import EXIT_FINAL, EXIT_PUBLISHED
from web.making import metrics
from web.making.footage import write_videos
from web.making.record import State
from web.making.store import Making, MakingStore, delete_footage
from web.making.trainers import Trainer, TrainingBroke

_log: Final = logging.getLogger(__name__)
_ATTEMPTS: Final = 3
_PAUSE_SECONDS: Final = 10.0
"""Between two attempts: a training of a killed gateway needs a moment to end."""


class TrainingQueue:
    """Trains what waits in the store, first come, first served; an async context manager.

    pause: waits for so many seconds, between attempts.
    """

    def __init__(
        self,
        store: MakingStore,
        trainer: Trainer,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._trainer = trainer
        self._pause = pause
        self._actors = ActorStore(store.settings.making_actors)
        self._changed = asyncio.Event()
        self._cleared = asyncio.Event()
        self._current: tuple[Making, asyncio.Task[None]] | None = None
        self._logs: dict[str, TrainingLog] = {}
        self._task: asyncio.Task[None] | None = None
        self._clearing: set[asyncio.Task[None]] = set()
        self._undeletable: set[Making] = set()

    async def __aenter__(self) -> TrainingQueue:
        for making in self._store.all():
            if making.record.deletes:  # an earlier process was killed before it did
                self._clear_later(making)
        self.look()
        self._task = asyncio.create_task(self._run(), name="trainings")
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._task is not None
        for task in (self._task, *self._clearing):
            task.cancel()  # the next start deletes what is left
        await asyncio.wait({self._task, *self._clearing})
        if not self._task.cancelled():
            self._task.result()

    def look(self) -> None:
        """Notice that the queue has changed."""
        metrics.WAITING.set(len(self._store.waiting()))
        self._changed.set()

    def log_of(self, making: Making) -> TrainingLog | None:
        """Return what the training of a making has said; None while it does not train."""
        return self._logs.get(making.record.id)

    def cancel(self, making: Making) -> None:
        """End the making; its training is stopped and its files are deleted a moment later."""
        self._store.touch(making, state=State.CANCELLED, ended_s=self._store.clock())
        metrics.ENDED.labels(State.CANCELLED).inc()
        if self._current is not None and self._current[0] is making:
            self._current[1].cancel()  # the queue deletes its files once it has ended
        else:
            self._clear_later(making)
        self.look()

    def drop_footage(self, making: Making) -> None:
        """Delete the footage that its visitor kept after the training; a moment later it is gone."""
        if making.record.state is State.DONE and not making.record.delete_footage:
            self._store.touch(making, delete_footage=True)
            self._clear_later(making)

    async def cleared(self, making: Making) -> bool:
        """Wait until the files that a making has to delete are gone. Returns False if they cannot be deleted now.

        What could not be deleted before is tried again.
        """
        self._clear_again(making)
        while making.record.deletes and making not in self._undeletable:
            await self._cleared.wait()
        return making not in self._undeletable

    def clear_again(self) -> None:
        """Try again to delete what could not be deleted; a moment later it is gone."""
        for making in list(self._undeletable):
            self._clear_again(making)

    def _clear_again(self, making: Making) -> None:
        if making in self._undeletable:
            self._undeletable.discard(making)
            if self._store.has(making):
                self._clear_later(making)

    def _clear_later(self, making: Making) -> None:
        task = asyncio.create_task(self._clear(making), name="deleting footage")
        self._clearing.add(task)
        task.add_done_callback(self._clearing.discard)

    async def _clear(self, making: Making) -> None:
        """Delete the footage and what was made from it, once nothing writes to it any more."""
        if making.record.attempt and making.record.state is State.CANCELLED:
            try:
                await self._trainer.cancel(self._training(making), _submission(making))
            except TrainingBroke as broke:
                _log.warning("a training was not cancelled", extra=logs.facts(making=making.record.id, because=broke))
        try:
            await asyncio.to_thread(delete_footage, making)
            self._store.change(making, footage_deleted=True)
        except Exception as error:  # of any kind: who waits for it must be told
            self._undeletable.add(making)
            _log.error("footage was not deleted", extra=logs.facts(making=making.record.id, because=error))
        finally:
            self._cleared.set()
            self._cleared = asyncio.Event()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            waiting = self._store.waiting()
            if not waiting:
                await self._changed.wait()
                continue
            making = waiting[0]
            task = asyncio.create_task(self._train(making), name=f"training {making.record.id}")
            self._current = making, task
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:  # the gateway ends: the record says that this training goes on
                task.cancel()
                await asyncio.wait({task})
                raise
            finally:
                self._current = None
                self._logs.pop(making.record.id, None)
            try:
                await self._after(making, task)
            except Exception:  # of any kind, such as a disk's: the trainings of others must go on
                _log.exception("the end of a training was not stored")
            self.look()

    async def _after(self, making: Making, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a training failed", exc_info=error, extra=logs.facts(making=making.record.id))
            self._fail(making, "training_failed", "The training failed here; it has been logged.")
        if making.record.deletes:
            await self._clear(making)

    async def _train(self, making: Making) -> None:
        store = self._store
        continued = making.record.started_s is not None
        if not continued:
            store.change(making, existed=tuple(self._actors.versions(making.record.actor)))
        store.change(
            making, state=State.TRAINING, started_s=making.record.started_s or store.clock(), problem=None, findings=()
        )
        self.look()
        if not await self._write_videos(making):
            return
        for attempt in range(_ATTEMPTS):
            if attempt:
                await self._pause(_PAUSE_SECONDS)
            log = self._logs[making.record.id] = TrainingLog()

            def on_line(line: str, log: TrainingLog = log) -> None:
                if self._logs.get(making.record.id) is log:
                    log.line(line)
                    self._take_in(making, log)

            try:
                code = await self._trainer.run(self._training(making), _submission(making), on_line)
            except TrainingBroke as broke:
                log.failure = str(broke)
                code = -1
            self._take_in(making, log)
            _log.info("a training ended", extra=logs.facts(making=making.record.id, code=code, because=log.failure))
            if code in (EXIT_PUBLISHED, EXIT_FINAL):
                break
        self._end(making, code, log)

    async def _write_videos(self, making: Making) -> bool:
        """Turn a camera's frames into videos. Returns whether there is anything to train on."""
        if making.record.footage.kind != "camera" or making.videos.is_dir():
            return True
        writing = asyncio.create_task(asyncio.to_thread(write_videos, making.spool, making.videos))
        try:
            written = await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})  # a thread cannot be stopped, and must not write into a deleted folder
            raise
        except (OSError, UnwritableVideo) as error:
            _log.warning("the footage was not written", extra=logs.facts(making=making.record.id, because=error))
            self._fail(making, "disk_full", "The footage cannot be written here: the disk may be full.")
            return False
        if not written:
            self._refuse(making, "too_short", "There is too little footage: film for twenty seconds.")
        return bool(written)

    def _training(self, making: Making) -> UnattendedTraining:
        settings, record = self._store.settings, making.record
        files = sorted(making.videos.glob("*.mp4")) if record.footage.kind == "camera" else [making.upload]
        return UnattendedTraining(
            actor=record.actor,
            consent="" if record.consent is None else record.consent.record.canonical_json(),
            footage=tuple(files),
            preset=settings.making_preset,
            minutes=settings.making_minutes,
            frame_rate=settings.making_frame_rate,
            actors=settings.making_actors,
            work=making.work,
            device=settings.making_device,
        )

    def _take_in(self, making: Making, log: TrainingLog) -> None:
        """Store what must outlive this process: findings and versions."""
        record = making.record
        findings = tuple(
            {
                "word": finding.what.replace(" ", "_"),
                "level": finding.level,
                "measured": finding.measured,
                "advice": finding.advice,
            }
            for finding in log.findings.values()
        )
        versions = tuple(sorted({*record.versions, *log.versions}))
        if versions != record.versions and not record.versions and record.started_s is not None:
            metrics.FIRST_VERSION_SECONDS.observe(max(0.0, self._store.clock() - record.started_s))
        if versions != record.versions or findings != record.findings:
            self._store.change(making, versions=versions, findings=findings)

    def _end(self, making: Making, code: int, log: TrainingLog) -> None:
        self._find_versions(making)
        if code == EXIT_PUBLISHED and self._is_served(making):
            self._store.change(making, state=State.DONE, ended_s=self._store.clock())
            metrics.ENDED.labels(State.DONE).inc()
        elif code == EXIT_PUBLISHED:
            text = "The actor was trained, but none of its versions shows the person well enough: film again."
            self._refuse(making, "not_good_enough", text)
        elif any(finding["level"] == "refused" for finding in making.record.findings):
            self._refuse(making, "footage_refused", _for_people(log.failure))
        elif code == EXIT_FINAL:
            self._refuse(making, "footage_unusable", _for_people(log.failure))
        else:
            self._fail(making, "training_failed", "The training failed; the reason has been logged. Try it again.")

    def _is_served(self, making: Making) -> bool:
        try:
            return self._actors.served(making.record.actor).version > 0
        except (ActorNotFound, ActorUnusable):
            return False

    def _find_versions(self, making: Making) -> None:
        """Add versions whose lines in the log were lost with an earlier process."""
        record = making.record
        with suppress(ActorUnusable):
            new = set(self._actors.versions(record.actor)) - set(record.existed)
            self._store.change(making, versions=tuple(sorted({*record.versions, *new})))

    def _refuse(self, making: Making, code: str, text: str) -> None:
        self._set_end(making, State.REFUSED, code, text)

    def _fail(self, making: Making, code: str, text: str) -> None:
        self._set_end(making, State.FAILED, code, text)

    def _set_end(self, making: Making, state: State, code: str, text: str) -> None:
        problem = {"code": code, "text": text}
        self._store.change(making, state=state, problem=problem, ended_s=self._store.clock())
        metrics.ENDED.labels(state).inc()


def _submission(making: Making) -> str:
    return f"{making.record.id}-{making.record.attempt}"


def _for_people(failure: str) -> str:
    """Return why footage is of no use, without the files and options of the command line."""
    reason = re.split(r" \(report: |\.? Report: ", failure)[0]
    return re.sub(r"^(?:footage-\d+\.mp4|upload)(?:, footage-\d+\.mp4| and \d+ more)*", "this footage", reason)
