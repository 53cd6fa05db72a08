"""`dance pose`: writes the poses of a video as OpenPose's JSON, as an overlay video, or both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Final

import typer

from client.errors import Interrupted, UnwritableVideo
from client.media.keypoints_source import KeypointsReader, drawn, followed_frames
from client.media.overlay import draw_people
from client.media.source import Reader, Source
from client.media.video_writer import Recording
from client.poses.local_estimation import EstimatedFrame, EstimationOptions, VideoEstimator
from client.poses.scores import FoundPeople
from client.terminal.display import Display
from client.terminal.output_files import check_writable, stopped_name
from motion.keypoint_files.folder import keypoint_files
from motion.keypoint_files.openpose_json import SOURCE_FILE, KeypointsPerson, KeypointsWriter, SourceFacts, shrunk_size
from provenance.credentials.file_marks import FileMarks
from provenance.credentials.manifest import DrawnOver
from provenance.credentials.signing import ContentCredentials
from serving.process.atomic_files import folder_written_whole

_LEAST_FILE_BYTES: Final = 4096
"""The least space that one file takes on a disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseJob(EstimationOptions):
    """The options of one `dance pose`; at least one of `json` and `overlay` is set."""

    source: Source
    json: Annotated[
        Path | None, typer.Option("--json", metavar="DIR", help="Write OpenPose JSON there, one file per frame.")
    ] = None
    overlay: Annotated[
        Path | None, typer.Option("--overlay", metavar="VIDEO", help="Write the frames with all people drawn on them.")
    ] = None
    credentials: ContentCredentials | None = None
    replace: Annotated[bool, typer.Option("--force", help="Overwrite existing outputs.")] = False


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

    def add(self, found: FoundPeople) -> None:
        """Count one frame."""
        self.frames += 1
        self.frames_with_people += bool(found.people)
        self.frames_with_dancer += found.dancer_index >= 0
        self.frames_lost += found.lost
        self.changes += found.changed
        self.ids.update(found.person_ids)

    def summary(self) -> str:
        """One line for the user."""
        people = "1 person" if len(self.ids) == 1 else f"{len(self.ids)} people"
        parts = [f"people in {self.frames_with_people}", f"{people} in all", f"the dancer in {self.frames_with_dancer}"]
        if self.frames_lost:
            parts.append(f"lost in {self.frames_lost}")
        if self.changes:
            parts.append(f"the dancer changed {self.changes} times")
        return f"{self.frames} frames: {', '.join(parts)}"


def find_poses(job: PoseJob, display: Display, should_stop: Callable[[], bool]) -> PoseReport:
    """Estimate the poses of every frame and write the requested outputs.

    should_stop: called after each frame. On a stop, the results so far are kept under another name, and Interrupted
    names it. Raises CommandError, and leaves nothing behind then.
    """
    report = PoseReport()
    with ExitStack() as closing:
        reader, frames = _opened(job, closing)
        # Wait for the first frame: it sets the size, and a source that cannot be decoded must leave no folder.
        first = next(frames)
        writer: KeypointsWriter | None = None
        recording: Recording | None = None
        if job.overlay is not None:
            recording = closing.enter_context(
                Recording(
                    job.overlay,
                    time_base=reader.time_base,
                    frame_rate=reader.frame_rate,
                    marks=FileMarks(job.credentials, _drawn_over(job)),
                    replace=job.replace,
                )
            )
        line = closing.enter_context(display.progress("finding poses", reader.expected_frames))
        if job.json is not None:
            check_writable(job.json, _LEAST_FILE_BYTES * (reader.expected_frames or 0), is_folder=True)
            folder = closing.enter_context(_folder(job.json, replace=job.replace))
            scale = first.size.width_px / first.picture.shape[1], first.size.height_px / first.picture.shape[0]
            facts = SourceFacts(first.size, reader.frame_rate, reader.time_base)
            writer = KeypointsWriter(folder, Path(job.source.name).stem, facts, scale)
        for frame in chain([first], frames):
            found = frame.found
            if writer is not None:
                people = zip(found.people, found.person_ids, strict=True)
                writer.write([KeypointsPerson(pose, number) for pose, number in people], frame.pts)
            if recording is not None:
                note = "dancer lost" if found.lost else "another dancer" if found.changed else ""
                overlay = draw_people(frame.picture, found.people, found.person_ids, found.dancer_index, note)
                recording.write(overlay, frame.pts)
            report.add(found)
            line.advance()
            if should_stop():
                kept = " and ".join(str(path) for path in _kept_until_stop(job, writer, recording))
                raise Interrupted(f"stopped after {report.frames} frames, which {kept} hold")
        report.damaged, report.notes = reader.lost_frames, reader.notes
        if writer is not None:
            writer.close()
        if recording is not None:
            recording.keep()  # before the folder, which is moved into place at the end of this block
    return report


def _drawn_over(job: PoseJob) -> DrawnOver:
    source = Path(job.source.name)
    return DrawnOver(what="People's joints are drawn over footage", sources=(source,) if source.is_file() else ())


def _opened(job: PoseJob, closing: ExitStack) -> tuple[Reader, Iterator[EstimatedFrame]]:
    if job.source.is_keypoints:
        reader = job.source.open()
        assert isinstance(reader, KeypointsReader)
        return reader, _read(reader, job)
    estimator = closing.enter_context(VideoEstimator(job.source.name, job))
    return estimator.reader, estimator.frames()


def _read(keypoints: KeypointsReader, job: PoseJob) -> Iterator[EstimatedFrame]:
    size = shrunk_size(keypoints.size, job.max_side_px)
    for shown in followed_frames(keypoints, job.dancer, job.max_side_px):
        who = shown.who
        found = FoundPeople(shown.people, who.person_ids, who.dancer_index, who.lost, who.changed)
        yield EstimatedFrame(shown.pts, keypoints.size, drawn(shown, size), found)


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
