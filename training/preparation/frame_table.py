"""A table with all facts about every frame of the footage, also as a CSV file for people."""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.body import BodyMeasure, measure_body
from motion.face_region import FaceRule, face_region
from motion.pose import Pose
from serving.process.atomic_files import written_whole
from training.data.split import Split
from training.footage_report.coverage import Flags, View, views_shown
from training.preparation.detections import Detections
from training.preparation.frame_quality import CHANGE, LIGHT, SHARPNESS, SHIFT

_CUT_LEVELS: Final = 6.0
"""Of 255: only at a cut does more than half of the place change by more than this between two frames."""
_FASTEST_TORSOS_PER_SECOND: Final = 10.0
_FARTHEST_TORSOS: Final = 0.5
"""A torso that moves farther or faster than this between two frames has jumped."""

FACE_BOX: Final = FaceRule(side_per_face_size=2.0, min_side_px=16)
_PART_OF_A_HAND: Final = 10

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameTable:
    """The columns for `F` frames. Flags are `[F]` bool, numbers `[F]` float32, NaN if unknown.

    body_height_px: from nose to ankles. face_box_px: `[F, 3]` int32, left, top and side of the face's square; side 0
    without a face. camera_shift_px, light_levels, sharpness: see `frame_quality.MEASURES`. people: `[F]`.
    views: which frames show each view of the person, `[F]` bool each. starts: frames that do not follow the frame
    before them: the first of each file, and those after a cut or leap. leaps: frames in which the person has jumped to
    another place without a visible change of the background. file_starts: the first frame of each file. measures: the
    bodies that could be measured, in order.
    """

    frame_rate_hz: float
    seen: Flags
    whole_body: Flags
    body_height_px: Floats
    face_box_px: NDArray[np.int32]
    left_hand: Flags
    right_hand: Flags
    views: Mapping[View, Flags]
    people: NDArray[np.int16]
    camera_shift_px: Floats
    light_levels: Floats
    sharpness: Floats
    starts: frozenset[int]
    leaps: frozenset[int]
    file_starts: Sequence[int]
    measures: list[BodyMeasure]

    def __len__(self) -> int:
        return len(self.seen)

    @property
    def face(self) -> Flags:
        """The frames with a face."""
        return np.asarray(self.face_box_px[:, 2] > 0)

    @property
    def cuts(self) -> int:
        """The number of cuts within files."""
        return len(self.starts - self.leaps - set(self.file_starts))

    def write_csv(self, path: Path, split: Split | None) -> None:
        """Write one row per frame. Raises OSError."""
        names = ("frame", "file", "seconds", "part", "person", "people", "whole_body", "body_height_px", "face_x_px",
                 "face_y_px", "face_side_px", "left_hand", "right_hand", "camera_shift_px", "light_levels",
                 "sharpness", "starts")  # fmt: skip
        with written_whole(path) as partial, partial.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(names)
            for frame in range(len(self)):
                number = bisect_right(self.file_starts, frame) - 1
                has_face = self.face_box_px[frame, 2] > 0
                table.writerow(
                    (
                        frame,
                        number,
                        f"{(frame - self.file_starts[number]) / self.frame_rate_hz:.3f}",
                        "" if split is None else split.part(frame),
                        int(self.seen[frame]),
                        int(self.people[frame]),
                        int(self.whole_body[frame]),
                        _number(self.body_height_px[frame]),
                        *(self.face_box_px[frame].tolist() if has_face else ("", "", "")),
                        int(self.left_hand[frame]),
                        int(self.right_hand[frame]),
                        _number(self.camera_shift_px[frame]),
                        _number(self.light_levels[frame]),
                        _number(self.sharpness[frame]),
                        int(frame in self.starts),
                    )
                )


def frame_table(detections: Detections, frame_rate_hz: float) -> FrameTable:
    """Compute the table from the detections."""
    frames, size = len(detections.poses), detections.frame_size
    names = ("seen", "whole_body", "left_hand", "right_hand")
    flags = {name: np.zeros(frames, bool) for name in names}
    heights_px = np.full(frames, np.nan, np.float32)
    boxes_px = np.zeros((frames, 3), np.int32)
    measures = []
    leaps = set()
    before: Pose | None = None
    for frame, pose in enumerate(detections.poses):
        if before is not None and pose is not None and _leaps(before, pose, frame_rate_hz):
            leaps.add(frame)
        before = pose
        if pose is None:
            continue
        measure = measure_body(pose, size)
        if measure is not None:
            measures.append(measure)
            heights_px[frame] = measure.height * size.height_px
        region = face_region(pose, FACE_BOX, size.width_px, size.height_px)
        if region is not None:
            boxes_px[frame] = (region.x_px, region.y_px, region.side_px)
        hands = [pose.seen[hand].sum() >= _PART_OF_A_HAND for hand in (skeleton.LEFT_HAND, skeleton.RIGHT_HAND)]
        found = (True, measure is not None, *hands)
        for name, flag in zip(names, found, strict=True):
            flags[name][frame] = flag
    changed = np.flatnonzero(np.nan_to_num(detections.measures[:, CHANGE]) > _CUT_LEVELS).tolist()
    cut = {*detections.file_starts, *changed}
    return FrameTable(
        frame_rate_hz=frame_rate_hz,
        **flags,
        views=views_shown(detections.poses, size),
        body_height_px=heights_px,
        face_box_px=boxes_px,
        people=detections.people,
        camera_shift_px=detections.measures[:, SHIFT],
        light_levels=detections.measures[:, LIGHT],
        sharpness=detections.measures[:, SHARPNESS],
        starts=frozenset(cut | leaps),
        leaps=frozenset(leaps - cut),
        file_starts=detections.file_starts,
        measures=measures,
    )


def _leaps(before: Pose, pose: Pose, frame_rate_hz: float) -> bool:
    trunk = [before.joint(skeleton.NECK), before.joint(skeleton.MID_HIP)]
    now = [pose.joint(skeleton.NECK), pose.joint(skeleton.MID_HIP)]
    if any(joint is None for joint in (*trunk, *now)):
        return False
    trunk_px, now_px = np.array(trunk, np.float64), np.array(now, np.float64)
    torso_px = max(float(np.linalg.norm(trunk_px[0] - trunk_px[1])), 1.0)
    moved_px = float(np.linalg.norm(now_px - trunk_px, axis=1).min())
    return moved_px > torso_px * max(_FARTHEST_TORSOS, _FASTEST_TORSOS_PER_SECOND / frame_rate_hz)


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"
