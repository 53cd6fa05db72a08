"""`dance transfer`: send a source through a server and write the result to a file, a window, or both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from client.connection.resuming_session import ResumingSession
from client.connection.retry import ServerPatience
from client.connection.server_access import ServerAccess
from client.connection.session import DanceClient
from client.connection.types import Accepted, Answer, SentFrame, TransferOptions
from client.errors import CommandError
from client.media.background import BackgroundVideo
from client.media.frame_feed import FeedOptions, FileFeed, Shot
from client.media.frame_folder import FrameFolder
from client.media.keypoints_source import KeypointsFeed, KeypointsReader
from client.media.live_feed import LiveFeed
from client.media.source import Reader
from client.media.video_writer import Recording
from client.poses.posed_feed import EstimatorThread, PosedFeed
from client.screens.preview_window import PreviewWindow, display_exists
from client.screens.screen import Screen
from client.terminal.display import Display, ProgressLine
from client.terminal.signals import Interrupts
from client.transfer.body_pass import fitted_body
from client.transfer.held_rate import HeldRate, costly_options
from client.transfer.job import TransferJob
from client.transfer.look_ahead import look_ahead_for
from client.transfer.made_by import made_by
from client.transfer.output_frames import Film
from client.transfer.report import TransferReport, damaged, lost_warning
from client.transfer.rungs import chosen_size, rung_name, rung_note
from motion.body import BodyStats
from motion.frame import FrameSize, NoPictureReason, Picture, PictureEncoding, RgbaPicture, StageTime
from provenance.credentials.file_marks import FileMarks
from video.opening import is_endless
from video.reader import VideoReader
from video.sound import SoundTrack

WARM_UP_FRAMES: Final = 6
"""Of a live session, hidden. The first opens the stages' streams and finds the dancer, the others fill the pipeline."""


async def transfer(
    job: TransferJob, server: ServerAccess | str, display: Display, interrupts: Interrupts
) -> TransferReport:
    """Run the job on `server`.

    The file exists once this returns. Raises CommandError; nothing was written then.
    """
    async with DanceClient(server) as client:
        sizes = await _sizes_of_actor(client, job)
        body = job.body
        if body is None and not job.live and not job.one_pass:
            body = await fitted_body(client.server, job, display)
        with job.source.open() as reader:
            return await _Run(job, reader, display, interrupts, sizes).run(client, body)


def cannot_leave_place(actor: str) -> CommandError:
    """The error for a background behind an actor without a wardrobe."""
    return CommandError(
        f"actor {actor!r} was published without a wardrobe, so it cannot leave its own place; "
        "leave out --background, or train the actor again"
    )


async def _sizes_of_actor(client: DanceClient, job: TransferJob) -> list[FrameSize]:
    """Return the sizes at which the actor can be drawn.

    Refuses an unknown or unusable actor, and a size that it does not have, before any frame is sent.
    """
    listed = await client.actors()
    versions = [actor for actor in listed if actor.actor == job.actor]
    if not versions:
        known = ", ".join(sorted({actor.actor for actor in listed})) or "none"
        raise CommandError(f"there is no actor {job.actor!r} at {client.address}; there are: {known}")
    served = [actor for actor in versions if actor.served_percent] or versions[:1]
    wanted = [actor for actor in versions if actor.version == job.actor_version] if job.actor_version else served
    if not wanted:
        known = ", ".join(str(actor.version) for actor in versions)
        raise CommandError(f"actor {job.actor!r} has no version {job.actor_version}; there are: {known}")
    unavailable = [actor.unavailable for actor in wanted if actor.unavailable]
    if unavailable:
        raise CommandError(unavailable[0])
    if not job.background.for_server.is_own_place and any(actor.wardrobe is None for actor in wanted):
        raise cannot_leave_place(job.actor)
    sizes = [size for size in (wanted[0].stage_size, *wanted[0].smaller_sizes) if size is not None]
    chosen_size(job.actor, sizes, job.size_px)
    return sizes


class _Run:
    """One transfer, from the first frame to the finished file."""

    def __init__(
        self, job: TransferJob, reader: Reader, display: Display, interrupts: Interrupts, sizes: list[FrameSize]
    ) -> None:
        self._job = job
        self._size = chosen_size(job.actor, sizes, job.size_px)
        self._held_rate = HeldRate(costly_options(job, sizes))
        self._reader = reader
        self._display = display
        self._interrupts = interrupts
        self._report = TransferReport()
        self._rung = 0
        self._told_reconnects = 0
        self._sound: SoundTrack | None = None
        self._background: BackgroundVideo | None = None
        # One thread: pictures must be written in order, and off the event loop.
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._marks = FileMarks(job.credentials)

    async def run(self, client: DanceClient, body: BodyStats | None) -> TransferReport:
        job, report = self._job, self._report
        expected_frames = None if job.live else self._reader.expected_frames
        with ExitStack() as closing:
            screens = [*job.screens, *self._window(closing)]
            recording = self._recording(closing)
            behind = closing.enter_context(ExitStack())  # closed after the thread that reads it has ended
            closing.callback(self._writing.shutdown, cancel_futures=True)
            estimating = self._estimating(closing)
            patience = ServerPatience(job.patience_seconds, reached=True)
            with self._display.progress(f"dancing as {job.actor}", expected_frames) as line:
                async with ResumingSession(client, self._options(body), patience, line.interrupted) as session:
                    report.precision = session.accepted.generator_precision
                    self._marks.facts = made_by(session.accepted, job)
                    if estimating is not None:
                        await estimating.started()
                    feed = self._feed(session)
                    closing.callback(feed.close)
                    frames = self._sent(feed, estimating, closing)
                    film = Film(
                        recording,
                        compare=job.compare,
                        references=session.accepted.references,
                        plate=self._plate(session.accepted),
                        source_again=lambda: job.source.pictures(feed.max_side_px),
                        hold_beginning=not job.live,
                        size=session.accepted.picture_size,
                        has_opacity=job.background.for_server.transparent,
                        shown_with=job.shown_with,
                        behind=self._behind(session.accepted.picture_size, behind),
                    )
                    await self._play(feed, frames, session, film, screens, line)
                    report.reconnects, report.lost_under_way = session.reconnects, session.lost_frames
            self._conclude(feed)
            if recording is not None:
                await asyncio.get_running_loop().run_in_executor(self._writing, recording.keep)
            report.sidecar = self._marks.sidecar
        return report

    async def _play(
        self,
        feed: FileFeed,
        frames: AsyncIterator[SentFrame],
        session: ResumingSession,
        film: Film,
        screens: list[Screen],
        line: ProgressLine,
    ) -> None:
        loop = asyncio.get_running_loop()
        report = self._report
        told_size = False
        began = time.monotonic()
        try:
            async with aclosing(session.answers(frames)) as answers:
                async for answer in answers:
                    shot = feed.shot_of(answer.sequence)
                    if shot.warms_up:
                        began = time.monotonic()
                        continue
                    if feed.shrunk_from is not None and not told_size:
                        told_size = True
                        self._tell_size(feed)
                    if isinstance(feed, LiveFeed):  # what is told counts the frames that are shown
                        answer = replace(answer, sequence=answer.sequence - WARM_UP_FRAMES)
                        self._tell_held_rate(session, answer, shot)
                    self._tell_rung(session, answer)
                    report.add(answer)
                    line.advance()
                    if not self._job.live:
                        await loop.run_in_executor(self._writing, film.add, shot, answer)
                        continue
                    picture = await loop.run_in_executor(self._writing, film.draw, shot, answer)
                    if picture is not None and not self._show(picture, screens):
                        self._end_gently(feed, session)
                    if self._job.out is not None:  # encoding takes longer than drawing
                        await loop.run_in_executor(self._writing, film.write)
        except asyncio.CancelledError:
            out = f"; {self._job.out} was not written" if self._job.out is not None else ""
            self._display.note(f"stopped after {report.answered} frames{out}")
            raise
        finally:
            report.seconds = time.monotonic() - began

    def _conclude(self, feed: FileFeed) -> None:
        """Report what was lost. Raises CommandError if no frame became a picture."""
        report, source = self._report, self._job.source.name
        report.lost = self._reader.lost_frames
        report.notes = (*self._reader.notes, *(self._sound.notes if self._sound is not None else ()))
        report.skipped = feed.skipped if isinstance(feed, LiveFeed) else 0
        if isinstance(feed, KeypointsFeed) and (feed.lost or feed.changed):
            lost = f"the dancer is lost in {feed.lost} frames of {source}"
            self._display.note(f"{lost}; another one was chosen {feed.changed} times")
        if report.lost:
            self._display.warn(lost_warning(self._job.source, report.lost))
        if self._background is not None and self._background.lost_frames:
            self._display.warn(damaged(f"--background {self._job.background.video}", self._background.lost_frames))
        if report.first_bad_frame:
            self._display.warn(f"the server could not read {report.first_bad_frame}")
        if report.pictures == 0:
            lacks = "nothing was shown" if self._job.out is None else "there is nothing to write"
            raise CommandError(f"{source}: {report.why_no_picture}, so {lacks}")

    def _options(self, body: BodyStats | None) -> TransferOptions:
        job, rate_hz = self._job, self._reader.frame_rate_hz
        look_ahead_frames = look_ahead_for(rate_hz) if job.look_ahead_frames is None else job.look_ahead_frames
        return TransferOptions(
            actor=job.actor,
            actor_version=job.actor_version,
            live=job.live,
            full_frame=job.full_frame,
            source_body=body,
            look_ahead_frames=0 if job.live else look_ahead_frames,
            detail=None if job.lets_server_choose_detail else job.shown_detail,
            picture_size=self._size,
            adaptive=job.live,
            pose=job.pose,
            frame_rate_hz=rate_hz,
            label_maps=job.compare,
            references=job.compare,
            checkpoint_every_frames=job.checkpoint_every_frames,
            background=job.background.for_server,
            label=job.label or "",
        )

    def _plate(self, accepted: Accepted) -> Picture | RgbaPicture | None:
        """Return what answers look like without a person, if it is known here."""
        job, size = self._job, accepted.picture_size
        if job.background.for_server.transparent:
            return np.zeros((size.height_px, size.width_px, 4), np.uint8)
        if not job.background.for_server.is_own_place:
            return job.background.for_server.drawn(size, field="--background")
        return None if job.plate is None else job.plate(accepted.actor_version)

    def _behind(self, size: FrameSize, closing: ExitStack) -> Callable[[int], Picture] | None:
        """Return what lays a video behind the dancer: its picture at a frame's pts."""
        if self._job.background.video is None:
            return None
        video = self._background = closing.enter_context(BackgroundVideo(self._job.background.video, size))
        first: list[int] = []  # a stream's times may begin anywhere

        def behind(pts: int) -> Picture:
            first.extend([] if first else [pts])
            return video.at(float((pts - first[0]) * self._reader.time_base))

        return behind

    def _feed(self, session: ResumingSession) -> FileFeed:
        job, server_max_side_px = self._job, session.accepted.max_frame_side_px
        max_side_px = min(job.max_side_px, server_max_side_px) if server_max_side_px else job.max_side_px
        # An estimator here gets a JPEG for its loss, which makes a file's poses those of a server. Live, it costs time.
        raw = job.live and job.estimator is not None
        options = FeedOptions(
            max_side_px=max_side_px,
            keep_pixels=job.compare or job.shown_with is not None,
            encoding=PictureEncoding.RAW if raw else PictureEncoding.JPEG,
        )
        if not job.live or isinstance(self._reader, KeypointsReader):
            return job.source.feed(self._reader, options)
        feed = LiveFeed(self._reader, options, WARM_UP_FRAMES)
        # A camera ends only by a signal; what was recorded until then is kept.
        self._interrupts.gently = lambda: self._end_gently(feed, session)
        return feed

    def _estimating(self, closing: ExitStack) -> EstimatorThread | None:
        """Start the estimator, unless the server estimates the poses."""
        if self._job.estimator is None:
            return None
        start = partial(self._job.estimator, self._job.shown_detail)

        def on_time(spent: StageTime) -> None:
            if self._report.answered or not self._job.live:  # before that, it is the warm-up's
                self._report.add_time(spent)

        estimating = EstimatorThread(start, on_time)
        closing.callback(estimating.close)
        return estimating

    def _sent(self, feed: FileFeed, estimating: EstimatorThread | None, closing: ExitStack) -> AsyncIterator[SentFrame]:
        """Return what the session sends of the feed's frames: their pictures, or poses found here."""
        if estimating is None:
            return feed
        posed = PosedFeed(feed, estimating, prepares_ahead=not self._job.live)
        closing.callback(posed.close)
        return posed

    def _recording(self, closing: ExitStack) -> Recording | FrameFolder | None:
        if self._job.out is None:
            return None
        reader = self._reader
        if self._job.writes_frames:
            if isinstance(reader, VideoReader) and reader.has_sound:
                self._display.note(f"PNG frames have no sound: {self._job.out} is without that of {reader.source}")
            return closing.enter_context(FrameFolder(self._job.out, self._marks))
        if isinstance(reader, VideoReader) and not is_endless(reader.source):
            self._sound = SoundTrack(reader.source, reader.start_seconds, reader.frame_rate)
        recording = Recording(
            self._job.out,
            time_base=reader.time_base,
            frame_rate=reader.frame_rate,
            marks=self._marks,
            sound=self._sound,
            replace=self._job.replace_out,
            keeps_opacity=self._job.keeps_opacity,
            from_first_picture=self._job.live,
        )
        return closing.enter_context(recording)

    def _window(self, closing: ExitStack) -> list[Screen]:
        """Open the preview window of a live session, if there is a display."""
        if not self._job.live:
            return []
        if not display_exists():
            self._display.note("no display was found, so no preview window is shown")
            return []
        window = PreviewWindow()
        closing.callback(window.close)
        return [window]

    def _show(self, picture: Picture, screens: list[Screen]) -> bool:
        """Show a picture; return False if the user wants the session to end.

        A screen that fails is left out from then on. Raises CommandError if nothing else shows or records pictures.
        """
        goes_on = True
        for screen in tuple(screens):
            try:
                goes_on &= screen.show(picture)
            except CommandError as error:
                if len(screens) == 1 and self._job.out is None:
                    raise
                screens.remove(screen)
                self._display.warn(f"{error}; the session goes on without it")
        return goes_on

    def _end_gently(self, feed: FileFeed, session: ResumingSession) -> None:
        if isinstance(feed, LiveFeed):
            feed.stop()
            session.stop()

    def _tell_rung(self, session: ResumingSession, answer: Answer) -> None:
        """Tell the user when the server draws at another rung, which a slow machine makes it do."""
        rungs = session.accepted.rungs
        if answer.picture is None or answer.rung >= len(rungs):
            return
        before, self._rung = self._rung, answer.rung
        reconnects, self._told_reconnects = self._told_reconnects, session.reconnects
        self._report.drawn_at[rung_name(rungs[answer.rung])] += 1
        if answer.rung != before:
            of_this_stream = before if session.reconnects == reconnects else None
            self._display.note(rung_note(rungs, of_this_stream, answer.rung, answer.sequence))

    def _tell_held_rate(self, session: ResumingSession, answer: Answer, shot: Shot) -> None:
        """Tell the user that frames are dropped, unless the server can step down, which it says itself."""
        if len(session.accepted.rungs) != 1:
            return
        dropped = answer.no_picture is NoPictureReason.DROPPED
        time_s = float(shot.pts * self._reader.time_base)
        note = self._held_rate.see(answer.sequence, time_s, dropped=dropped, stream=session.reconnects)
        if note is not None:
            self._display.note(note)

    def _tell_size(self, feed: FileFeed) -> None:
        width_px, height_px = feed.shrunk_from or (0, 0)
        side_px = feed.max_side_px
        self._display.note(
            f"frames of {width_px}x{height_px} are shrunk to a long side of {side_px} before they are sent (--max-side)"
        )
