"""The footage of a camera: frames as they come from the page, kept in a spool, and written as videos for a training."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from shutil import disk_usage
from typing import Any, Final

from client.media.video_writer import Recording
from client.training.footage_guide import FootageGuide
from motion.frame import EncodedPicture, FrameSize, Picture, PictureEncoding
from motion.pose import Pose
from serving.errors import BadPicture
from serving.pictures.codec import decode_picture, size_of
from serving.process.atomic_files import folder_written_whole
from video.opening import chosen_video, opened
from web.access.refusals import Refused
from web.dances.clips import MOST_RATE_HZ, check_clip
from web.dances.spool import Spool, SpoolRecord, records
from web.making.record import FootageRecord
from web.settings import WebSettings

_GAP_SECONDS: Final = 0.5
"""After a longer one, a new video begins: a training must not take the two frames for neighbours."""
_FEWEST_FRAMES: Final = 5
"""A shorter piece between two gaps is left out."""
_DISK_EVERY_FRAMES: Final = 30
_TIME_BASE: Final = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class FootageLimits:
    """How much of a camera is kept. step_characters: of a step's name. disk_kept_bytes: stay free for others."""

    seconds: float
    bytes: int
    side_px: int
    disk_kept_bytes: int = 0
    frames_per_second: float = 60.0
    step_characters: int = 40


@dataclass(slots=True)
class Filming:
    """Keeps the frames of one connection; a context manager. Several connections may follow one another.

    spool: its file. limits: what is not kept beyond them. record: what was kept before. keep: called with what is there
    now, at each step and at the end. Not thread-safe, and quick enough for an event loop: each call writes one picture.
    """

    spool: Path
    limits: FootageLimits
    record: FootageRecord
    keep: Callable[[FootageRecord], None]
    size: FrameSize | None = None
    last_s: float | None = None
    _guide: FootageGuide = field(default_factory=FootageGuide)
    _step: str = ""
    _superseded: bool = False
    _file: Spool = field(init=False, repr=False)

    def __enter__(self) -> Filming:
        if self.record.kind != "camera":
            self.record = FootageRecord(kind="camera")
        self._file = Spool(self.spool)
        self._file.__enter__()
        self._guide.seconds.update(self.record.views)
        return self

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)
        self.keep(self.record)

    @property
    def kept(self) -> dict[str, Any]:
        """How much is kept: `frames`, `seconds`, `views` (the seconds of each), and `end`, why no more is."""
        record = self.record
        return {"frames": record.frames, "seconds": record.seconds, "views": record.views, "end": record.end}

    def append(self, jpeg: bytes, seconds: float, step: str = "") -> bool:
        """Keep a frame of the camera, a JPEG. Returns whether it was kept; never after `supersede`.

        seconds: when it was captured, by a clock of the page that goes on over several connections. step: what the
        person was asked to do. Raises Refused 415 for anything but a JPEG, OSError for a full disk.
        """
        if self._superseded:
            return False
        found = size_of(jpeg, PictureEncoding.JPEG)
        if found is None or max(found) > self.limits.side_px:
            raise Refused(415, "not_a_picture", f"Expected a JPEG of at most {self.limits.side_px} pixels a side.")
        size = FrameSize(*found)
        self.size = self.size or size
        since_s = None if self.last_s is None else seconds - self.last_s
        if size != self.size:
            self.record = replace(self.record, end="size")
            return False
        if since_s is not None and since_s * self.limits.frames_per_second < 0.5:
            return False  # also a clock that went back
        if self._is_full(len(jpeg)):
            return False
        self._file.append(SpoolRecord({"seconds": seconds, "step": step}, (jpeg,)))
        self.last_s = seconds
        counted_s = 0.0 if since_s is None or since_s > _GAP_SECONDS else since_s
        steps = dict(self.record.steps)
        if step:
            name = step[: self.limits.step_characters]
            steps[name] = steps.get(name, 0.0) + counted_s
        self.record = replace(
            self.record,
            frames=self.record.frames + 1,
            seconds=self.record.seconds + counted_s,
            bytes=self._file.bytes,
            steps=steps,
        )
        if step != self._step:
            self._step = step
            self.keep(self.record)
        return True

    def pose(self, pose: Pose | None, seconds: float, size: FrameSize) -> dict[str, float]:
        """Take in the pose of a frame; None where no person was found. Returns for how long each view was seen so far.

        pose: in pixels of a frame of this size. The words of the views are those of `GET /api/makings`.
        """
        self._guide.see(pose, seconds, size)
        self.record = replace(self.record, views={view: round(s, 2) for view, s in self._guide.seconds.items()})
        return self.record.views

    def supersede(self) -> None:
        """Keep nothing more: the footage was dropped, is complete, or comes by another connection."""
        self._superseded = True

    def _is_full(self, more_bytes: int) -> bool:
        limits = self.limits
        full = self.record.seconds >= limits.seconds or self._file.bytes + more_bytes > limits.bytes
        if self.record.frames % _DISK_EVERY_FRAMES == 0:
            full |= disk_usage(self.spool.parent).free < limits.disk_kept_bytes
        if full and self.record.end != "full":
            self.record = replace(self.record, end="full")
            self.keep(self.record)
        return full


def check_video(path: Path, settings: WebSettings) -> tuple[int, float]:
    """Return the frames and seconds of an uploaded video. Takes a while.

    Raises Refused: 415 for what is no video or cannot be read, 413 for one that is too long or too large.
    """
    most_s = settings.max_making_seconds
    try:
        facts, _ = check_clip(path, replace(settings, max_clip_seconds=most_s))
    except Refused as refusal:
        if refusal.word == "clip_too_long":
            raise _too_long(most_s) from refusal
        raise
    frames = facts.frames
    if frames is None:  # a browser's own recording does not say how long it is
        with opened(str(path)) as container:
            stream, _ = chosen_video(container, str(path))
            frames = sum(packet.size > 0 for packet in container.demux(stream))
        if frames / facts.rate_hz > most_s or frames > most_s * MOST_RATE_HZ:
            raise _too_long(most_s)
    return frames, frames / facts.rate_hz


def _too_long(most_seconds: float) -> Refused:
    text = f"The video is too long: at most {most_seconds:g} seconds are used. Cut it shorter."
    return Refused(413, "footage_too_long", text)


def spooled(path: Path, record: FootageRecord) -> tuple[FootageRecord, FrameSize | None, float | None]:
    """Return what a spool really holds, the size of its frames, and the time of the last one. Takes a while.

    record: what was stored of it, which may be behind after a kill.
    """
    if record.kind != "camera":
        return record, None, None
    frames, seconds, last_s, end = 0, 0.0, None, 0
    size: FrameSize | None = None
    steps: dict[str, float] = {}
    for frame, end in _frames(path):  # noqa: B007  the end of the last one is used below
        if size is None and (found := size_of(frame.jpeg, PictureEncoding.JPEG)) is not None:
            size = FrameSize(*found)
        since_s = 0.0 if last_s is None else frame.seconds - last_s
        if since_s <= _GAP_SECONDS:
            seconds += since_s
            if frame.step:
                steps[frame.step] = steps.get(frame.step, 0.0) + since_s
        frames, last_s = frames + 1, frame.seconds
    return replace(record, frames=frames, seconds=seconds, steps=steps, bytes=end), size, last_s


def write_videos(spool: Path, folder: Path) -> int:
    """Write the frames of a spool as MP4 files, with their times; a new one after each gap. Takes a while.

    folder: of the files; it exists only once all of them are complete. Frames that do not decode are left out. Returns
    the number of files: 0 if there is too little. Raises OSError and UnwritableVideo.
    """
    pieces: list[list[float]] = []
    for frame, _ in _frames(spool):
        if not pieces or frame.seconds - pieces[-1][-1] > _GAP_SECONDS:
            pieces.append([])
        pieces[-1].append(frame.seconds)
    frames = (frame for frame, _ in _frames(spool))
    written = 0
    with folder_written_whole(folder) as partial:
        for times in pieces:
            piece = islice(frames, len(times))
            if len(times) >= _FEWEST_FRAMES:
                written += _write_video(piece, times, partial / f"footage-{written:03d}.mp4")
            else:
                deque(piece, maxlen=0)
    return written


def _write_video(frames: Iterator[_Frame], times: list[float], path: Path) -> bool:
    rate = Fraction((len(times) - 1) / (times[-1] - times[0])).limit_denominator(1000)
    with Recording(path, time_base=_TIME_BASE, frame_rate=rate, marks=None) as recording:
        for frame in frames:
            picture = _decoded(frame.jpeg)
            if picture is not None:
                recording.write(picture, round((frame.seconds - times[0]) / _TIME_BASE))
        if recording.pictures < _FEWEST_FRAMES:
            return False
        recording.keep()
    return True


def _decoded(jpeg: bytes) -> Picture | None:
    found = size_of(jpeg, PictureEncoding.JPEG)
    if found is None:
        return None
    try:
        return decode_picture(EncodedPicture(PictureEncoding.JPEG, *found, jpeg))
    except BadPicture:
        return None


@dataclass(frozen=True, slots=True)
class _Frame:
    jpeg: bytes
    seconds: float
    step: str


def _frames(spool: Path) -> Iterator[tuple[_Frame, int]]:
    for record, end in records(spool):
        yield _Frame(record.parts[0], float(record.head["seconds"]), str(record.head["step"])), end
