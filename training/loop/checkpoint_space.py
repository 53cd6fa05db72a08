"""Disk space for a training's checkpoints, computed before its networks are made."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import nn

from training.checkpoints.store import KEPT, Checkpoints
from training.loop.body_learner import new_body_discriminator, new_generator
from training.loop.face_learner import new_face_discriminator, new_face_network
from training.presets import Preset, coarse_stage
from training.process.work_folder import check_room

_COPIES_OF_GENERATOR: Final = 4
"""The newest weights, the averaged ones, and Adam's two moments."""
_COPIES_OF_DISCRIMINATOR: Final = 3


def state_checkpoint_space(preset: Preset, body: Path, face: Path, coarse: Path | None) -> str:
    """The space that all kept checkpoints need beyond those that exist, and the free space, in words.

    body, face, coarse: each phase's newest checkpoint; coarse is None for a job without that phase. Raises DiskFull.
    """
    sizes = {body: body_checkpoint_bytes(preset), face: face_checkpoint_bytes(preset)}
    if coarse is not None and not Checkpoints(body).paths():  # otherwise that phase is over
        sizes[coarse] = body_checkpoint_bytes(coarse_stage(preset))
    there = {path: sum(file.stat().st_size for file in Checkpoints(path).paths()) for path in sizes}
    being_written = max(sizes.values())
    missing = sum(max(0, KEPT * size - there[path]) for path, size in sizes.items()) + being_written
    return check_room(
        body.parent, missing, "the checkpoints need", "free some, choose another --work folder, or a smaller --preset"
    )


def body_checkpoint_bytes(preset: Preset) -> int:
    """The approximate size of a checkpoint of the body's training."""
    with torch.device("meta"):
        return _bytes(new_generator(preset.generator), new_body_discriminator(preset))


def face_checkpoint_bytes(preset: Preset) -> int:
    """The approximate size of a checkpoint of the face's training; 0 for a preset without a face network."""
    if preset.face is None:
        return 0
    with torch.device("meta"):
        return _bytes(new_face_network(preset.face), new_face_discriminator(preset))


def _bytes(generator: nn.Module, discriminator: nn.Module) -> int:
    copies = ((generator, _COPIES_OF_GENERATOR), (discriminator, _COPIES_OF_DISCRIMINATOR))
    return sum(times * weight.nbytes for network, times in copies for weight in network.parameters())
