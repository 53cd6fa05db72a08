"""Pictures as PNG files, which are whole or not there."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from motion.frame import Picture
from serving.process.atomic_files import written_whole


def write_picture(path: Path, picture: Picture) -> None:
    """Writes `[H, W, 3]` uint8 RGB as a PNG. Raises OSError when it cannot."""
    encoded, data = cv2.imencode(".png", picture[..., ::-1])
    if not encoded:
        raise OSError(f"cannot encode {path}")
    with written_whole(path) as partial:
        partial.write_bytes(data.tobytes())


def read_picture(path: Path) -> Picture:
    """`[H, W, 3]` uint8 RGB. Raises OSError when it cannot be read."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise OSError(f"cannot read {path} as a picture")
    return np.ascontiguousarray(pixels[..., ::-1], dtype=np.uint8)
