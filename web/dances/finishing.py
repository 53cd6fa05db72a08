"""Turns a complete spool into what is kept: the MP4 with the clip's sound, and the poses of all frames."""

from __future__ import annotations

import json
import struct
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np

from client.connection.types import Answer
from client.errors import CommandError
from client.media.frame_feed import Shot
from client.media.video_writer import Recording
from client.transfer.output_frames import Film
from client.transfer.report import TransferReport, damaged
from motion import skeleton
from motion.frame import EncodedPicture, FrameSize, NoPictureReason, PictureEncoding
from provenance.credentials.file_marks import FileMarks
from provenance.credentials.manifest import SyntheticMedia
from provenance.credentials.signing import ContentCredentials
from serving.process.atomic_files import written_whole
from video.sound import SoundTrack
from web.dances.clips import background_of
from web.dances.dance import BACKGROUND_FILE, POSES_FILE, RESULT_FILE, SPOOL_FILE, Dance, ResultFacts
from web.dances.dancing import ANSWER, DRAWN, END, PICTURE, POSE, SESSION
from web.dances.spool import SpoolRecord, records

_HEAD: Final = struct.Struct("<I")
_STEPS_PER_PX: Final = 8
_LARGEST: Final = np.iinfo(np.int16).max
_ALIGNED: Final = 4


class NothingToDance(CommandError):
    """Not one frame of the clip became a picture."""


class Stopped(CommandError):
    """The work was cancelled."""


def finish(
    dance: Dance, source: Path, credentials: ContentCredentials, stopped: Event
) -> tuple[ResultFacts, tuple[str, ...]]:
    """Write `RESULT_FILE` and `POSES_FILE`. Also returns notes about the clip and its sound.

    credentials: signs the video; the clip becomes an ingredient. stopped: set by another thread to give up; then it
    raises Stopped. Takes long: not on the event loop. Raises NothingToDance, UnwritableVideo, BadPicture and OSError.
    """
    remove_partial_files(dance.folder)
    report, poses, notes = TransferReport(), PoseTable(), tuple[str, ...]()
    out = dance.folder / RESULT_FILE
    with ExitStack() as closing:
        spooled = (record for record, _ in records(dance.folder / SPOOL_FILE))
        session = next(spooled).head
        assert session["kind"] == SESSION
        time_base, frame_rate = Fraction(session["time_base"]), Fraction(session["frame_rate"])
        size = FrameSize(*session["picture_size"])
        sound = SoundTrack(str(source), session["start_seconds"], frame_rate)
        recording = closing.enter_context(
            Recording(
                out,
                time_base=time_base,
                frame_rate=frame_rate,
                marks=FileMarks(credentials, drawn_as(dance, session.get(DRAWN), (source,))),
                sound=sound,
                replace=True,
            )
        )
        background = background_of(dance.record.place, dance.folder / BACKGROUND_FILE)
        film = Film(
            recording,
            compare=False,
            plate=background.drawn(size, field="background"),
            source_again=lambda: iter(()),
            size=size,
        )
        dance.progress.begin()
        last_pts = 0
        for record in spooled:
            if stopped.is_set():
                raise Stopped("it was cancelled")
            if record.head["kind"] == END:
                notes = (*record.head["notes"], *sound.notes, *_lost(record.head["lost"]))
            if record.head["kind"] == ANSWER:
                answer, last_pts = answer_of(record), record.head["pts"]
                film.add(Shot(answer.sequence, last_pts, None), answer)
                report.add(answer)
                poses.add(float(last_pts * time_base), record)
                dance.progress.count()
        if report.pictures == 0:
            shown = f"Not one of its {report.answered} frames became a picture"
            raise NothingToDance(f"{shown}: film the whole body of one person, from head to feet.")
        recording.keep()
    poses.write(dance.folder / POSES_FILE)
    facts = ResultFacts(
        bytes=out.stat().st_size,
        seconds=float(last_pts * time_base + 1 / frame_rate),
        frames=recording.pictures,
        width_px=size.width_px + size.width_px % 2,
        height_px=size.height_px + size.height_px % 2,
    )
    return facts, notes


def drawn_as(dance: Dance, stored: dict[str, Any] | None, sources: tuple[Path, ...] = ()) -> SyntheticMedia:
    """Return what is signed about the pictures of a spool. stored: None for one of an earlier release."""
    if stored is None:
        return SyntheticMedia(actor=dance.record.actor, actor_version=dance.record.served_version, sources=sources)
    return SyntheticMedia.from_json(stored, sources)


def remove_partial_files(folder: Path) -> None:
    """Remove what a killed process was writing."""
    for path in folder.glob(".*.partial*"):
        path.unlink(missing_ok=True)


def _lost(frames: int) -> tuple[str, ...]:
    return (damaged("the clip", frames),) if frames else ()


def jpeg(size: list[int], data: bytes) -> EncodedPicture:
    """Return a spooled picture. size: its width and height."""
    width_px, height_px = size
    return EncodedPicture(PictureEncoding.JPEG, width_px, height_px, data)


def answer_of(record: SpoolRecord) -> Answer:
    """Return the spooled answer, without what a film does not need."""
    head, picture = record.head, None
    if record.parts[PICTURE]:
        picture = jpeg(head["picture"], record.parts[PICTURE])
    return Answer(
        sequence=head["sequence"],
        picture=picture,
        no_picture=NoPictureReason(head["no_picture"]) if head["no_picture"] else None,
        detail=head["detail"],
        remarks=tuple(head["remarks"]),
        stage_times=(),
        label_map=None,
        frame_seconds=0.0,
    )


class PoseTable:
    """The poses of all frames in the form that `web.dances.routes` describes."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._poses: list[bytes] = []
        self._size = [0, 0]

    def add(self, seconds: float, record: SpoolRecord) -> None:
        """Add an answer's pose."""
        self._times_s.append(seconds)
        self._poses.append(record.parts[POSE])
        self._size = record.head["frame"]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises OSError."""
        frames, joints = len(self._poses), skeleton.JOINT_COUNT
        empty = bytes(joints * 3 * 4)
        table = np.frombuffer(b"".join(pose or empty for pose in self._poses), "<f4").reshape(frames, joints, 3)
        places = np.clip(np.rint(table[:, :, :2] * _STEPS_PER_PX), -_LARGEST, _LARGEST).astype("<i2")
        confidences = np.rint(table[:, :, 2] * 255).astype(np.uint8)
        facts: dict[str, Any] = {
            "frames": frames,
            "joints": joints,
            "width_px": self._size[0],
            "height_px": self._size[1],
        }
        head = json.dumps(facts).encode()
        head += b" " * (-(_HEAD.size + len(head)) % _ALIGNED)
        times = np.array(self._times_s, "<f4").tobytes()
        with written_whole(path) as partial:
            partial.write_bytes(b"".join((_HEAD.pack(len(head)), head, times, places.tobytes(), confidences.tobytes())))
