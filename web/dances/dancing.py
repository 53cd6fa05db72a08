"""Dances a clip on the server: measures the body, then spools every answer, and goes on after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from client.connection.resuming_session import CHECKPOINT_FIELD, ResumingSession
from client.connection.retry import ServerPatience
from client.connection.server_access import ServerAccess
from client.connection.session import DanceClient
from client.connection.types import Accepted, Answer, BodyFit, PoseChoice, SentFrame, TransferOptions
from client.errors import ServerError
from client.media.frame_feed import FeedOptions, FileFeed
from client.media.source import Reader, Source, opened
from client.transfer.body_pass import fit_counted
from client.transfer.job import CHECKPOINT_EVERY_FRAMES
from client.transfer.look_ahead import look_ahead_for
from client.transfer.made_by import drawn_by
from motion.frame import EncodedPicture, Frame
from video.reader import SourceFrame, VideoReader
from web.access.consents import StatedConsents
from web.access.refusals import Refused
from web.dances.clips import MOST_RATE_HZ, background_of
from web.dances.dance import BACKGROUND_FILE, SPOOL_FILE, Dance
from web.dances.metrics import FRAMES
from web.dances.progress import Preview, Progress
from web.dances.spool import Spool, SpoolRecord, cut, records
from web.dances.store import DanceStore
from web.live.messages import pose_bytes

MAX_SIDE_PX: Final = 1280
"""Larger frames are shrunk to this longer side before they are sent, as `dance transfer` does."""
_MOST_BEGINNINGS: Final = 3
SESSION, ANSWER, END = "session", "answer", "end"
"""The kinds of a spool's records: `session` is the first one, `end` the last one of a dance that is complete."""
DRAWN: Final = "drawn"
"""The field of what Content Credentials will say about the pictures."""


class _WatchedFeed(FileFeed):
    """A clip's frames from some frame on, for one session. sent: the pictures of the frames in flight, by sequence."""

    def __init__(self, frames: Iterator[SourceFrame], options: FeedOptions, most_frames: int | None) -> None:
        super().__init__(frames, options)
        self.sent: dict[int, EncodedPicture] = {}
        self._most_frames = most_frames

    def limit_side(self, max_side_px: int) -> None:
        """Shrink the frames that follow to this longer side."""
        self._options = replace(self._options, max_side_px=max_side_px)

    async def skip(self, count: int) -> None:
        """Leave out the next frames, which have been answered already."""

        def decode() -> None:
            for _ in islice(self._frames, count):
                pass

        await asyncio.get_running_loop().run_in_executor(self._thread, decode)

    async def __anext__(self) -> SentFrame:
        frame = await super().__anext__()
        if self._most_frames is not None and frame.sequence >= self._most_frames:
            text = f"It has more than {self._most_frames} frames, which is the limit. Cut it shorter."
            raise Refused(413, "clip_too_long", text)
        assert isinstance(frame, Frame)
        self.sent[frame.sequence] = frame.picture
        return frame


@dataclass(frozen=True, slots=True)
class _Clip(Source):
    """The source of one dance. progress: sees the frames of a pass that has no answers."""

    mirror: bool = False
    most_frames: int | None = None
    progress: Progress | None = None

    def open(self) -> VideoReader:
        return VideoReader(self.name)

    def feed(self, reader: Reader, options: FeedOptions) -> _WatchedFeed:
        assert isinstance(reader, VideoReader)
        frames = map(_mirrored, reader.frames()) if self.mirror else reader.frames()
        feed = _WatchedFeed if self.progress is None else _ShownFeed
        made = feed(frames, options, self.most_frames)
        if isinstance(made, _ShownFeed):
            made.progress = self.progress
        return made


class _ShownFeed(_WatchedFeed):
    """Shows the newest frame that was sent: while the body is measured there are no answers."""

    progress: Progress | None = None

    async def __anext__(self) -> SentFrame:
        frame = await super().__anext__()
        if self.progress is not None:
            self.progress.show(Preview(frame.sequence, self.sent.pop(frame.sequence)))
        return frame


def _mirrored(frame: SourceFrame) -> SourceFrame:
    return SourceFrame(frame.index, frame.pts, frame.seconds, np.ascontiguousarray(frame.pixels[:, ::-1]))


class _Measured:
    """Counts the frames of the body pass."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def advance(self) -> None:
        self._progress.count()

    def restart(self) -> None:
        self._progress.begin(measures=True)

    def interrupted(self, reason: Exception | None) -> None:
        self._progress.stand_still("" if reason is None else lost_word(reason))


def lost_word(reason: Exception) -> str:
    """Return in one word why a dance waits for the server."""
    full = isinstance(reason, ServerError) and reason.status is not None and reason.status.name == "RESOURCE_EXHAUSTED"
    return "server_full" if full else "server_lost"


@dataclass(frozen=True, slots=True)
class Begun:
    """What a spool holds. checkpoint: to go on at `next_sequence`. ended: whether all frames have been answered."""

    next_sequence: int = 0
    checkpoint: bytes = b""
    ended: bool = False


def recover(path: Path, progress: Progress) -> Begun:
    """Cut a spool behind its last checkpoint, and count in `progress` what is left. Raises OSError."""
    begun, end_bytes = Begun(), 0
    for record, at_bytes in records(path):
        if record.head["kind"] == END:
            begun, end_bytes = Begun(ended=True), at_bytes
        elif record.head["kind"] == ANSWER and record.parts[CHECKPOINT]:
            begun, end_bytes = Begun(record.head["sequence"] + 1, record.parts[CHECKPOINT]), at_bytes
    if path.exists():
        cut(path, end_bytes)
    progress.begin_dance()
    for record, _ in records(path):
        if record.head["kind"] == ANSWER:
            progress.done += 1
            progress.pictures += not record.head["no_picture"]
            progress.remarks.update([name for name in (record.head["no_picture"], *record.head["remarks"]) if name])
    return begun


PICTURE, POSE, CHECKPOINT = 0, 1, 2
"""The parts of an answer's record."""


def answer_record(answer: Answer, pts: int, sent: EncodedPicture) -> SpoolRecord:
    """Return what is spooled of an answer. sent: the frame's picture, whose size the pose's pixels have."""
    picture = b"" if answer.picture is None else answer.picture.data
    pose = b"" if answer.source_pose is None else pose_bytes(answer.source_pose)
    head: dict[str, Any] = {
        "kind": ANSWER,
        "sequence": answer.sequence,
        "pts": pts,
        "no_picture": "" if answer.no_picture is None else answer.no_picture.value,
        "detail": answer.detail,
        "remarks": list(answer.remarks),
        "frame": [sent.width_px, sent.height_px],
        "picture": [0, 0] if answer.picture is None else [answer.picture.width_px, answer.picture.height_px],
    }
    return SpoolRecord(head, (picture, pose, answer.checkpoint))


def _session_record(accepted: Accepted, reader: VideoReader, actor: str) -> SpoolRecord:
    size = accepted.picture_size
    return SpoolRecord(
        {
            "kind": SESSION,
            "picture_size": [size.width_px, size.height_px],
            "time_base": str(reader.time_base),
            "frame_rate": str(reader.frame_rate),
            "start_seconds": reader.start_seconds,
            DRAWN: drawn_by(accepted, actor, (), source_name="clip").to_json(),
        }
    )


class ClipDancer:
    """One dance's way to a complete spool. source: its clip. access: the server, with the visitor's token."""

    def __init__(
        self, store: DanceStore, dance: Dance, source: Path, access: ServerAccess, consents: StatedConsents
    ) -> None:
        self._store = store
        self._dance = dance
        self.access = access
        self._consents = consents
        self._source = str(source)
        is_sample = bool(dance.record.sample)
        self._most_frames = None if is_sample else int(store.settings.max_clip_seconds * MOST_RATE_HZ)
        self._spool_path = dance.folder / SPOOL_FILE

    def _clip(self, progress: Progress | None = None) -> _Clip:
        return _Clip(self._source, mirror=self._dance.record.mirror, most_frames=self._most_frames, progress=progress)

    def _patience(self) -> ServerPatience:
        return ServerPatience(self._store.settings.dance_patience_seconds, reached=True)

    async def measure(self) -> BodyFit:
        """Measure the dancer's body in the whole clip. Raises NoBodyFound, UnreadableVideo, ServerError, Refused."""
        progress = self._dance.progress
        progress.begin(measures=True)
        clip = self._clip(progress)
        fitted, _ = await fit_counted(
            clip, self.access, _Measured(progress), MAX_SIDE_PX, PoseChoice(), self._patience()
        )
        return fitted

    async def dance(self) -> None:
        """Spool the answers to all frames, from the last checkpoint on. Raises UnreadableVideo, ServerError, Refused.

        If the server does not take the checkpoint, the dance begins again.
        """
        while True:
            begun = await asyncio.to_thread(recover, self._spool_path, self._dance.progress)
            if begun.ended:
                return
            try:
                await self._dance_from(begun)
            except ServerError as error:
                beginnings = self._dance.record.began_again
                if error.field != CHECKPOINT_FIELD or beginnings >= _MOST_BEGINNINGS:
                    raise
                self._spool_path.unlink(missing_ok=True)
                self._store.change(self._dance, began_again=beginnings + 1)

    async def _dance_from(self, begun: Begun) -> None:
        dance, progress = self._dance, self._dance.progress
        progress.begin(begun.next_sequence)
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as closing:
            clip = self._clip()
            reader = await closing.enter_async_context(opened(clip))
            assert isinstance(reader, VideoReader)
            spool = closing.enter_context(Spool(self._spool_path))
            # One thread: the answers must be written in order, and off the event loop.
            writing = ThreadPoolExecutor(1, thread_name_prefix="spool")
            closing.callback(writing.shutdown)
            options = await asyncio.to_thread(self._options, begun, reader.frame_rate_hz)
            feed = clip.feed(reader, FeedOptions(max_side_px=MAX_SIDE_PX))
            closing.callback(feed.close)
            await feed.skip(begun.next_sequence)  # before the session, which would wait for it in vain
            async with (
                DanceClient(self.access) as client,
                ResumingSession(client, options, self._patience(), self._tell) as session,
            ):
                accepted = session.accepted
                await self._consents.check(client, dance.record.actor, accepted.actor_version)
                if not begun.next_sequence:
                    self._store.change(dance, served_version=accepted.actor_version)
                    await loop.run_in_executor(
                        writing, spool.append, _session_record(accepted, reader, dance.record.actor)
                    )
                feed.limit_side(min(MAX_SIDE_PX, accepted.max_frame_side_px or MAX_SIDE_PX))
                async with aclosing(session.answers(feed)) as answers:
                    await self._spool_all(answers, feed, spool, writing)
            end = SpoolRecord({"kind": END, "lost": reader.lost_frames, "notes": list(reader.notes)})
            await loop.run_in_executor(writing, spool.append, end)

    async def _spool_all(
        self, answers: AsyncIterator[Answer], feed: _WatchedFeed, spool: Spool, writing: ThreadPoolExecutor
    ) -> None:
        loop, progress = asyncio.get_running_loop(), self._dance.progress
        async for answer in answers:
            shot = feed.shot_of(answer.sequence)
            sent = feed.sent.pop(answer.sequence)
            await loop.run_in_executor(writing, spool.append, answer_record(answer, shot.pts, sent))
            progress.count()
            progress.answered(answer.no_picture, answer.remarks)
            progress.show(Preview(answer.sequence, sent, answer.source_pose, answer.picture, answer.no_picture))
            FRAMES.inc()
            if answer.checkpoint:
                await loop.run_in_executor(writing, self._store.check_room)
                if self._dance.record.interrupted:  # this start got further
                    self._store.change(self._dance, interrupted=0)

    def _options(self, begun: Begun, rate_hz: float) -> TransferOptions:
        record = self._dance.record
        return TransferOptions(
            actor=record.actor,
            actor_version=record.served_version if begun.next_sequence else record.version,
            source_body=record.body,
            look_ahead_frames=look_ahead_for(rate_hz),
            frame_rate_hz=rate_hz,
            source_poses=True,
            checkpoint_every_frames=CHECKPOINT_EVERY_FRAMES,
            checkpoint=begun.checkpoint,
            background=background_of(record.place, self._dance.folder / BACKGROUND_FILE),
        )

    def _tell(self, failure: ServerError | None) -> None:
        self._dance.progress.stand_still("" if failure is None else lost_word(failure))
