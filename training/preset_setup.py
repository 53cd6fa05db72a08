"""Apply a preset: footage cut for it, pairs made by its rules, pictures drawn as they would be served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch

from services.generator.network import Generator, ServedGenerator
from serving.errors import NoBody
from serving.inference.engine import cpu_computes_bf16
from serving.process.memory import keep_freed_memory
from training.data.footage import Footage
from training.data.pairs import Pairs
from training.data.prepared_footage import PreparedFootage
from training.data.references import EXCLUDED_SECONDS, References, training_wardrobe
from training.data.split import Split
from training.networks.recurrent_drawing import Draw, torch_draw
from training.preparation.crop_arrays import Progress
from training.preparation.prepare import prepare
from training.presets import Preset

_KEPT_BYTES = 2**31 - 1
"""Nearly everything: each step frees and allocates hundreds of megabytes."""

_MOST_WITHOUT_REFERENCE: Final = 0.1
"""More frames without a reference, as a fraction, and the network learns to leave the person out."""


def settle(device: str) -> None:
    """Set up the process for training on `device`. Call it before the first tensor is created."""
    if device == "cpu":
        keep_freed_memory(_KEPT_BYTES)
        torch.set_flush_denormal(True)


def computable(preset: Preset, device: str) -> Preset:
    """The preset as this machine computes it: in float32 if the CPU can only convert bf16, which is slow."""
    if preset.precision == "bf16" and device == "cpu" and not cpu_computes_bf16():
        return replace(preset, precision="f32")
    return preset


def prepared_for(
    preset: Preset,
    footage: Footage | Path,
    folder: Path,
    on_progress: Progress,
    *,
    anyway: bool = False,
    say: Callable[[str], None] = lambda note: None,
) -> PreparedFootage:
    """Prepare the footage for this preset's network; `folder`, `anyway`, `say` and errors as in `prepare`."""
    return prepare(
        footage,
        folder,
        preset.width_px,
        preset.height_px,
        on_progress,
        whole_frame=preset.whole_frame,
        onto_plate=preset.generator.plate,
        anyway=anyway,
        say=say,
    )


def references_for(
    preset: Preset,
    prepared: PreparedFootage,
    split: Split,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> References | None:
    """The references for training this preset, from the wardrobe of the training frames; None if it has none.

    Raises NoBody if no training frame shows a limb, or if the footage is so short that more than a tenth of its frames
    have no reference that is far enough from them.
    """
    if preset.references is None:
        return None
    try:
        wardrobe = training_wardrobe(prepared, split, on_progress)
    except ValueError as error:
        raise NoBody(f"no wardrobe can be made from the footage: {error}") from error
    references = References(wardrobe, prepared.frame_rate_hz)
    shown = [frame for frame, pose in enumerate(prepared.poses) if pose is not None]
    without = sum(not references.allowed(frame).any() for frame in shown)
    if without > _MOST_WITHOUT_REFERENCE * len(shown):
        raise NoBody(
            f"the footage is too short: a frame is learned with limbs filmed at least {EXCLUDED_SECONDS} s before or "
            f"after it, and {without} of {len(shown)} frames have none; film for twenty seconds or more"
        )
    return references


def pairs_for(
    preset: Preset, prepared: PreparedFootage, split: Split, seed: int, references: References | None = None
) -> Pairs:
    """The pairs for training this preset; errors as in `Pairs`."""
    return Pairs(
        prepared,
        split,
        onto_plate=preset.generator.plate,
        targets=preset.targets,
        previous_zeros=preset.previous_zeros,
        previous_noise=preset.previous_noise,
        jitter=preset.jitter,
        references=references,
        rules=preset.references,
        seed=seed,
    )


def drawing_for(preset: Preset, prepared: PreparedFootage, network: Generator, device: str) -> Draw:
    """A function that draws as `network` does when served: onto the plate, if the preset has one."""
    plate = prepared.crop_plate if preset.generator.plate else None
    return torch_draw(ServedGenerator(network, plate), device=device, precision=preset.precision)
