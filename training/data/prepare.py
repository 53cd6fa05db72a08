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
from motion.stage import Stage, fit_stage, whole_frame_stage
from serving.errors import NoBody
from training.atomic import read_picture, write_picture, written_whole
from training.data.footage import footage_facts, footage_fingerprint, footage_frames
from training.data.plate import beside_person, fit_plate, uncertain
from training.data.sightings import Sightings, find_person
from training.data.texture import BodyTexture

PREPARATION_VERSION: Final = 2
"""Of what is kept in the cache: raise it when the estimator's rules, the masks', the plate's or the props' change."""

_PLATE_FRAMES: Final = 80
"""Frames that the plate is the median of, spread over the footage; more add time and little else."""

_ARRAYS: Final = ("pictures", "targets", "labels", "masks", "props")
_COMPLETE_FILE: Final = "complete.json"
_FEWEST_POSES: Final = 8
_BESIDE_FRACTION: Final = 0.0005
"""A frame has a prop (a shadow) in it when more than this fraction of the stage is one."""

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, how many frames of it are done, and of how many, where that is known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedFootage:
    """What training reads; `F` frames, `[H, W]` the size of the network's picture.

    pictures: `[F, H, W, 3]` uint8 RGB, the stage of every frame. targets: the same with props painted over.
    labels: the same shape, the drawn poses.
    masks: `[F, H, W]` uint8, 255 on the person. props: the same shape, 255 where something is, or may be, that is
    neither the person nor the place nor a shadow.
    poses: in pixels of the footage, None where nobody was found. plate: at the footage's size.
    folder: where the arrays are kept; its name says how the stage was cut. report: facts about the footage for people.
    """

    folder: Path
    pictures: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    props: NDArray[np.uint8]
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


def preparation_name(footage: Path) -> str:
    """The folder of this footage among others: its fingerprint and how it is prepared. Raises UnreadableVideo."""
    return f"{footage_fingerprint(footage)}-preparation{PREPARATION_VERSION}"


def prepare(
    footage: Path,
    folder: Path,
    width_px: int,
    height_px: int,
    on_progress: Progress = lambda what, done, of: None,
    *,
    whole_frame: bool = False,
) -> PreparedFootage:
    """Poses, masks, body, stage, plate and label maps of the footage for pictures of this size.

    whole_frame: the stage is all of the frame, else the part of it that holds every pose.

    What an earlier call left in `folder` for the same footage is used, also after an interruption. Raises
    UnreadableVideo for footage that cannot be read and NoBody where too few frames show a person.
    """
    home = folder / preparation_name(footage)
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
    if whole_frame:
        stage = whole_frame_stage(seen.frame_size, width_px, height_px)
    else:
        stage = fit_stage(found, seen.frame_size, width_px, height_px)
    plate, never_seen = _kept_plate(footage, seen, home, on_progress)
    # Another rule for the stage, or another label map, must not meet pictures that were cut by the old one.
    cut = f"{stage.width_px}x{stage.height_px}+{stage.x_px}+{stage.y_px}"
    staged = home / f"{width_px}x{height_px}-from-{cut}-map{LABEL_MAP_VERSION}"
    if not (staged / _COMPLETE_FILE).is_file():
        _write_stage(footage, seen, stage, plate, staged, on_progress)
    arrays = {name: np.load(staged / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    cut_facts = json.loads((staged / _COMPLETE_FILE).read_text())
    return PreparedFootage(
        folder=staged,
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
            "frames_with_props": int(cut_facts["frames_with_props"]),
            "frames_with_shadows": int(cut_facts["frames_with_shadows"]),
            "frames_with_either": int(cut_facts["frames_with_either"]),
            "frames_lost": int(cut_facts["frames_lost"]),
            "plate_never_seen": round(never_seen, 4),
        },
    )


def _kept_plate(footage: Path, seen: Sightings, home: Path, on_progress: Progress) -> tuple[Picture, float]:
    picture_path, facts_path = home / "plate.png", home / "plate.json"
    if not facts_path.is_file():
        chosen = set(
            np.linspace(0, len(seen.poses) - 1, min(_PLATE_FRAMES, len(seen.poses))).round().astype(int).tolist()
        )
        pictures = []
        for index, picture in enumerate(footage_frames(footage)):
            if index in chosen:
                pictures.append(picture)
            on_progress("collecting the plate", index + 1, len(seen.poses))
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

    pictures, targets, labels = (new_array(name, 3) for name in ("pictures", "targets", "labels"))
    masks, kept_props = new_array("masks"), new_array("props")
    stage_plate = stage.crop(plate)
    facts = {"frames": frames, "frames_with_props": 0, "frames_with_shadows": 0, "frames_with_either": 0}

    def on_end(lost_frames: int) -> None:
        facts["frames_lost"] = lost_frames

    for index, picture in enumerate(footage_frames(footage, on_end)):
        pictures[index] = stage.crop(picture)
        pose = seen.poses[index]
        labels[index] = draw_label_map(
            Pose.nothing_seen() if pose is None else stage.to_stage(pose), width_px, height_px
        )
        mask = seen.mask(index)
        masks[index] = stage.crop(np.repeat(mask[..., None], 3, axis=2))[..., 0]
        beside = beside_person(pictures[index], stage_plate, masks[index])
        kept_props[index] = uncertain(beside.props, masks[index])
        has_prop, has_shadow = (kind.mean() > _BESIDE_FRACTION for kind in (beside.props, beside.shadows))
        facts["frames_with_props"] += bool(has_prop)
        facts["frames_with_shadows"] += bool(has_shadow)
        facts["frames_with_either"] += bool(has_prop or has_shadow)
        on_progress("cutting out the stage", index + 1, frames)
    shown = [index for index, pose in enumerate(seen.poses) if pose is not None]
    poses = {index: stage.to_stage(pose) for index in shown if (pose := seen.poses[index]) is not None}
    texture = BodyTexture([pictures[i] for i in shown], [masks[i] for i in shown], [poses[i] for i in shown])
    for index in range(frames):
        targets[index] = pictures[index]
        if index in poses:
            targets[index] = texture.cleaned(
                pictures[index], masks[index], poses[index], stage_plate, kept_props[index]
            )
        on_progress("painting over props", index + 1, frames)
    for array in (pictures, targets, labels, masks, kept_props):
        array.flush()  # type: ignore[attr-defined]
    with written_whole(staged / _COMPLETE_FILE) as partial:
        partial.write_text(json.dumps(facts))
