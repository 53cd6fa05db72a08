"""`slim-256`, the small preset of release 0.1, kept as the yardstick of benchmarks: a network without a reference."""

from __future__ import annotations

from serving.actors.store import NetworkShape
from training.data.augmentation import Jitter
from training.presets import Preset


def slim_256() -> Preset:
    """A network of 32 channels at 256x256 that draws the person onto a plate, and a face network."""
    return Preset(
        name="slim-256",
        width_px=256,
        height_px=256,
        generator=NetworkShape(base_channels=32, downsamplings=3, blocks=6, plate=True),
        face=NetworkShape(base_channels=16, downsamplings=3, blocks=5),
        minutes=15.0,
        jitter=Jitter(),
    )
