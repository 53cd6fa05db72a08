"""Is the watermark imperceptible, does it survive, does it show where there is none, and what does it cost?

Marks each second of the given videos, cut square and scaled, and searches it after each attack. Then it searches
unmarked videos. Costs are CPU times of one thread; the encoder is timed with and without the watermark in
turn, so their ratio holds whatever else the machine does.

`python -m benchmarks.watermark samples/source_clip.mp4 --unmarked clips`; real footage is not part of the project.
"""

from __future__ import annotations

import io
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import av
import cv2
import numpy as np
import typer

from benchmarks.cases import SAMPLES
from benchmarks.table import header, row
from motion import skeleton
from motion.frame import Picture, PictureEncoding
from motion.pose import Pose
from provenance.watermark.code import Payload
from provenance.watermark.finding import FALSE_ALARM, FoundWatermark, WatermarkSearch, false_alarm_of
from provenance.watermark.marking import Watermark
from serving.pictures.codec import decode_picture, encode_picture
from training.evaluation.flicker import levels_along, motions
from video.reader import VideoReader

_PAYLOAD: Final = Payload(0x5A3C, 0x12345678)
_SIZES_PX: Final = (512, 256)
_CUTS: Final = ((0.5, 0.5), (0.0, 0.5), (1.0, 0.5))
"""Where unmarked videos are cut, as fractions of what is left beside the square: centre and both sides."""

Seconds = list[Picture]


def main(
    videos: Annotated[list[Path], typer.Argument(help="Videos to mark.")] = [],  # noqa: B006  typer copies it
    unmarked: Annotated[Path | None, typer.Option(help="A folder of videos without a watermark.")] = None,
    most_seconds: Annotated[int, typer.Option(min=1, help="Seconds of each video that are marked.")] = 8,
) -> None:
    """Print the tables."""
    cv2.setNumThreads(1)
    marked = videos or [SAMPLES / "source_clip.mp4"]
    _costs(marked[0])
    for size_px in _SIZES_PX:
        _visibility(marked, size_px, most_seconds)
    for size_px in _SIZES_PX:
        _attacks(marked, size_px, most_seconds)
    if unmarked is not None:
        _false_alarms(sorted(path for path in unmarked.iterdir() if path.suffix == ".mp4"))


def _costs(video: Path) -> None:
    print("\nCPU of one frame: laying the watermark over it, and encoding it as JPEG 90 without and with it\n")
    print(header("picture", "watermark ms", "JPEG ms", "JPEG of the marked picture ms", "both / JPEG alone", "bytes"))
    watermark = Watermark(_PAYLOAD)
    for width_px, height_px in ((256, 256), (384, 384), (512, 512), (1280, 720)):
        plain = np.asarray(cv2.resize(next(_squares(video, 512))[0], (width_px, height_px)), np.uint8)
        marked = watermark.marked(plain)
        laying, without, with_it = [], [], []
        for _ in range(200):
            laying.append(_cpu_ms(lambda plain=plain: watermark.marked(plain)))  # type: ignore[misc]
            without.append(_cpu_ms(lambda plain=plain: encode_picture(plain, PictureEncoding.JPEG)))  # type: ignore[misc]
            with_it.append(_cpu_ms(lambda marked=marked: encode_picture(marked, PictureEncoding.JPEG)))  # type: ignore[misc]
        lay, jpeg, both = (statistics.median(times) for times in (laying, without, with_it))
        sizes = [len(encode_picture(picture, PictureEncoding.JPEG).data) for picture in (plain, marked)]
        ratio = f"{(lay + both) / jpeg:.2f}"
        print(row(f"{width_px}x{height_px}", f"{lay:.2f}", f"{jpeg:.2f}", f"{both:.2f}", ratio, f"{_more(*sizes)}"))


def _more(before: int, after: int) -> str:
    return f"+{100 * (after / before - 1):.1f} %"


def _cpu_ms(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1e3


def _visibility(videos: Sequence[Path], size_px: int, most_seconds: int) -> None:
    print(f"\nHow visible it is at {size_px}x{size_px}: flicker along the motion, in levels of 255\n")
    print(
        header("video", "PSNR dB, worst picture", "flicker", "marked", "of luma", "marked", "after JPEG 90", "marked")
    )
    watermark = Watermark(_PAYLOAD)
    everywhere = _whole_picture(size_px)
    for video in videos:
        psnrs = []
        levels = np.zeros(6)
        pairs = 0
        for pictures in islice(_squares(video, size_px), most_seconds):
            marked = [watermark.marked(picture) for picture in pictures]
            psnrs += [_psnr_db(one, other) for one, other in zip(pictures, marked, strict=True)]
            moved = motions(pictures, [everywhere] * len(pictures))
            kinds = [change(one) for change in (list, _lumas, _sent) for one in (pictures, marked)]
            levels += [sum(levels_along(kind, moved)) for kind in kinds]
            pairs += sum(motion is not None for motion in moved)
        print(row(video.name, f"{min(psnrs):.2f}", *(f"{level:.3f}" for level in levels / pairs)), flush=True)


def _attacks(videos: Sequence[Path], size_px: int, most_seconds: int) -> None:
    limit = next(strength / 10 for strength in range(1000) if false_alarm_of(strength / 10) < FALSE_ALARM)
    print(
        f"\nFound in one second of video at {size_px}x{size_px}, of all its seconds; found from a strength of {limit}\n"
    )
    print(header("attack", *(f"{video.name}: found" for video in videos), "read right", "least strength"))
    watermark = Watermark(_PAYLOAD)
    marked = {
        video: [
            ([watermark.marked(picture) for picture in pictures], _rate(video))
            for pictures in islice(_squares(video, size_px), most_seconds)
        ]
        for video in videos
    }
    for name, attack in _ATTACKS.items():
        cells, read, least, seconds = [], 0, math.inf, 0
        for second in marked.values():
            found = 0
            for pictures, rate_hz in second:
                best = _best(attack(pictures, rate_hz))
                found += best.false_alarm < FALSE_ALARM
                read += best.false_alarm < FALSE_ALARM and best.is_legible and best.payload == _PAYLOAD
                least = min(least, best.strength)
            seconds += len(second)
            cells.append(f"{found} of {len(second)}")
        print(row(name, *cells, f"{read} of {seconds}", f"{least:.1f}"), flush=True)


def _false_alarms(videos: Sequence[Path]) -> None:
    print("\nVideos without a watermark: each second, cut at three places, at 512x512\n")
    print(header("video", "searches", "found", "greatest strength"))
    searches, greatest = 0, 0.0
    for video in videos:
        strengths, found = [], 0
        for cut in _CUTS:
            for pictures in _squares(video, 512, cut):
                best = _best(pictures)
                strengths.append(best.strength)
                found += best.false_alarm < FALSE_ALARM
        searches, greatest = searches + len(strengths), max(greatest, *strengths)
        print(row(video.name, str(len(strengths)), str(found), f"{max(strengths):.2f}"), flush=True)
    print(row("all", str(searches), "", f"{greatest:.2f}"))


def _best(pictures: Sequence[Picture]) -> FoundWatermark:
    search = WatermarkSearch()
    for picture in pictures:
        search.add(picture)
    best = search.best()
    assert best is not None
    return best


def _squares(video: Path, size_px: int, cut: tuple[float, float] = (0.5, 0.5)) -> Iterator[Seconds]:
    """The whole seconds of a video, cut square and scaled."""
    with VideoReader(str(video)) as reader:
        frames = reader.frames()
        in_each = max(2, round(reader.frame_rate_hz))
        while len(second := list(islice(frames, in_each))) == in_each:
            yield [_square(frame.pixels, size_px, cut) for frame in second]


def _square(picture: Picture, size_px: int, cut: tuple[float, float]) -> Picture:
    height_px, width_px = picture.shape[:2]
    side_px = min(height_px, width_px)
    top_px, left_px = round((height_px - side_px) * cut[1]), round((width_px - side_px) * cut[0])
    square = picture[top_px : top_px + side_px, left_px : left_px + side_px]
    method = cv2.INTER_AREA if side_px > size_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size_px, size_px), interpolation=method), np.uint8)


def _rate(video: Path) -> float:
    with VideoReader(str(video)) as reader:
        return reader.frame_rate_hz


def _psnr_db(one: Picture, other: Picture) -> float:
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return float(10 * math.log10(255**2 / error)) if error else math.inf


def _lumas(pictures: Seconds) -> Seconds:
    return [_grey(picture) for picture in pictures]


def _sent(pictures: Seconds) -> Seconds:
    return _as_jpeg(pictures, 90)


def _whole_picture(size_px: int) -> Pose:
    """A pose whose body is the whole picture, so that flicker is measured everywhere."""
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    joints_px[[skeleton.NOSE, skeleton.L_ANKLE]] = ((1, 1), (size_px - 2, size_px - 2))
    confidence[[skeleton.NOSE, skeleton.L_ANKLE]] = 1
    return Pose(joints_px, confidence)


def _as_jpeg(pictures: Seconds, quality: int) -> Seconds:
    return [decode_picture(encode_picture(picture, PictureEncoding.JPEG, quality)) for picture in pictures]


def _as_h264(pictures: Seconds, rate_hz: float, crf: int) -> Seconds:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=max(1, round(rate_hz)))
        stream.height, stream.width, stream.pix_fmt = (*pictures[0].shape[:2], "yuv420p")
        stream.options = {"crf": str(crf)}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as coded:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in coded.decode(video=0)]


def _scaled(pictures: Seconds, scale: float) -> Seconds:
    side_px = 2 * round(pictures[0].shape[0] * scale / 2)
    return [np.asarray(cv2.resize(one, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8) for one in pictures]


def _cropped(pictures: Seconds, share: float) -> Seconds:
    """What is left of each side, off the centre and off the tile."""
    side_px = pictures[0].shape[0]
    kept_px = 2 * round(side_px * share / 2)
    top_px, left_px = round((side_px - kept_px) * 0.37), round((side_px - kept_px) * 0.61)
    return [np.ascontiguousarray(one[top_px : top_px + kept_px, left_px : left_px + kept_px]) for one in pictures]


def _grey(picture: Picture) -> Picture:
    return np.repeat(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)[..., None], 3, axis=2)


_ATTACKS: Final[dict[str, Callable[[Seconds, float], Seconds]]] = {
    "none": lambda pictures, rate: pictures,
    "JPEG quality 70": lambda pictures, rate: _as_jpeg(pictures, 70),
    "H.264 at CRF 28": lambda pictures, rate: _as_h264(pictures, rate, 28),
    "scaled to 60 %": lambda pictures, rate: _scaled(pictures, 0.6),
    "cropped to 80 %": lambda pictures, rate: _cropped(pictures, 0.8),
    "JPEG 90, CRF 18, then CRF 28": lambda pictures, rate: _as_h264(
        _as_h264(_as_jpeg(pictures, 90), rate, 18), rate, 28
    ),
    "cropped to 80 %, scaled to 60 %, CRF 28": lambda pictures, rate: _as_h264(
        _scaled(_cropped(pictures, 0.8), 0.6), rate, 28
    ),
    "H.264 at CRF 35": lambda pictures, rate: _as_h264(pictures, rate, 35),
    "enlarged to 150 %": lambda pictures, rate: _scaled(pictures, 1.5),
    "one picture, JPEG quality 70": lambda pictures, rate: _as_jpeg(pictures[:1], 70),
    "mirrored": lambda pictures, rate: [np.ascontiguousarray(one[:, ::-1]) for one in pictures],
    "grey": lambda pictures, rate: [_grey(one) for one in pictures],
}


if __name__ == "__main__":
    typer.run(main)
