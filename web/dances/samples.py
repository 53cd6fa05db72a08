"""The sample dances, which need no upload: the videos that this project drew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from video.reader import VideoReader

_FOLDER: Final = Path(__file__).parent.parent.parent / "samples"
_FILES: Final = {"steps": "source_clip.mp4"}
"""By id, which the page has a title for."""


@dataclass(frozen=True, slots=True)
class SampleDance:
    """A video of this project that can be danced."""

    id: str
    path: Path
    seconds: float
    frames: int
    rate_hz: float
    width_px: int
    height_px: int
    has_sound: bool
    bytes: int


def sample_dances(folder: Path = _FOLDER) -> dict[str, SampleDance]:
    """Return the sample dances by id; those whose files are not installed are left out. Raises UnreadableVideo."""
    found = {}
    for sample_id, name in _FILES.items():
        path = folder / name
        if not path.is_file():
            continue
        with VideoReader(str(path)) as reader:
            frames = reader.expected_frames or 0
            height_px, width_px = next(reader.frames()).pixels.shape[:2]
            found[sample_id] = SampleDance(
                id=sample_id,
                path=path,
                seconds=frames / reader.frame_rate_hz,
                frames=frames,
                rate_hz=reader.frame_rate_hz,
                width_px=width_px,
                height_px=height_px,
                has_sound=reader.has_sound,
                bytes=path.stat().st_size,
            )
    return found
