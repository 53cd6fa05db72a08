"""How sharp is the whole frame of the actor's footage, and what does a frame cost?

Earlier releases enlarged the whole crop and pasted it. Now only the person is enlarged, and laid over the plate. The
middle square of a real frame is shrunk to the crop's size and enlarged again; its gradient, divided by that of the
original, is what a network of that size keeps at best. The two ways are timed in turns, on one thread, for a person
whose box is as large as that of a standing dancer. The last line is what other backgrounds cost.

`python -m benchmarks.full_frame VIDEO [VIDEO ...] --crop 512`
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
import typer

from motion.crop import Crop
from motion.frame import Picture, PictureEncoding, RgbaPicture
from serving.pictures.codec import encode_picture
from serving.pictures.compositing import laid_on_footage, laid_over, with_straight_alpha, without_old_place
from video.reader import VideoReader

_ENLARGED: Final = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
_PERSON: Final = (0.30, 0.90)
"""Width and height of the person's box, in sides of the crop."""


def main(
    videos: Annotated[list[Path], typer.Argument(help="Videos of the sizes to measure.")],
    crop: Annotated[int, typer.Option(help="Side of the network's picture in pixels.")] = 512,
    frames: Annotated[int, typer.Option(help="Frames of each video.")] = 8,
    repeats: Annotated[int, typer.Option(help="Timed turns.")] = 30,
) -> None:
    """Print a line of sharpness and a line of milliseconds for each video."""
    cv2.setNumThreads(1)
    for path in videos:
        with VideoReader(str(path)) as reader:
            pictures = [frame.pixels for frame in islice(reader.frames(), frames)]
        height_px, width_px = pictures[0].shape[:2]
        side_px = min(height_px, width_px)
        middle = Crop((width_px - side_px) // 2, (height_px - side_px) // 2, side_px, side_px, crop, crop)
        kept = {
            name: statistics.mean(_kept(picture, middle, way) for picture in pictures)
            for name, way in _ENLARGED.items()
        }
        print(f"{path.name}, {width_px}x{height_px}, square of {side_px} through {crop}: sharpness kept", end="")
        print("".join(f", {name} {share:.3f}" for name, share in kept.items()), "; the place beside the person 1.000")
        person = _person(middle.cut(pictures[0]))
        square = np.ascontiguousarray(person[..., :3])
        pasted_ms, laid_ms = _in_turns(
            [
                lambda: middle.paste(square, pictures[0]),  # noqa: B023 - called before the next round
                lambda: laid_on_footage(person, middle, pictures[0]),  # noqa: B023
            ],
            repeats,
        )
        print(f"  pasted {pasted_ms:.2f} ms, laid over the plate {laid_ms:.2f} ms, ratio {laid_ms / pasted_ms:.2f}")
    cleaned_ms, over_ms, png_ms = _in_turns(
        [
            lambda: without_old_place(person),
            lambda: laid_over(person, square),
            lambda: encode_picture(with_straight_alpha(person), PictureEncoding.PNG),
        ],
        repeats,
    )
    print(f"at {crop}: edge cleaned {cleaned_ms:.2f} ms, laid over {over_ms:.2f} ms, alpha as PNG {png_ms:.2f} ms")


def _kept(picture: Picture, crop: Crop, interpolation: int) -> float:
    """Return the mean gradient of the square after the network's size, divided by the original's."""
    real = picture[crop.y_px : crop.y_px + crop.height_px, crop.x_px : crop.x_px + crop.width_px]
    size = (crop.width_px, crop.height_px)
    enlarged = np.asarray(cv2.resize(crop.cut(picture), size, interpolation=interpolation), np.uint8)
    return _gradient(enlarged) / _gradient(real)


def _gradient(picture: Picture) -> float:
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)).mean())


def _in_turns(ways: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Return the median milliseconds of each, run one after the other again and again."""
    spent_ms: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for way, times in zip(ways, spent_ms, strict=True):
            began = time.thread_time()
            way()
            times.append(1000 * (time.thread_time() - began))
    return [statistics.median(times) for times in spent_ms]


def _person(picture: Picture) -> RgbaPicture:
    """Return an ellipse of a standing person's size, cut from the picture."""
    side_px = picture.shape[0]
    alpha = np.zeros((side_px, side_px), np.uint8)
    axes = (round(side_px * _PERSON[0] / 2), round(side_px * _PERSON[1] / 2))
    cv2.ellipse(alpha, (side_px // 2, side_px // 2), axes, 0, 0, 360, (255,), -1)
    soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 2))[..., None]
    return np.asarray(np.concatenate([np.rint(picture * (soft / 255)), soft], axis=2), np.uint8)


if __name__ == "__main__":
    typer.run(main)
