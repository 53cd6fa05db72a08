"""The subjects of the benchmarks: an actor with a given network, and a clip as a client sends it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from motion.frame import Frame, PictureEncoding
from serving.actors.store import CROP_PLATE_FILE, GENERATOR_FILE, WARDROBE_FILE, Actor, ActorStore, NetworkShape
from serving.pictures.codec import encode_picture
from training.loop.body_learner import new_generator
from training.publishing.export import export_generator
from video.reader import VideoReader

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


@dataclass(frozen=True)
class Case:
    """A network at a size. shape: of random weights; None for the sample actor as it is."""

    name: str
    actor: str
    shape: NetworkShape | None
    side_px: int


CASES = (
    Case("the sample actor", "sample", None, 512),
    Case("slim 256x256", "slim-256", NetworkShape(32, 3, 6, plate=True), 256),
    # Without bf16, its generator takes a CPU about as long as slim does with bf16, so pose has the same share.
    Case("light 256x256", "light-256", NetworkShape(8, 3, 6, plate=True), 256),
    Case("slim 512x512", "slim-512", NetworkShape(32, 3, 6, plate=True), 512),
    Case("full 512x512", "full-512", NetworkShape(64, 4, 9, plate=True), 512),
)


def make_actor(case: Case, store: ActorStore) -> Actor:
    """Publish the case's actor in `store`: the sample actor, with another generator if the case has one."""
    sample = ActorStore(SAMPLES / "actors").load("sample")
    files = {path.name: path for path in sample.files}
    if case.shape is None:
        return store.publish(replace(sample, id=case.actor), files)
    crop = replace(sample.crop, out_width_px=case.side_px, out_height_px=case.side_px)
    actor = replace(sample, id=case.actor, crop=crop, generator=case.shape, wardrobe=None, preset="random weights")
    for cut_for_its_size in (WARDROBE_FILE, CROP_PLATE_FILE):
        files.pop(cut_for_its_size, None)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        network_path = Path(folder) / GENERATOR_FILE
        plate = crop.cut(sample.read_plate())
        export_generator(new_generator(case.shape), plate, network_path, case.side_px, case.side_px)
        return store.publish(actor, {**files, GENERATOR_FILE: network_path})


@dataclass(frozen=True)
class Clip:
    """A source as a client sends it: JPEGs at a frame rate."""

    frames: list[Frame]
    frame_rate_hz: float


def read_clip(path: Path = SAMPLES / "source_clip.mp4") -> Clip:
    """Read a clip's frames as JPEGs of quality 95."""
    with VideoReader(str(path)) as reader:
        rate_hz = reader.frame_rate_hz
        pictures = [frame.pixels for frame in reader.frames()]
    frames = [Frame(i, encode_picture(pixels, PictureEncoding.JPEG, 95)) for i, pixels in enumerate(pictures)]
    return Clip(frames, rate_hz)


async def stream(frames: Sequence[Frame]) -> AsyncIterator[Frame]:
    """Yield the frames as a client's source does."""
    for frame in frames:
        yield frame
