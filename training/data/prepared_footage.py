"""Prepared footage: the arrays and facts that training reads, and how to load them from the folder they are kept in."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from motion.body import BodyStats
from motion.crop import Crop
from motion.frame import FrameSize, Picture
from motion.labelmap import LABEL_MAP_VERSION
from motion.pose import Pose
from serving.process.atomic_files import read_picture
from training.data.footage import Footage
from training.data.lazy import Lazy
from training.data.split import Split, split_by_length
from training.place.steady_camera import SteadyCamera

PREPARATION_VERSION: Final = 6
"""The cache's version. Raise it when the reader's pictures or the rules for poses, masks, plate or props change."""

ARRAYS: Final = ("pictures", "targets", "labels", "masks", "props")
COMPLETE_FILE: Final = "complete.json"
"""Written last into the folder of a finished piece of work, with the facts about it."""
POSES_FILE: Final = "poses.npy"
CAMERA_FILE: Final = "camera.npy"
"""`[F, 3, 3]`: how every frame is held still; there is none for a camera that stands still."""
PLATE_FILE: Final = "plate.png"
CROP_PLATE_FILE: Final = "crop_plate.png"
"""In a crop's folder, if the crop reaches beyond the footage."""
UNSEEN: Final = 128
"""The value in `props` of pixels that the footage does not show."""


def stored_poses(parts: Sequence[NDArray[np.float32]], camera: SteadyCamera | None = None) -> Lazy[Pose | None]:
    """Poses that stay on disk until they are read.

    parts: `[F, J, 3]` float32 each: x, y and confidence; NaN where no person was found. camera: holds them still.
    """
    starts = [0, *accumulate(len(part) for part in parts)]

    def read(frame: int) -> Pose | None:
        part = bisect_right(starts, frame) - 1
        values = np.array(parts[part][frame - starts[part]])
        if np.isnan(values[0, 0]):
            return None
        pose = Pose(values[:, :2], values[:, 2])
        return pose if camera is None else camera.pose(frame, pose)

    return Lazy(starts[-1], read)


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedFootage:
    """What training reads: `F` frames, with `[H, W]` the size of the network's picture.

    pictures: `[F, H, W, 3]` uint8 RGB, the crop of every frame. targets: the same with props painted over.
    labels: the same shape, the drawn poses.
    masks: `[F, H, W]` uint8, 255 on the person. props: the same shape, 255 where there is, or may be, something other
    than the person, the place or a shadow; `UNSEEN` beyond the footage's frame, where pictures show the plate.
    poses: in pixels of the footage, whose frames were held still if the camera moved; None where no person was found.
    plate: at the footage's size.
    filled_plate: `[H, W, 3]` uint8 RGB, `crop_plate` if the crop reaches beyond the footage; otherwise None.
    folder: where the arrays are kept; its name describes the crop. report: facts about the footage for people.
    starts: frames that do not follow the frame before them: the first frame of each file and the first after a cut.
    """

    folder: Path
    pictures: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    props: NDArray[np.uint8]
    poses: Sequence[Pose | None]
    plate: Picture
    crop: Crop
    frame_size: FrameSize
    frame_rate_hz: float
    body: BodyStats
    report: dict[str, Any]
    starts: frozenset[int] = frozenset()
    filled_plate: Picture | None = None

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def crop_plate(self) -> Picture:
        """The plate as the network sees it, `[H, W, 3]` uint8 RGB."""
        return self.crop.cut(self.plate) if self.filled_plate is None else self.filled_plate

    def crop_pose(self, frame: int) -> Pose:
        """The pose in pixels of the network's picture. Raises ValueError for a frame without a person."""
        pose = self.poses[frame]
        if pose is None:
            raise ValueError(f"no person was found in frame {frame}")
        return self.crop.to_crop(pose)

    def split(self) -> Split:
        """Training and held-out frames. Raises NoBody if too few frames show the person."""
        return split_by_length([pose is not None for pose in self.poses], self.frame_rate_hz)


def preparation_name(footage: Footage | Path) -> str:
    """The folder name of this footage: its fingerprint and the version of preparation. Raises UnreadableVideo."""
    return f"{Footage.of(footage).fingerprint()}-preparation{PREPARATION_VERSION}"


def crop_name(crop: Crop) -> str:
    """The folder name of this crop's arrays. Another crop rule or label-map version gets another folder."""
    cut = f"{crop.width_px}x{crop.height_px}+{crop.x_px}+{crop.y_px}"
    return f"{crop.out_width_px}x{crop.out_height_px}-from-{cut}-map{LABEL_MAP_VERSION}"


def detections_folder(home: Path, file: int) -> Path:
    """Where the detections of one file of the footage are kept."""
    return home / "seen" / f"{file:03d}"


def load_prepared(home: Path, crop: Crop) -> PreparedFootage:
    """Load what preparation left in the footage's folder `home` for this crop. Raises FileNotFoundError."""
    folder = home / crop_name(crop)
    facts = json.loads((folder / COMPLETE_FILE).read_text())
    files = [detections_folder(home, file) for file in range(facts["files"])]
    seen = [json.loads((file / COMPLETE_FILE).read_text()) for file in files]
    size, moves_path = FrameSize(seen[0]["width_px"], seen[0]["height_px"]), home / CAMERA_FILE
    camera = SteadyCamera(np.load(moves_path), size) if moves_path.is_file() else None
    return PreparedFootage(
        folder=folder,
        **{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS},
        poses=stored_poses([np.load(file / POSES_FILE, mmap_mode="r") for file in files], camera),
        plate=read_picture(home / PLATE_FILE),
        crop=Crop.from_dict(facts["stage"]),
        frame_size=size,
        frame_rate_hz=facts["frame_rate_hz"],
        body=BodyStats.from_dict(facts["body"]),
        report=facts["report"],
        starts=frozenset(facts["starts"]),
        filled_plate=read_picture(filled) if (filled := folder / CROP_PLATE_FILE).is_file() else None,
    )
