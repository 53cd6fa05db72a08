"""`dance pose`: writes the poses of a video as OpenPose's JSON, as an overlay video, or both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Final

from client.errors import Interrupted, UnwritableVideo
from client.media.keypoints_source import KeypointsReader, drawn, followed_frames
from client.media.overlay import draw_people
from client.media.source import Source
from client.media.video_writer import Recording
from client.poses.local_estimation import Looking, LookRequest
from client.terminal.display import Display
from client.terminal.output_files import check_writable, stopped_name
from motion.frame import FrameSize, Picture
from motion.keypoint_files.folder import keypoint_files
from motion.keypoint_files.openpose_json import SOURCE_FILE, KeypointsPerson, KeypointsWriter, SourceFacts, shrunk_size
from motion.pose import Pose
from serving.process.atomic_files import folder_written_whole

_LEAST_FILE_BYTES: Final = 4096
"""The least space that one file takes on a disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseJob:
    """The options of one `dance pose`. json: folder to write; overlay: video to write; at least one is set."""

    source: Source
    look: LookRequest
    json: Path | None
    overlay: Path | None
    replace: bool


@dataclass(slots=True)
class PoseReport:
    """What was found. ids: the people. changes: how often the dancer changed.

    notes: what the reader assumed about the source, for the user.
    """

    frames: int = 0
    frames_with_people: int = 0
    frames_with_dancer: int = 0
    frames_lost: int = 0
    changes: int = 0
    damaged: int = 0
    notes: tuple[str, ...] = ()
    ids: set[int] = field(default_factory=set)

    def summary(self) -> str:
        """One line for the user."""
        parts = [f"{self.frames} frames", f"people in {self.frames_with_people}", f"{len(self.ids)} people"]
        parts.append(f"the dancer in {self.frames_with_dancer}")
        if self.frames_lost:
            parts.append(f"lost in {self.frames_lost}")
        if self.changes:
            parts.append(f"the dancer changed {self.changes} times")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """One frame. The poses are in pixels of `picture`."""

    pts: int
    picture: Picture
    people: list[Pose]
    ids: list[int]
    dancer_index: int
    lost: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class _Origin:
    """Facts about the source's frames, and their expected number."""

    size: FrameSize
    frame_rate: Fraction
    time_base: Fraction
    expected_frames: int | None


def find_poses(job: PoseJob, display: Display, should_stop: Callable[[], bool]) -> PoseReport:
    """Estimate the poses of every frame and write the requested outputs.

    should_stop: called after each frame. On a stop, the results so far are kept under another name, and Interrupted
    names it. Raises CommandError, and leaves nothing behind then.
    """
    report = PoseReport()
    with ExitStack() as closing:
        origin, frames = _opened(job, closing, report)
        max_side_px = job.look.max_side_px
        writer: KeypointsWriter | None = None
        recording: Recording | None = None
        if job.overlay is not None:
            recording = closing.enter_context(
                Recording(
                    job.overlay,
                    time_base=origin.time_base,
                    frame_rate=origin.frame_rate,
                    replace=job.replace,
                )
            )
        line = closing.enter_context(display.progress("finding poses", origin.expected_frames))
        if job.json is not None:
            check_writable(job.json, _LEAST_FILE_BYTES * (origin.expected_frames or 0), is_folder=True)
        stopped = False
        for found in frames:
            if job.json is not None:
                # Wait for the first frame: it sets the size, and a source that cannot be decoded must leave no folder.
                if writer is None:
                    folder = closing.enter_context(_folder(job.json, replace=job.replace))
                    writer = _writer(job, folder, origin, found.picture, max_side_px)
                _write(writer, found)
            if recording is not None:
                recording.write(_overlay(found), found.pts)
            _count(report, found)
            line.advance()
            if should_stop():
                stopped = True
                break
        if stopped:
            kept = " and ".join(str(path) for path in _kept_until_stop(job, writer, recording))
            raise Interrupted(f"stopped after {report.frames} frames, which {kept} hold")
        if writer is not None:
            writer.close()
        if recording is not None:
            recording.keep()  # before the folder, which is moved into place at the end of this block
    return report


def _opened(job: PoseJob, closing: ExitStack, report: PoseReport) -> tuple[_Origin, Iterator[_Found]]:
    if not job.source.is_keypoints:
        looking = closing.enter_context(Looking(job.source.name, job.look))
        reader = looking.reader
        frames = _looked(looking, report)
        first = next(frames)
        size = FrameSize(first[1].shape[1], first[1].shape[0])
        origin = _Origin(size, reader.frame_rate, reader.time_base, reader.expected_frames)
        return origin, chain([first[0]], (found for found, _ in frames))
    keypoints = job.source.open()
    assert isinstance(keypoints, KeypointsReader)
    report.damaged = keypoints.lost_frames
    origin = _Origin(keypoints.size, keypoints.frame_rate, keypoints.time_base, keypoints.expected_frames)
    return origin, _read(keypoints, job)


def _looked(looking: Looking, report: PoseReport) -> Iterator[tuple[_Found, Picture]]:
    """Each frame, with its picture as decoded from the video."""
    for looked in looking.frames():
        estimate = looked.estimate
        ids = list(estimate.person_ids) or [1] * len(estimate.people)
        found = _Found(
            looked.source.pts,
            looked.seen,
            estimate.people,
            ids,
            estimate.dancer_index,
            estimate.dancer_lost,
            estimate.dancer_changed,
        )
        yield found, looked.source.pixels
    report.damaged = looking.reader.lost_frames
    report.notes = looking.reader.notes


def _read(keypoints: KeypointsReader, job: PoseJob) -> Iterator[_Found]:
    size = shrunk_size(keypoints.size, job.look.max_side_px)
    for shown in followed_frames(keypoints, job.look.dancer, job.look.max_side_px):
        who = shown.who
        picture = drawn(shown, size)
        people = list(shown.people)
        yield _Found(shown.pts, picture, people, list(who.person_ids), who.dancer_index, who.lost, who.changed)


@contextmanager
def _folder(folder: Path, *, replace: bool) -> Iterator[Path]:
    """A folder to write to. Once complete, its files move to `folder`; only then its older keypoints are deleted."""
    try:
        with folder_written_whole(folder, last=SOURCE_FILE) as partial:
            yield partial
            new = {path.name for path in partial.iterdir()}
        for path in keypoint_files(folder) if replace else ():
            if path.name not in new:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise UnwritableVideo(f"{folder} cannot be written: {error.strerror or error}") from error


def _kept_until_stop(job: PoseJob, writer: KeypointsWriter | None, recording: Recording | None) -> Iterator[Path]:
    """Keep the results so far, under names that cannot be mistaken for complete ones."""
    if writer is not None and job.json is not None:
        writer.close()
        # Not beside an existing folder: its parent may be another disk, or not writable.
        folder = Path(os.path.realpath(job.json))
        folder = stopped_name(folder / "poses" if folder.is_dir() else folder)
        writer.folder.rename(folder)
        yield folder
    if recording is not None:
        recording.out = stopped_name(recording.out)
        recording.keep()
        yield recording.out


def _writer(job: PoseJob, folder: Path, origin: _Origin, picture: Picture, max_side_px: int) -> KeypointsWriter:
    scale = origin.size.width_px / picture.shape[1], origin.size.height_px / picture.shape[0]
    facts = SourceFacts(origin.size, origin.frame_rate, origin.time_base)
    return KeypointsWriter(folder, Path(job.source.name).stem, facts, scale)


def _write(writer: KeypointsWriter, found: _Found) -> None:
    people = [KeypointsPerson(pose, number) for pose, number in zip(found.people, found.ids, strict=True)]
    writer.write(people, found.pts)


def _overlay(found: _Found) -> Picture:
    note = "dancer lost" if found.lost else "another dancer" if found.changed else ""
    return draw_people(found.picture, found.people, found.ids, found.dancer_index, note)


def _count(report: PoseReport, found: _Found) -> None:
    report.frames += 1
    report.frames_with_people += bool(found.people)
    report.frames_with_dancer += found.dancer_index >= 0
    report.frames_lost += found.lost
    report.changes += found.changed
    report.ids.update(found.ids)
