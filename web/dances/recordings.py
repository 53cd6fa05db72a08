"""Recordings of live sessions: the pictures that were shown, and the sound that the page recorded meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from threading import Event, Lock
from typing import Final

from client.media.video_writer import Recording
from client.transfer.rungs import enlarged
from motion.frame import FrameSize, PictureEncoding
from provenance.credentials.file_marks import FileMarks
from provenance.credentials.manifest import SyntheticMedia
from provenance.credentials.signing import ContentCredentials
from serving.errors import UnreadableVideo
from serving.pictures.codec import decode_picture, size_of
from video.opening import opened
from video.sound import SoundTrack
from web.access.refusals import Refused
from web.dances.clips import check_format, for_people
from web.dances.dance import RESULT_FILE, SOURCE_FILE, SPOOL_FILE, Dance, ResultFacts
from web.dances.dancing import DRAWN
from web.dances.finishing import NothingToDance, Stopped, drawn_as, jpeg, remove_partial_files
from web.dances.spool import Spool, SpoolRecord, records

_TIME_BASE: Final = Fraction(1, 90_000)
_MOST_UNWRITTEN: Final = 64
_ROOM_EVERY_PICTURES: Final = 64
_ANY_RATE: Final = Fraction(25)


class RecordingSpool:
    """Takes the pictures of a live session while its visitor records.

    Appending never waits: a thread writes. At `most_seconds` or `most_bytes`, or if the disk is full or too slow, the
    recording is full: `append` returns False, and the pictures so far are kept. check_room: raises Refused if the
    gateway's folder has no more room. touched_s: when the last one came, by `clock`, Unix time in seconds.
    """

    def __init__(
        self,
        dance: Dance,
        *,
        most_seconds: float,
        most_bytes: int,
        check_room: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.dance = dance
        self.touched_s = clock()
        self._clock = clock
        self.pictures = 0
        self.full = False
        self._most_seconds = most_seconds
        self._most_bytes = most_bytes
        self._check_room = check_room
        self._written = 0
        self._bytes = 0
        self._unwritten = 0
        self._counting = Lock()
        self._first_s: float | None = None
        self._last_s = 0.0
        self._spool = Spool(dance.folder / SPOOL_FILE)
        self._spool.__enter__()
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="recording")

    def drawn_by(self, drawn: SyntheticMedia) -> None:
        """Note what Content Credentials will say about the pictures that follow; the last version counts.

        Raises Refused 409 for another actor than the one that the recording was begun with: a file names one.
        """
        if drawn.actor != self.dance.record.actor:
            raise Refused(409, "wrong_state", "This recording shows another actor: begin another one.")
        with self._counting:
            self._unwritten += 1
        self._writing.submit(self._write, SpoolRecord({DRAWN: drawn.to_json()}, ()))

    def append(self, picture: bytes, seconds: float) -> bool:
        """Add a JPEG that was shown at `seconds` of any clock that rises. Returns False if the recording is full."""
        size = size_of(picture, PictureEncoding.JPEG)
        if size is None or (self._first_s is not None and seconds <= self._last_s):
            return not self.full
        first_s = seconds if self._first_s is None else self._first_s
        self.full |= seconds - first_s > self._most_seconds
        self.full |= self._bytes + len(picture) > self._most_bytes or self._unwritten >= _MOST_UNWRITTEN
        if self.full:
            return False
        self._first_s, self._last_s = first_s, seconds
        self.touched_s = self._clock()
        self._bytes += len(picture)
        with self._counting:
            self._unwritten += 1
        self.pictures += 1
        record = SpoolRecord({"seconds": seconds - first_s, "size": list(size)}, (picture,))
        self._writing.submit(self._write, record)
        return True

    def _write(self, record: SpoolRecord) -> None:
        try:
            if self._written % _ROOM_EVERY_PICTURES == 0:
                self._check_room()
            self._written += 1
            self._spool.append(record)
        except (OSError, Refused):
            self.full = True
        finally:
            with self._counting:
                self._unwritten -= 1

    def close(self) -> None:
        """Take no more pictures, and wait until all are on the disk: not on the event loop."""
        self.full = True
        self._writing.shutdown(wait=True)
        self._spool.__exit__()


def finish_recording(
    dance: Dance, credentials: ContentCredentials, stopped: Event
) -> tuple[ResultFacts, tuple[str, ...]]:
    """Write a recording's MP4, with the uploaded sound if there is one. Takes long: not on the event loop.

    credentials: signs the video. stopped: set by another thread to give up; then it raises Stopped. Raises
    NothingToDance without a picture, Refused for sound that cannot be read, UnwritableVideo, BadPicture and OSError.
    """
    remove_partial_files(dance.folder)
    spool, out = dance.folder / SPOOL_FILE, dance.folder / RESULT_FILE
    sizes, drawn = [], None
    for record, _ in records(spool):
        if DRAWN in record.head:
            drawn = record.head[DRAWN]
        else:
            sizes.append(record.head["size"])
    if not sizes:
        raise NothingToDance("There is nothing to show: no picture came while it was recorded.")
    # A live session may change its pictures' size; the recording has the largest.
    size = FrameSize(*max(sizes))
    began_s = dance.record.sound_begins_seconds if dance.record.bytes else 0.0
    dance.progress.begin()
    dance.progress.of = len(sizes)
    last_s = 0.0
    with ExitStack() as closing:
        sound = _sound(dance) if dance.record.bytes else None
        recording = closing.enter_context(
            Recording(
                out,
                time_base=_TIME_BASE,
                frame_rate=_ANY_RATE,
                marks=FileMarks(credentials, drawn_as(dance, drawn)),
                sound=sound,
                replace=True,
                from_first_picture=True,
            )
        )
        for record, _ in records(spool):
            if stopped.is_set():
                raise Stopped("it was cancelled")
            if DRAWN in record.head:
                continue
            last_s = record.head["seconds"]
            picture = decode_picture(jpeg(record.head["size"], record.parts[0]), field="picture")
            # Time 0 is the sound's first moment, so that the writer cuts or delays the sound.
            recording.write(enlarged(picture, size), round((last_s - began_s) / _TIME_BASE))
            dance.progress.count()
        recording.keep()
    facts = ResultFacts(
        bytes=out.stat().st_size,
        seconds=last_s + 1 / _ANY_RATE,
        frames=recording.pictures,
        width_px=size.width_px + size.width_px % 2,
        height_px=size.height_px + size.height_px % 2,
    )
    return facts, () if sound is None else tuple(sound.notes)


def check_sound(path: Path) -> None:
    """Raise Refused 415 for a file that does not contain a recorder's sound."""
    try:
        check_format(path, sound=True)
        with opened(str(path)) as container:
            if not container.streams.audio:
                raise Refused(415, "unreadable_sound", "The recorded file contains no sound.")
    except UnreadableVideo as error:
        raise Refused(415, "unreadable_sound", for_people(error, path)) from error


def _sound(dance: Dance) -> SoundTrack:
    path = dance.folder / SOURCE_FILE
    check_sound(path)
    with opened(str(path)) as container:
        stream = container.streams.audio[0]
        start_seconds = 0.0 if stream.start_time is None else float(stream.start_time * stream.time_base)
    return SoundTrack(str(path), max(0.0, start_seconds))
