"""How well is a part of the place that was never seen filled in? Hides known parts of a plate and compares.

Run it with the plate of an actor: `python -m benchmarks.place_filling samples/actors/sample/1/plate.png`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.table import header, row
from motion.frame import Picture
from serving.process.atomic_files import read_picture
from training.place.patch_filling import fill_holes

_PLACES: Final = (0.2, 0.4, 0.6, 0.8)
"""Where the hidden parts are, as fractions of the picture's width."""
_HEIGHT: Final = 0.45
"""Of a hidden part, which has the outline of a standing person, as a fraction of the picture's height."""


def _hidden_at(picture: Picture, place: float) -> NDArray[np.bool_]:
    height_px, width_px = picture.shape[:2]
    hidden = np.zeros((height_px, width_px), np.uint8)
    centre, tall = (round(place * width_px), round(0.55 * height_px)), round(_HEIGHT * height_px)
    cv2.ellipse(hidden, centre, (tall // 7, tall // 2), 0, 0, 360, (1,), -1)
    cv2.circle(hidden, (centre[0], centre[1] - tall // 2), tall // 8, (1,), -1)
    return hidden > 0


def _telea(picture: Picture, hole: NDArray[np.bool_]) -> Picture:
    return np.asarray(cv2.inpaint(picture, hole.astype(np.uint8), picture.shape[0] / 100, cv2.INPAINT_TELEA), np.uint8)


def _sharpness(picture: Picture, where: NDArray[np.bool_]) -> float:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))[where].mean())


def _psnr_db(one: Picture, other: Picture, where: NDArray[np.bool_]) -> float:
    error = ((one[where].astype(np.float64) - other[where]) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def main() -> None:
    """Print one row per method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plate", type=Path)
    parser.add_argument("--pictures", type=Path, help="a folder to write the filled plates to")
    arguments = parser.parse_args()
    plate = read_picture(arguments.plate)
    methods: dict[str, Callable[[Picture, NDArray[np.bool_]], Picture]] = {"Telea": _telea, "patches": fill_holes}
    print(header("method", "PSNR, dB", "sharpness, filled / real", "CPU seconds"))
    for name, fill in methods.items():
        measured = []
        for place in _PLACES:
            hidden = _hidden_at(plate, place)
            damaged = np.where(hidden[..., None], 0, plate).astype(np.uint8)
            began = time.process_time()
            filled = fill(damaged, hidden)
            spent_s = time.process_time() - began
            sharp = _sharpness(filled, hidden) / max(_sharpness(plate, hidden), 1e-9)
            measured.append((_psnr_db(filled, plate, hidden), sharp, spent_s))
            if arguments.pictures is not None:
                arguments.pictures.mkdir(parents=True, exist_ok=True)
                path = arguments.pictures / f"{name}-{place}.png"
                cv2.imwrite(str(path), filled[..., ::-1])
        psnr_db, sharp, spent_s = np.mean(measured, axis=0)
        print(row(name, f"{psnr_db:.2f}", f"{sharp:.2f}", f"{spent_s:.1f}"))


if __name__ == "__main__":
    main()
