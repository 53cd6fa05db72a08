"""The frames of the footage that the moving preview of a version shows the actor in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from serving.actors.preview import PREVIEW_FRAMES, shown_every
from training.data.prepared_footage import PreparedFootage
from training.evaluation.held_out_frames import seen_runs

_SHOWS_ALL: Final = (skeleton.NOSE, skeleton.R_ANKLE, skeleton.L_ANKLE)
"""A frame with these joints shows the whole person, and the face rather than the back of the head."""


def preview_frames(prepared: PreparedFootage) -> list[int]:
    """Return the frames of the preview: the two seconds in which the person moves most and is seen whole.

    They are evenly spaced and follow each other without a gap, a cut or a jump. If the person is never seen for so
    long, there are fewer; none if no two such frames exist.
    """
    step = shown_every(prepared.frame_rate_hz)
    best: list[int] = []
    most = (0, 0.0)
    for run in seen_runs(prepared, range(len(prepared))):
        frames = run[::step]
        length = min(len(frames), PREVIEW_FRAMES)
        if length < max(2, len(best)):
            continue
        moved = _movement(prepared, frames, length)
        first = int(np.argmax(moved))
        if (length, moved[first]) > most or not best:
            best, most = frames[first : first + length], (length, float(moved[first]))
    return best


def _movement(prepared: PreparedFootage, frames: list[int], length: int) -> NDArray[np.float64]:
    """How far the joints move in each stretch of `length` frames, times the share of them that show all of the person.

    `[len(frames) - length + 1]`, in heights of the network's picture, of the mean joint.
    """
    steps, whole = np.array([0.0, *_steps(prepared, frames)]), _whole(prepared, frames)
    sums = [np.convolve(values, np.ones(length), "valid") for values in (steps, whole)]
    return np.asarray((sums[0] - steps[: len(sums[0])]) * sums[1] / length)


def _steps(prepared: PreparedFootage, frames: list[int]) -> Iterator[float]:
    """The way of the mean body joint from each frame to the next; joints that are not seen in both do not count."""
    before = prepared.crop_pose(frames[0])
    for frame in frames[1:]:
        now = prepared.crop_pose(frame)
        seen = (before.confidence[skeleton.BODY] > 0) & (now.confidence[skeleton.BODY] > 0)
        ways_px = np.linalg.norm(now.joints_px[skeleton.BODY] - before.joints_px[skeleton.BODY], axis=1)[seen]
        yield float(ways_px.mean()) / prepared.crop.out_height_px if len(ways_px) else 0.0
        before = now


def _whole(prepared: PreparedFootage, frames: list[int]) -> NDArray[np.float64]:
    poses = (prepared.crop_pose(frame) for frame in frames)
    return np.array([float(np.all(pose.confidence[list(_SHOWS_ALL)] > 0)) for pose in poses])
