"""Preparation: footage into what training reads, kept in a folder so that it is done once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from motion.body import BodyStats, fit_body, measure_body
from motion.frame import FrameSize, Picture
from motion.labelmap import LABEL_MAP_VERSION, draw_label_map
from motion.pose import Pose
from motion.stage import Stage, fit_stage
from serving.errors import NoBody
from training.atomic import read_picture, write_picture, written_whole
from training.data.footage import footage_facts, footage_fingerprint, footage_frames
from training.data.plate import fit_plate, props
from training.data.sightings import Sightings, find_person

_PLATE_FRAMES: Final = 80
"""Frames that the plate is the median of, spread over the footage; more add time and little else."""

_COMPLETE_FILE: Final = "complete.json"
_FEWEST_POSES: Final = 8
_PROP_FRACTION: Final = 0.0005
"""A frame has a prop in it when more than this fraction of the stage is one."""

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, how many frames of it are done, and of how many, where that is known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedFootage:
    """What training reads; `F` frames, `[H, W]` the size of the network's picture.

    pictures: `[F, H, W, 3]` uint8 RGB, the stage of every frame. labels: the same shape, the drawn poses.
    masks: `[F, H, W]` uint8, 255 on the person.
    poses: in pixels of the footage, None where nobody was found. plate: at the footage's size.
    report: facts about the footage for people to read.
    """

    folder: Path
    pictures: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    poses: list[Pose | None]
    plate: Picture
    stage: Stage
    frame_size: FrameSize
    frame_rate_hz: float
    body: BodyStats
    report: dict[str, Any]

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def stage_plate(self) -> Picture:
        """`[H, W, 3]` uint8 RGB: the plate as the network sees it."""
        return self.stage.crop(self.plate)

    def stage_pose(self, frame: int) -> Pose:
        """The pose in pixels of the network's picture. Raises ValueError where nobody was found."""
        pose = self.poses[frame]
        if pose is None:
            raise ValueError(f"nobody was found in frame {frame}")
        return self.stage.to_stage(pose)


def prepare(
    footage: Path,
    folder: Path,
    width_px: int,
    height_px: int,
    on_progress: Progress = lambda what, done, of: None,
) -> PreparedFootage:
    """Poses, masks, body, stage, plate and label maps of the footage for pictures of this size.

    What an earlier call left in `folder` for the same footage is used, also after an interruption. Raises
    UnreadableVideo for footage that cannot be read and NoBody where too few frames show a person.
    """
    home = folder / footage_fingerprint(footage)
    facts = footage_facts(footage)

    def on_seen(done: int) -> None:
        on_progress("looking for poses", done, facts.expected_frames)

    seen = find_person(lambda: footage_frames(footage), home / "seen", on_seen)
    found = [pose for pose in seen.poses if pose is not None]
    if len(found) < _FEWEST_POSES:
        raise NoBody(f"{footage}: a person was found in only {len(found)} of {len(seen.poses)} frames")
    measures = [m for pose in found if (m := measure_body(pose, seen.frame_size)) is not None]
    if not measures:
        raise NoBody(f"{footage}: no frame shows a head and both ankles; the whole body must be in the picture")
    stage = fit_stage(found, seen.frame_size, width_px, height_px)
    plate, never_seen = _kept_plate(footage, seen, home)
    # Another rule for the stage, or another label map, must not meet pictures that were cut by the old one.
    cut = f"{stage.width_px}x{stage.height_px}+{stage.x_px}+{stage.y_px}"
    staged = home / f"{width_px}x{height_px}-from-{cut}-map{LABEL_MAP_VERSION}"
    if not (staged / _COMPLETE_FILE).is_file():
        _write_stage(footage, seen, stage, plate, staged, on_progress)
    arrays = {name: np.load(staged / f"{name}.npy", mmap_mode="r") for name in ("pictures", "labels", "masks")}
    return PreparedFootage(
        folder=home,
        **arrays,
        poses=seen.poses,
        plate=plate,
        stage=stage,
        frame_size=seen.frame_size,
        frame_rate_hz=facts.frame_rate_hz,
        body=fit_body(measures),
        report={
            "frames": len(seen.poses),
            "frames_with_a_person": len(found),
            "frames_with_a_whole_body": len(measures),
            "frames_with_props": int(json.loads((staged / _COMPLETE_FILE).read_text())["frames_with_props"]),
            "plate_never_seen": round(never_seen, 4),
        },
    )


def _kept_plate(footage: Path, seen: Sightings, home: Path) -> tuple[Picture, float]:
    picture_path, facts_path = home / "plate.png", home / "plate.json"
    if not facts_path.is_file():
        chosen = set(
            np.linspace(0, len(seen.poses) - 1, min(_PLATE_FRAMES, len(seen.poses))).round().astype(int).tolist()
        )
        pictures = [picture for index, picture in enumerate(footage_frames(footage)) if index in chosen]
        plate = fit_plate(pictures, [seen.mask(index) for index in sorted(chosen)])
        write_picture(picture_path, plate.picture)
        with written_whole(facts_path) as partial:
            partial.write_text(json.dumps({"never_seen": plate.never_seen}))
    never_seen = float(json.loads(facts_path.read_text())["never_seen"])
    return read_picture(picture_path), never_seen


def _write_stage(
    footage: Path, seen: Sightings, stage: Stage, plate: Picture, staged: Path, on_progress: Progress
) -> None:
    staged.mkdir(parents=True, exist_ok=True)
    frames, height_px, width_px = len(seen.poses), stage.out_height_px, stage.out_width_px

    def new_array(name: str, *channels: int) -> NDArray[np.uint8]:
        shape = (frames, height_px, width_px, *channels)
        array: NDArray[np.uint8] = open_memmap(staged / f"{name}.npy", "w+", np.uint8, shape)  # type: ignore[no-untyped-call]
        return array

    pictures, labels = new_array("pictures", 3), new_array("labels", 3)
    masks = new_array("masks")
    stage_plate = stage.crop(plate)
    frames_with_props = 0
    for index, picture in enumerate(footage_frames(footage)):
        pictures[index] = stage.crop(picture)
        pose = seen.poses[index]
        labels[index] = draw_label_map(
            Pose.nothing_seen() if pose is None else stage.to_stage(pose), width_px, height_px
        )
        mask = seen.mask(index)
        masks[index] = stage.crop(np.repeat(mask[..., None], 3, axis=2))[..., 0]
        frames_with_props += bool(props(pictures[index], stage_plate, masks[index]).mean() > _PROP_FRACTION)
        on_progress("cutting out the stage", index + 1, frames)
    for array in (pictures, labels, masks):
        array.flush()  # type: ignore[attr-defined]
    with written_whole(staged / _COMPLETE_FILE) as partial:
        partial.write_text(json.dumps({"frames": frames, "frames_with_props": frames_with_props}))
