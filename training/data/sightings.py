"""Who is where in the footage: a pose and a mask of the person for every frame, found once and kept in chunks.

Every chunk starts a tracker of its own, so that a job that was interrupted finds exactly what an uninterrupted one
would have found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import FrameSize, Picture
from motion.pose import Pose
from services.pose.estimator import PoseDetail, PoseEstimator
from training.atomic import written_whole

CHUNK_FRAMES: Final = 200
_COMPLETE_FILE: Final = "complete.json"
_LONGEST_MASK_SIDE_PX: Final = 640
"""MediaPipe's own masks have 256 pixels for the whole person; more than this is interpolation."""

Mask = NDArray[np.uint8]
"""`[H, W]` uint8, 255 where a pixel is of the person, soft at its outline."""


class Sightings:
    """What was seen: `poses`, one per frame in pixels of the footage, None where nobody was found, and the masks."""

    def __init__(self, poses: list[Pose | None], frame_size: FrameSize, chunk_paths: list[Path]) -> None:
        self.poses = poses
        self.frame_size = frame_size
        self._chunk_paths = chunk_paths
        self._read: tuple[int, NDArray[np.uint8]] | None = None

    def mask(self, frame: int) -> Mask:
        """One frame's mask at the footage's size; all 0 where nobody was found. Quick for frames in their order."""
        chunk, offset = divmod(frame, CHUNK_FRAMES)
        if self._read is None or self._read[0] != chunk:
            with np.load(self._chunk_paths[chunk]) as stored:
                self._read = chunk, stored["masks"]
        size = (self.frame_size.width_px, self.frame_size.height_px)
        return np.asarray(cv2.resize(self._read[1][offset], size, interpolation=cv2.INTER_LINEAR), np.uint8)


def find_person(
    open_footage: Callable[[], Iterable[Picture]], folder: Path, on_frame: Callable[[int], None]
) -> Sightings:
    """Looks at every frame of the footage, or reads from `folder` what an earlier run has already seen there.

    open_footage: gives the frames from the first on; not called when all of them are known.
    on_frame: told how many frames are done, after each; what it raises ends the search, and whole chunks are kept.
    Raises ValueError for footage without frames.
    """
    complete_path = folder / _COMPLETE_FILE
    if not complete_path.is_file():
        with written_whole(complete_path) as partial:
            partial.write_text(json.dumps(_look(iter(open_footage()), folder, on_frame)))
    complete = json.loads(complete_path.read_text())
    paths = [_chunk_path(folder, start) for start in range(0, complete["frames"], CHUNK_FRAMES)]
    poses = [pose for path in paths for pose in _poses(path)]
    return Sightings(poses, FrameSize(complete["width_px"], complete["height_px"]), paths)


def _look(frames: Iterator[Picture], folder: Path, on_frame: Callable[[int], None]) -> dict[str, int]:
    done = 0
    size: FrameSize | None = None
    while True:
        path = _chunk_path(folder, done)
        pictures = islice(frames, CHUNK_FRAMES)
        before = done
        if path.is_file():
            for picture in pictures:
                size = FrameSize(picture.shape[1], picture.shape[0])
                done += 1
                on_frame(done)
        else:
            chunk: list[tuple[Pose | None, Mask]] = []
            with PoseEstimator(PoseDetail.HOLISTIC, with_mask=True) as estimator:
                for picture in pictures:
                    size = FrameSize(picture.shape[1], picture.shape[0])
                    estimate = estimator.estimate(picture)
                    chunk.append((estimate.dancer, _reduced(estimate.mask, size)))
                    done += 1
                    on_frame(done)
            if chunk:
                _store(path, chunk)
        if done - before < CHUNK_FRAMES:
            break
    if size is None:
        raise ValueError("footage without frames")
    return {"frames": done, "width_px": size.width_px, "height_px": size.height_px}


def _chunk_path(folder: Path, first_frame: int) -> Path:
    return folder / f"{first_frame:07d}.npz"


def _reduced(mask: NDArray[np.float32] | None, size: FrameSize) -> Mask:
    scale = min(1.0, _LONGEST_MASK_SIDE_PX / max(size.width_px, size.height_px))
    width_px, height_px = max(1, round(size.width_px * scale)), max(1, round(size.height_px * scale))
    if mask is None:
        return np.zeros((height_px, width_px), np.uint8)
    reduced = cv2.resize(mask, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(np.clip(reduced, 0, 1) * 255), np.uint8)


def _store(path: Path, chunk: list[tuple[Pose | None, Mask]]) -> None:
    nothing = Pose.nothing_seen()
    with written_whole(path) as partial:
        np.savez_compressed(
            partial,
            found=np.array([pose is not None for pose, _ in chunk]),
            joints_px=np.stack([(pose or nothing).joints_px for pose, _ in chunk]),
            confidence=np.stack([(pose or nothing).confidence for pose, _ in chunk]),
            masks=np.stack([mask for _, mask in chunk]),
        )


def _poses(path: Path) -> list[Pose | None]:
    with np.load(path) as stored:
        found, joints_px, confidence = stored["found"], stored["joints_px"], stored["confidence"]
    assert joints_px.shape[1:] == (skeleton.JOINT_COUNT, 2)
    return [Pose(joints_px[i], confidence[i]) if found[i] else None for i in range(len(found))]
