"""Detections in the footage: a pose, a mask of the person and a few measures for every frame, found once and kept.

They are kept in chunks. Every chunk starts its own tracker, so an interrupted job finds exactly what an uninterrupted
one would have found.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import FrameSize, Picture
from motion.pose import Pose
from motion.pose_choice import PoseDetail
from motion.smoothing.median import MEDIAN_WINDOW_SECONDS, smoothed, window_half_frames
from services.pose.backends import mediapipe_estimator
from services.pose.estimator import Estimate, PeopleEstimator
from serving.process.atomic_files import written_whole
from training.data.plate import Mask
from training.data.prepared_footage import COMPLETE_FILE, POSES_FILE, stored_poses
from training.data.resumable_array import write_array
from training.place.steady_camera import steady_camera
from training.preparation.frame_quality import MEASURES, QualityMeter
from training.preparation.imported_poses import ImportedPoses, drawn_mask, explains

CHUNK_FRAMES: Final = 200
_CUT: Final = 0.1
"""Between frames a tenth of a second apart, a body that moves by this fraction of the picture's height was cut."""
_LONGEST_MASK_SIDE_PX: Final = 640
"""MediaPipe's own masks have 256 pixels for the whole person; more than this is interpolation."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The detections in one file.

    measures: `[F, M]` float32. people: `[F]`. drawn: `[F]` bool, whether the mask was drawn around the joints.
    moves: `[F, 3, 3]` float64, the camera's, NaN where unknown.
    """

    frames: int
    frame_size: FrameSize
    chunk_paths: list[Path]
    poses: NDArray[np.float32]
    measures: NDArray[np.float32]
    people: NDArray[np.int16]
    drawn: NDArray[np.bool_]
    moves: NDArray[np.float64]
    frames_lost: int
    notes: tuple[str, ...]


class Detections:
    """The detections in all files, one file after another.

    camera: how frames of a camera that moves are held still; None if it stands still. poses, masks and `steadied`
    pictures are in pixels of frames that are held still.
    poses: one per frame in pixels of the footage, None where no person was found. measures: `[F, M]` float32, see
    `frame_quality.MEASURES`. people: `[F]`, the number found in each frame; MediaPipe never finds more than one.
    drawn_masks: the number of frames whose mask was drawn around the joints. lost_frames: frames that do not decode.
    notes: the reader's decisions about the files. file_starts: every file's first frame.
    """

    def __init__(self, files: Sequence[_Seen]) -> None:
        self.frame_size = files[0].frame_size
        self.camera = steady_camera(np.concatenate([seen.moves for seen in files]), self.frame_size)
        self.poses: Sequence[Pose | None] = stored_poses([seen.poses for seen in files], self.camera)
        self.measures = np.concatenate([seen.measures for seen in files])
        self.people = np.concatenate([seen.people for seen in files])
        self.drawn_masks = int(sum(seen.drawn.sum() for seen in files))
        self.lost_frames = sum(seen.frames_lost for seen in files)
        self.notes = tuple(note for seen in files for note in seen.notes)
        self.file_starts = [0, *accumulate(seen.frames for seen in files)][:-1]
        self._files = files
        self._read: tuple[Path, NDArray[np.uint8]] | None = None

    @classmethod
    def joined(cls, parts: Sequence[Detections]) -> Detections:
        """Join the detections of several files, in their order."""
        return cls([seen for part in parts for seen in part._files])

    def mask(self, frame: int) -> Mask:
        """One frame's mask at the footage's size; all 0 if no person was found. Fast when frames are read in order."""
        file = bisect_right(self.file_starts, frame) - 1
        chunk, offset = divmod(frame - self.file_starts[file], CHUNK_FRAMES)
        path = self._files[file].chunk_paths[chunk]
        if self._read is None or self._read[0] != path:
            with np.load(path) as stored:
                self._read = path, stored["masks"]
        size = (self.frame_size.width_px, self.frame_size.height_px)
        mask = np.asarray(cv2.resize(self._read[1][offset], size, interpolation=cv2.INTER_LINEAR), np.uint8)
        return mask if self.camera is None else self.camera.mask(frame, mask)

    def steadied(self, frame: int, picture: Picture) -> Picture:
        """A frame of the footage as a camera that stands still shows it."""
        return picture if self.camera is None else self.camera.picture(frame, picture)

    def shown(self, frame: int) -> Mask | None:
        """`[H, W]` uint8: 255 where the steadied frame shows the place, 0 beyond its edge; None if it shows all."""
        return None if self.camera is None else self.camera.shown(frame)


def find_person(
    open_footage: Callable[[], Iterable[Picture]],
    folder: Path,
    on_frame: Callable[[int], None],
    *,
    meter: QualityMeter | None = None,
    imported: ImportedPoses | None = None,
    keep: Callable[[int, Picture], None] = lambda frame, picture: None,
    on_known: Callable[[int], None] | None = None,
    more_facts: Callable[[], Mapping[str, Any]] = dict,
    rate_hz: float = 0,
) -> Detections:
    """Detect the person in every frame of one file, or read from `folder` what an earlier run detected.

    open_footage: opens the frames, from the first one; not called if all of them are known.
    on_frame: called after each frame with the number done; an exception in it ends the search, and whole chunks are
    kept. meter: measures the frames; None leaves the measures NaN. imported: poses to use instead of MediaPipe's, whose
    masks are still used where they show the same person. keep: called with every decoded frame and its number.
    on_known: called instead of `on_frame` for frames that are only passed over. more_facts: called at the end for facts
    to keep with the detections; "frames_lost" and "notes" are read back. rate_hz: poses are smoothed over a tenth of a
    second, as served ones are; 0 leaves them as found.
    Raises ValueError for footage without frames.
    """
    complete_path = folder / COMPLETE_FILE
    if not complete_path.is_file():
        look = _Look(folder, on_frame, on_known or on_frame, meter, imported, keep)
        facts: dict[str, Any] = look.at(iter(open_footage())) | dict(more_facts())
        _gather_poses(folder, facts["frames"], rate_hz, facts["height_px"])
        with written_whole(complete_path) as partial:
            partial.write_text(json.dumps(facts))
    facts = json.loads(complete_path.read_text())
    paths = [_chunk_path(folder, start) for start in range(0, facts["frames"], CHUNK_FRAMES)]
    columns: dict[str, list[NDArray[Any]]] = {"measures": [], "people": [], "drawn": [], "moves": []}
    for path in paths:
        with np.load(path) as stored:
            for name, column in columns.items():
                column.append(stored[name])
    poses: NDArray[np.float32] = np.load(folder / POSES_FILE, mmap_mode="r")
    size = FrameSize(facts["width_px"], facts["height_px"])
    joined = {name: np.concatenate(column) for name, column in columns.items()}
    lost, notes = facts.get("frames_lost", 0), tuple(facts.get("notes", ()))
    seen = _Seen(facts["frames"], size, paths, poses, **joined, frames_lost=lost, notes=notes)
    return Detections([seen])


@dataclass(slots=True)
class _Look:
    """One pass over the frames of a file, which writes its chunks into the folder."""

    _folder: Path
    _on_frame: Callable[[int], None]
    _on_known: Callable[[int], None]
    _meter: QualityMeter | None
    _imported: ImportedPoses | None
    _keep: Callable[[int, Picture], None]
    _done: int = 0
    _last: Picture | None = None

    def at(self, frames: Iterator[Picture]) -> dict[str, int]:
        """Look at all frames; return their number and size."""
        while True:
            path, before = _chunk_path(self._folder, self._done), self._done
            pictures = islice(frames, CHUNK_FRAMES)
            if path.is_file():
                for picture in pictures:
                    if self._imported is not None:
                        self._imported.of(self._done)  # the person it follows must not depend on interruptions
                    self._count(picture, self._on_known)
                if self._meter is not None and self._last is not None:
                    self._meter.skip(self._last)
            else:
                rows = self._looked(pictures)
                if rows:
                    _store(path, rows)
            if self._done - before < CHUNK_FRAMES:
                break
        if self._last is None:
            raise ValueError("footage without frames")
        return {"frames": self._done, "width_px": self._last.shape[1], "height_px": self._last.shape[0]}

    def _looked(self, pictures: Iterable[Picture]) -> list[dict[str, Any]]:
        """The arrays kept for each frame, by name."""
        rows: list[dict[str, Any]] = []
        with (
            closing(mediapipe_estimator(PoseDetail.HOLISTIC, with_mask=True)) as estimator,
            closing(_estimated(estimator, pictures)) as estimates,
        ):
            for picture, estimate in estimates:
                size = FrameSize(picture.shape[1], picture.shape[0])
                pose, people, drawn = estimate.dancer, int(estimate.dancer is not None), False
                mask = _reduced(estimate.mask, size)
                if self._imported is not None:
                    pose, people = self._imported.of(self._done)
                    if pose is None:
                        mask = np.zeros_like(mask)
                    elif not explains(mask, pose, size):
                        mask, drawn = drawn_mask(pose, size, mask.shape), True
                measures, move = np.full(len(MEASURES), np.nan, np.float32), np.full((3, 3), np.nan)
                if self._meter is not None:
                    measures = self._meter.measured(picture, mask, pose)
                    move = self._meter.move
                facts = {"people": np.int16(people), "drawn": np.bool_(drawn), "moves": move}
                rows.append({"poses": _values(pose), "masks": mask, "measures": measures} | facts)
                self._count(picture, self._on_frame)
        return rows

    def _count(self, picture: Picture, on_frame: Callable[[int], None]) -> None:
        self._keep(self._done, picture)
        self._last = picture
        self._done += 1
        on_frame(self._done)


def _estimated(
    estimator: PeopleEstimator, pictures: Iterable[Picture]
) -> Generator[tuple[Picture, Estimate], None, None]:
    """Yield every picture with its estimate; the next one is looked at in a thread while the caller uses it."""
    with ThreadPoolExecutor(1, thread_name_prefix="poses") as thread:
        before: tuple[Picture, Future[Estimate]] | None = None
        for picture in pictures:
            after = picture, thread.submit(estimator.estimate, picture)
            if before is not None:
                yield before[0], before[1].result()
            before = after
        if before is not None:
            yield before[0], before[1].result()


def _chunk_path(folder: Path, first_frame: int) -> Path:
    return folder / f"{first_frame:07d}.npz"


def _reduced(mask: NDArray[np.float32] | None, size: FrameSize) -> Mask:
    scale = min(1.0, _LONGEST_MASK_SIDE_PX / max(size.width_px, size.height_px))
    width_px, height_px = max(1, round(size.width_px * scale)), max(1, round(size.height_px * scale))
    if mask is None:
        return np.zeros((height_px, width_px), np.uint8)
    reduced = cv2.resize(mask, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(np.clip(reduced, 0, 1) * 255), np.uint8)


def _store(path: Path, rows: list[dict[str, Any]]) -> None:
    with written_whole(path) as partial:
        np.savez_compressed(partial, **{name: np.stack([row[name] for row in rows]) for name in rows[0]})


def _values(pose: Pose | None) -> NDArray[np.float32]:
    """`[J, 3]` float32; NaN for None."""
    if pose is None:
        return np.full((skeleton.JOINT_COUNT, 3), np.nan, np.float32)
    return np.concatenate([pose.joints_px, pose.confidence[:, None]], axis=1)


def _gather_poses(folder: Path, frames: int, rate_hz: float, height_px: int) -> None:
    """Write all chunks' poses, smoothed, into one file, in which each can be read directly."""

    def found() -> Iterator[NDArray[np.float32] | None]:
        for start in range(0, frames, CHUNK_FRAMES):
            with np.load(_chunk_path(folder, start)) as stored:
                for pose in stored["poses"]:
                    yield None if np.isnan(pose[0, 0]) else pose

    half = window_half_frames(rate_hz, MEDIAN_WINDOW_SECONDS)
    without_person = _values(None)
    poses = (without_person if pose is None else pose for pose in smoothed(found(), half, _CUT * height_px))
    shape = (frames, skeleton.JOINT_COUNT, 3)
    write_array(folder / POSES_FILE, shape, np.dtype(np.float32), (pose[None] for pose in poses))
