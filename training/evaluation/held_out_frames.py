"""The held-out frames of an actor's footage: drawn, scored, previewed, and compared with the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from motion.face_region import cut_face, face_region, paste_face
from motion.frame import Picture
from motion.pose import Pose
from training.data.pairs import Split
from training.evaluation.baselines import NearestPose, grey_figure
from training.evaluation.metrics import PictureScores, PoseScores, score_pictures, score_poses
from training.evaluation.preview import preview_sheet
from training.networks.recurrent_drawing import Draw, draw_run
from training.preparation.prepare import PreparedFootage
from training.presets import Preset
from training.process.stop_signals import checked


class HeldOut:
    """The held-out frames that show the person, in runs of consecutive frames.

    check: called ahead of each frame that is drawn, scored or looked at by the detector; what it raises ends that.
    """

    def __init__(
        self,
        prepared: PreparedFootage,
        split: Split,
        preset: Preset,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._prepared = prepared
        self._rule = preset.face_rule
        self._check = check
        self.runs = [run for block in split.blocks for run in seen_runs(prepared, block)]
        self.frames = [frame for run in self.runs for frame in run]
        self._known = [i for i in np.flatnonzero(split.trained).tolist() if prepared.poses[i] is not None]
        if not self.frames:
            raise ValueError("no held-out frame shows the person")

    def drawn(self, draw: Draw) -> list[list[Picture]]:
        """Every run drawn from the empty picture on, each frame on the picture before it."""
        return [draw_run(draw, (self._prepared.labels[frame] for frame in self.each(run))) for run in self.runs]

    def each(self, run: list[int]) -> Iterator[int]:
        """The frames of a run, one by one, with the check ahead of each."""
        return checked(run, self._check)

    def refined(self, refine: Draw, runs: list[list[Picture]]) -> list[list[Picture]]:
        """Drawn runs with the face network's faces in them."""
        return [
            [self._refined(refine, frame, picture) for frame, picture in zip(self.each(run), pictures, strict=True)]
            for run, pictures in zip(self.runs, runs, strict=True)
        ]

    def scores(self, runs: list[list[Picture]]) -> PictureScores:
        """Of drawn runs against the real pictures."""
        return self._scored([picture for run in runs for picture in run])

    def pose_scores(self, runs: list[list[Picture]]) -> PoseScores:
        """Of drawn runs: the detector's pose in them against the one asked."""
        asked = [[self._prepared.stage_pose(frame) for frame in run] for run in self.runs]
        return score_poses((checked(run, self._check) for run in runs), asked)

    def baselines(self) -> dict[str, Any]:
        """Scores of the nearest training frame, of the grey figure and of the empty plate; the detector's own floor."""
        prepared = self._prepared
        known = NearestPose([prepared.stage_pose(i) for i in self._known])
        plate = prepared.crop_plate
        poses = checked(self._poses(), self._check)
        nearest = [prepared.pictures[self._known[known.index(pose)]] for pose in poses]
        grey = [grey_figure(pose, plate) for pose in self._poses()]
        real_runs = [[prepared.pictures[frame] for frame in run] for run in self.runs]
        return {
            "nearest_training_frame": self._scored(nearest).to_dict(),
            "grey_figure": self._scored(grey).to_dict(),
            "plate": self._scored([plate] * len(self.frames)).to_dict(),
            "pose_distance_floor": self.pose_scores(real_runs).to_dict(),
        }

    def preview(self, caption: str, runs: list[list[Picture]]) -> Picture:
        """Up to eight held-out frames, the first and the last of every run: as asked, as drawn, as they really are."""
        drawn = dict(zip(self.frames, (picture for run in runs for picture in run), strict=True))
        shown = sorted({frame for run in self.runs for frame in (run[0], run[-1])})[:8]
        columns = [[self._prepared.labels[i], drawn[i], self._prepared.pictures[i]] for i in shown]
        return preview_sheet(caption, columns)

    def _scored(self, pictures: list[Picture]) -> PictureScores:
        return score_pictures(pictures, self._real(), checked(self._poses(), self._check), self._rule)

    def _real(self) -> list[Picture]:
        return [self._prepared.pictures[frame] for frame in self.frames]

    def _poses(self) -> list[Pose]:
        return [self._prepared.stage_pose(frame) for frame in self.frames]

    def _refined(self, refine: Draw, frame: int, picture: Picture) -> Picture:
        label = self._prepared.labels[frame]
        height_px, width_px = label.shape[:2]
        region = face_region(self._prepared.stage_pose(frame), self._rule, width_px, height_px)
        if region is None:
            return picture
        crops = (cut_face(whole, region, self._rule.crop_px) for whole in (label, picture))
        return paste_face(picture, refine(*crops), region)


def seen_runs(prepared: PreparedFootage, block: range) -> list[list[int]]:
    """The frames of a block that show the person, in runs without a gap, a cut or a leap."""
    runs: list[list[int]] = [[]]
    for frame in block:
        if frame in prepared.starts and runs[-1]:
            runs.append([])
        if prepared.poses[frame] is not None:
            runs[-1].append(frame)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
