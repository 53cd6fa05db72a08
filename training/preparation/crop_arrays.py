"""Cut the crop out of every frame: writes the arrays that training reads, row by row, and continues after a kill."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motion.crop import Crop
from motion.frame import FrameSize, Picture
from motion.labelmap import draw_label_map
from motion.pose import Pose
from serving.errors import UnreadableVideo
from serving.process.atomic_files import read_picture, write_picture
from training.data.footage import Footage
from training.data.plate import Mask, beside_person, uncertain
from training.data.prepared_footage import CROP_PLATE_FILE, UNSEEN
from training.data.resumable_array import RowWriter, read_rows
from training.place.patch_filling import fill_holes
from training.preparation.detections import Detections
from training.preparation.prop_inpainting import MOST_FRAMES, BodyTexture
from training.process.in_parallel import in_parallel

_ON_PERSON: Final = 128
_BESIDE: Final = "beside"
_BESIDE_FRACTION: Final = 0.0005
"""A frame has a prop (a shadow) in it when more than this fraction of the crop is one."""

Progress = Callable[[str, int, int | None], None]
"""Called with the name of the task, the number of frames done, and their total if it is known."""


@dataclass(frozen=True, slots=True)
class BesideCounts:
    """The number of frames in which something is beside the person."""

    frames_with_props: int
    frames_with_shadows: int
    frames_with_either: int


def write_crops(
    footage: Footage, seen: Detections, crop: Crop, plate: Picture, folder: Path, on_progress: Progress
) -> BesideCounts:
    """Write the arrays of `PreparedFootage` into `folder`, or the part of them that is missing.

    Raises OSError, and UnreadableVideo if the footage has another number of frames than before.
    """
    frames, height_px, width_px = len(seen.poses), crop.out_height_px, crop.out_width_px
    crop_plate = _crop_plate(crop, plate, folder)
    whole = np.full(plate.shape[:2], 255, np.uint8)
    inside = None if crop.is_inside(seen.frame_size) else crop.cut_mask(whole)

    def not_shown(index: int) -> NDArray[np.bool_] | None:
        shown = seen.shown(index)
        cut = inside if shown is None else crop.cut_mask(shown)
        return None if cut is None else cut < _ON_PERSON

    def cut_out(frame: tuple[int, Picture, Mask]) -> _Cut:
        index, picture, mask = frame
        pose = seen.poses[index]
        cut, mask, gone = crop.cut(seen.steadied(index, picture)), crop.cut_mask(mask), not_shown(index)
        if gone is not None:
            cut = np.where(gone[..., None], crop_plate, cut)
        beside = beside_person(cut, crop_plate, mask)
        props = uncertain(beside.props, mask)
        if gone is not None:
            props[gone] = UNSEEN
        label = draw_label_map(Pose.nothing_seen() if pose is None else crop.to_crop(pose), width_px, height_px)
        flags = np.array([kind.mean() > _BESIDE_FRACTION for kind in (beside.props, beside.shadows)], np.uint8)
        return _Cut(cut, label, mask, props, flags)

    with ExitStack() as closing:

        def rows(name: str, *shape: int) -> RowWriter:
            return closing.enter_context(RowWriter(folder / f"{name}.npy", frames, shape))

        pictures, labels = (rows(name, height_px, width_px, 3) for name in ("pictures", "labels"))
        masks, props = (rows(name, height_px, width_px) for name in ("masks", "props"))
        flags = rows(_BESIDE, 2)
        written = (pictures, labels, masks, props, flags)
        done = min(array.rows_done for array in written)
        for array in written:
            array.truncate(done)
        filmed = ((index, picture, seen.mask(index)) for index, picture in _frames_from(footage, seen, done))
        for number, cut in enumerate(in_parallel(cut_out, filmed), done + 1):
            for array, row in zip(written, cut, strict=True):
                array.append(row)
            on_progress("cutting out the crop", number, frames)
        if not all(array.whole for array in written):
            raise UnreadableVideo(f"{footage.title} had {frames} frames before, and has {flags.rows_done} now")
    _paint_over_props(seen, crop, crop_plate, folder, on_progress)
    beside_F2 = np.load(folder / f"{_BESIDE}.npy")
    return BesideCounts(*(int(column.sum()) for column in (*beside_F2.T, beside_F2.any(axis=1))))


class _Cut(NamedTuple):
    """What is kept of a frame, in the order of the arrays."""

    picture: Picture
    label: Picture
    mask: Mask
    props: Mask
    flags: NDArray[np.uint8]


def _crop_plate(crop: Crop, plate: Picture, folder: Path) -> Picture:
    """The plate as the network sees it. What lies outside the footage is filled in once, and kept."""
    cut = crop.cut(plate)
    if crop.is_inside(FrameSize(plate.shape[1], plate.shape[0])):
        return cut
    path = folder / CROP_PLATE_FILE
    if not path.is_file():
        outside = crop.cut_mask(np.full(plate.shape[:2], 255, np.uint8)) < _ON_PERSON
        folder.mkdir(parents=True, exist_ok=True)
        write_picture(path, fill_holes(cut, outside))
    return read_picture(path)


def _frames_from(footage: Footage, seen: Detections, first: int) -> Iterator[tuple[int, Picture]]:
    """Frames with their numbers, starting at `first`; files before it are not opened."""
    frames = len(seen.poses)
    if first >= frames:
        return
    for file in range(bisect_right(seen.file_starts, first) - 1, len(seen.file_starts)):
        start = seen.file_starts[file]
        end = seen.file_starts[file + 1] if file + 1 < len(seen.file_starts) else frames
        for index, picture in enumerate(footage.frames_of(file), start):
            if index >= end:
                raise UnreadableVideo(f"{footage.files[file]} had {end - start} frames before, and has more now")
            if index >= first:
                yield index, picture


def _paint_over_props(seen: Detections, crop: Crop, crop_plate: Picture, folder: Path, on_progress: Progress) -> None:
    frames = len(seen.poses)
    paths = [folder / f"{name}.npy" for name in ("pictures", "masks", "props")]
    with RowWriter(folder / "targets.npy", frames, (crop.out_height_px, crop.out_width_px, 3)) as targets:
        if targets.whole:
            return
        shown = [index for index in range(frames) if seen.poses[index] is not None]
        chosen = [shown[i] for i in np.unique(np.linspace(0, len(shown) - 1, MOST_FRAMES).astype(int))]
        pictures, masks = (np.load(path, mmap_mode="r") for path in paths[:2])
        poses = [crop.to_crop(pose) for i in chosen if (pose := seen.poses[i]) is not None]
        texture = BodyTexture([pictures[i] for i in chosen], [masks[i] for i in chosen], poses)
        del pictures, masks
        done = targets.rows_done

        def cleaned(frame: tuple[int, Picture, Mask, Mask]) -> Picture:
            index, picture, mask, props = frame
            pose = seen.poses[index]
            if pose is None:
                return picture
            return texture.cleaned(picture, mask, crop.to_crop(pose), crop_plate, np.where(props == UNSEEN, 0, props))

        filmed = ((i, *rows) for i, rows in enumerate(zip(*(read_rows(p, done) for p in paths), strict=True), done))
        for number, target in enumerate(in_parallel(cleaned, filmed), done + 1):
            targets.append(target)
            on_progress("painting over props", number, frames)
