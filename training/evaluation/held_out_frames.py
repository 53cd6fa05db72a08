"""The held-out frames of an actor's footage: draw, score and preview them, and compare them with the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.labelmap import draw_label_map
from motion.pose import Pose
from motion.wardrobe.pieces import Wardrobe
from serving.process.stop_signals import checked
from training.data.prepared_footage import PreparedFootage
from training.data.references import ReferencePicture, References
from training.data.split import Split, near_blocks
from training.evaluation.baselines import NearestPose, grey_figure
from training.evaluation.flicker import FlickerScores, Motion, levels_along, motions
from training.evaluation.metrics import PictureScores, PoseScores, score_pictures, score_poses
from training.evaluation.second_heads import least_in_film
from training.evaluation.sharpness import inner_gradient
from training.evaluation.unseen_poses.made_up import unseen_poses
from training.evaluation.unseen_poses.scores import DrawPoses, UnseenScores, draw_unseen, score_unseen
from training.networks.recurrent_drawing import Draw, draw_run, refine_face
from training.presets import Preset

_CAPTION_ROWS: Final = 20


class HeldOut:
    """The held-out frames that show the person, in runs of consecutive frames.

    check: called before each frame is drawn, scored or given to the detector; an exception in it ends the work.
    references: for networks with a reference; never drawn from within half a second of a held-out frame.
    """

    def __init__(
        self,
        prepared: PreparedFootage,
        split: Split,
        preset: Preset,
        check: Callable[[], None] = lambda: None,
        references: References | None = None,
    ) -> None:
        self._prepared = prepared
        self._rule = preset.face_rule
        self._check = check
        self._references = references
        self.runs = [run for block in split.blocks for run in seen_runs(prepared, block)]
        self.frames = [frame for run in self.runs for frame in run]
        self._blocks = split.blocks
        self._known = [i for i in np.flatnonzero(split.trained).tolist() if prepared.poses[i] is not None]
        if not self.frames:
            raise ValueError("no held-out frame shows the person")

    def drawn(self, draw: Draw) -> list[list[Picture]]:
        """Draw every run, starting from the empty picture, each frame on the picture before it."""
        return [self._drawn(draw, run) for run in self.runs]

    def _drawn(self, draw: Draw, run: list[int]) -> list[Picture]:
        return draw_run(draw, (self._prepared.labels[frame] for frame in self.each(run)), self.references(run))

    def acted(self, frames: list[int], draw: Draw, refine: Draw | None) -> list[Picture]:
        """Draw any frames of the footage that show the person, in their order, with faces refined if `refine` is given.

        Like those of held-out frames, their references never come from within half a second of them.
        """
        pictures = self._drawn(draw, frames)
        return pictures if refine is None else self._refined(refine, frames, pictures)

    def references(self, run: Sequence[int]) -> list[ReferencePicture] | None:
        """The references of a run of frames; None for networks without."""
        if self._references is None:
            return None
        return self._references.run((frame, self._prepared.crop_pose(frame)) for frame in run)

    def each(self, run: list[int]) -> Iterator[int]:
        """The frames of a run, one by one, with the check before each."""
        return checked(run, self._check)

    def refined(self, refine: Draw, runs: list[list[Picture]]) -> list[list[Picture]]:
        """Drawn runs with faces refined by the face network."""
        return [self._refined(refine, run, pictures) for run, pictures in zip(self.runs, runs, strict=True)]

    def _refined(self, refine: Draw, run: list[int], pictures: list[Picture]) -> list[Picture]:
        prepared = self._prepared
        return [
            refine_face(refine, prepared.labels[frame], picture, prepared.crop_pose(frame), self._rule)
            for frame, picture in zip(self.each(run), pictures, strict=True)
        ]

    def scores(self, runs: list[list[Picture]]) -> PictureScores:
        """Score drawn runs against the real pictures."""
        return self._scored([picture for run in runs for picture in run])

    def pose_scores(self, runs: list[list[Picture]]) -> PoseScores:
        """Compare the detector's poses in drawn runs with the poses that were asked for."""
        return score_poses((checked(run, self._check) for run in runs), self._asked)

    def flicker(self, runs: list[list[Picture]]) -> FlickerScores:
        """The flicker of drawn runs beside that of the real frames."""
        drawn, real = (
            [level for run, moved in zip(of, self._motions, strict=True) for level in levels_along(run, moved)]
            for of in (runs, self._real)
        )
        return FlickerScores(*(float(np.mean(levels)) if levels else None for levels in (drawn, real)))

    @cached_property
    def _motions(self) -> list[list[Motion | None]]:
        return [motions(*run) for run in zip(checked(self._real, self._check), self._asked, strict=True)]

    @cached_property
    def unseen(self) -> dict[str, Pose]:
        """See `unseen_of_footage`."""
        return unseen_of_footage(self._prepared)

    def unseen_scores(self, draw: DrawPoses) -> UnseenScores | None:
        """Draw the made-up poses and look for them with the detector; None if the footage allows none."""
        drawn = draw_unseen(draw, self.unseen, self._check)
        return score_unseen(drawn, self.unseen, self._prepared.crop_plate, self.film["head_elsewhere"])

    @cached_property
    def film(self) -> dict[str, float | None]:
        """What transfers are compared with, of the real held-out frames; see `inner_gradient` and `least_in_film`."""
        real, poses = [picture for run in self._real for picture in run], self._poses()
        values = {
            "inner_gradient": inner_gradient(real, poses),
            "head_elsewhere": least_in_film(real, poses, self._prepared.crop_plate),
        }
        return {name: None if value is None else round(value, 3) for name, value in values.items()}

    @property
    def _real(self) -> list[list[Picture]]:
        return [[self._prepared.pictures[frame] for frame in run] for run in self.runs]

    @property
    def _asked(self) -> list[list[Pose]]:
        return [[self._prepared.crop_pose(frame) for frame in run] for run in self.runs]

    def allowed(self, wardrobe: Wardrobe | None, run: Sequence[int]) -> list[NDArray[np.bool_]] | None:
        """See `allowed_for_scores`."""
        return allowed_for_scores(wardrobe, run, self._blocks, self._prepared.frame_rate_hz)

    def posing(self, draw: Draw, refine: Draw | None = None) -> DrawPoses:
        """A function that draws poses, in pixels of the crop, with a body network and perhaps a face network."""
        crop, references = self._prepared.crop, self._references

        def drawn(poses: Sequence[Pose]) -> list[Picture]:
            labels = [draw_label_map(pose, crop.out_width_px, crop.out_height_px) for pose in poses]
            pictures = draw_run(draw, labels, None if references is None else references.of_poses(poses))
            if refine is None:
                return pictures
            return [refine_face(refine, *three, self._rule) for three in zip(labels, pictures, poses, strict=True)]

        return drawn

    def quality(self, runs: list[list[Picture]], draw: DrawPoses) -> dict[str, Any]:
        """All that the quality gate compares, by name, as it is stored with an actor.

        runs: the drawn held-out frames. draw: draws poses, in pixels of the crop, with the same networks.
        """
        unseen = self.unseen_scores(draw)
        return {
            "held_out": self.scores(runs).to_dict(),
            "pose_distance": self.pose_scores(runs).to_dict(),
            "flicker": self.flicker(runs).to_dict(),
            "unseen_poses": None if unseen is None else unseen.to_dict(),
        }

    @cached_property
    def baselines(self) -> dict[str, Any]:
        """Scores of the nearest training frame, the grey figure and the empty plate; the real frames' own numbers."""
        prepared = self._prepared
        known = NearestPose([prepared.crop_pose(i) for i in self._known])
        plate = prepared.crop_plate
        poses = checked(self._poses(), self._check)
        nearest = [prepared.pictures[self._known[known.index(pose)]] for pose in poses]
        grey = [grey_figure(pose, plate) for pose in self._poses()]
        return {
            "nearest_training_frame": self._scored(nearest).to_dict(),
            "grey_figure": self._scored(grey).to_dict(),
            "plate": self._scored([plate] * len(self.frames)).to_dict(),
            "pose_distance_floor": self.pose_scores(self._real).to_dict(),
            "film": self.film,
        }

    def preview(self, caption: str, runs: list[list[Picture]]) -> Picture:
        """Up to eight held-out frames, the first and last of every run: label map, drawn picture, real picture."""
        drawn = dict(zip(self.frames, (picture for run in runs for picture in run), strict=True))
        shown = sorted({frame for run in self.runs for frame in (run[0], run[-1])})[:8]
        columns = [[self._prepared.labels[i], drawn[i], self._prepared.pictures[i]] for i in shown]
        return preview_sheet(caption, columns)

    def _scored(self, pictures: list[Picture]) -> PictureScores:
        real = [self._prepared.pictures[frame] for frame in self.frames]
        masks = [self._prepared.masks[frame] for frame in self.frames]
        return score_pictures(pictures, real, checked(self._poses(), self._check), self._rule, masks)

    def _poses(self) -> list[Pose]:
        return [self._prepared.crop_pose(frame) for frame in self.frames]


def seen_runs(prepared: PreparedFootage, block: range) -> list[list[int]]:
    """The frames of a block that show the person, in runs without a gap, cut or jump."""

    runs: list[list[int]] = [[]]
    for frame in block:
        if frame in prepared.starts and runs[-1]:
            runs.append([])
        if prepared.poses[frame] is not None:
            runs[-1].append(frame)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def allowed_for_scores(
    wardrobe: Wardrobe | None, run: Sequence[int], held_out: Sequence[range], frame_rate_hz: float
) -> list[NDArray[np.bool_]] | None:
    """Which key frames of a wardrobe of this footage may serve to draw each frame of a run; `[K]` bool each.

    Not those near the frame, held out, or in a gap: with them, scores would measure memory. None for None.
    """
    if wardrobe is None:
        return None
    references = References(wardrobe, frame_rate_hz)
    known = ~np.isin(wardrobe.frames, list(near_blocks(held_out, frame_rate_hz)))
    return [references.allowed(frame) & known for frame in run]


def unseen_of_footage(prepared: PreparedFootage) -> dict[str, Pose]:
    """Made-up poses that the footage lacks, by name, in pixels of the crop; see `unseen_poses`."""
    poses = [prepared.crop_pose(frame) for frame, pose in enumerate(prepared.poses) if pose is not None]
    return unseen_poses(poses, prepared.crop.out_width_px, prepared.crop.out_height_px)


def preview_sheet(caption: str, columns: Sequence[Sequence[Picture]]) -> Picture:
    """One picture: a caption, below it one column per frame; all pictures `[H, W, 3]` uint8 RGB of one size.

    Raises ValueError without columns.
    """
    if not columns:
        raise ValueError("a preview needs at least one frame")
    sheet = np.concatenate([np.concatenate(list(column), axis=0) for column in columns], axis=1)
    strip = np.full((_CAPTION_ROWS, sheet.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, caption, (4, _CAPTION_ROWS - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([strip, sheet], axis=0)
