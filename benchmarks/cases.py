"""The subjects of the benchmarks: an actor with a given network, and a clip as a client sends it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.half_size import half_wardrobe
from motion.frame import Frame, PictureEncoding
from motion.wardrobe.storage import WARDROBE_FILE, read_wardrobe, write_wardrobe
from services.generator.network import served_generator
from serving.actors.store import FACE_FILE, GENERATOR_FILE, PLATE_FILE, Actor, ActorStore, NetworkShape
from serving.actors.wardrobe_facts import WardrobeFacts
from serving.pictures.codec import encode_picture
from training.loop.body_learner import new_generator
from training.loop.face_learner import new_face_network
from training.publishing.export import export_face, export_generator
from video.reader import VideoReader

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
_FACE = NetworkShape(16, 3, 5)
"""The face network of release 0.1, so that every stage has work."""


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

QUICK_256 = Case("quick 256x256", "quick-256", NetworkShape(8, 3, 6, plate=True, reference=True), 256)
"""The sample actor with its wardrobe at half its size, and its own network: what `quick-256` would serve."""


def make_actor(case: Case, store: ActorStore) -> Actor:
    """Publish the case's actor in `store`: the sample actor, or one with the case's generator and a face network."""
    sample = ActorStore(SAMPLES / "actors").load("sample")
    if case.shape is None:
        return store.publish(replace(sample, id=case.actor), {path.name: path for path in sample.files})
    if case.shape.reference:
        return _half_sample(case, sample, store)
    crop = replace(sample.crop, out_width_px=case.side_px, out_height_px=case.side_px)
    actor = replace(
        sample, id=case.actor, crop=crop, generator=case.shape, face=_FACE, wardrobe=None, preset="random weights"
    )
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in (GENERATOR_FILE, FACE_FILE)}
        plate = crop.cut(sample.read_plate())
        export_generator(new_generator(case.shape), plate, files[GENERATOR_FILE], case.side_px, case.side_px)
        export_face(new_face_network(_FACE), files[FACE_FILE], sample.face_rule.crop_px)
        return store.publish(actor, files | {PLATE_FILE: sample.plate_path})


def _half_sample(case: Case, sample: Actor, store: ActorStore) -> Actor:
    crop = replace(sample.crop, out_width_px=case.side_px, out_height_px=case.side_px)
    wardrobe = half_wardrobe(read_wardrobe(sample.folder / WARDROBE_FILE))
    actor = replace(
        sample,
        id=case.actor,
        crop=crop,
        wardrobe=WardrobeFacts.of(wardrobe),
        preset="half of the sample",
    )
    network = served_generator(sample.generator_path, sample.generator.padding).network
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in (GENERATOR_FILE, WARDROBE_FILE)}
        export_generator(network, crop.cut(sample.read_plate()), files[GENERATOR_FILE], case.side_px, case.side_px)
        write_wardrobe(files[WARDROBE_FILE], wardrobe)
        return store.publish(actor, files | {PLATE_FILE: sample.plate_path})


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
