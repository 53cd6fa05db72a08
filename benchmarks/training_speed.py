"""How many frames a second does training see, compared with a plain loop in the style of the published code?

Both train the body network of a preset on the same pairs, with the same losses, batch and size. They run blocks of
steps in turns in one process, so other load on the machine affects both alike. A frame counts as seen when the
generator has drawn it in training. The report also has the CPU seconds of each frame over all cores, for shared
machines.

The plain loop works like the published code of pix2pixHD and its descendants: float32, PyTorch's own layers, reading
the next pair after the last step, three runs of the discriminator for each pair (drawn pictures for its own loss, real
ones, and drawn ones for the generator's loss, which also computes discriminator gradients that are discarded), and Adam
weight by weight.

Our training: bf16 if the machine supports it, channels last, the layers of `training/networks/cpu_layers.py` on a CPU,
pairs read ahead, two runs of the discriminator for the generator's step and one for its own, fused Adam, averaged
weights.

`python -m benchmarks.training_speed`
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import torch
import typer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import table
from benchmarks.slim_preset import slim_256
from benchmarks.stand_ins import dancer
from motion.body import BodyStats
from motion.crop import whole_frame_crop
from motion.frame import FrameSize
from motion.labelmap import draw_label_map
from training.data.pairs import Pair, Pairs
from training.data.prepared_footage import PreparedFootage
from training.data.split import split_footage
from training.loop.batches import collated, on_device
from training.loop.body_learner import BodyLearner, new_generator
from training.loop.learner import Computing
from training.losses.temporal import PAIR_CHANNELS, paired
from training.losses.terms import feature_matching, opacity_l1, perceptual, real_or_fake, weighted_l1
from training.networks.discriminator import MultiscaleDiscriminator, initialise
from training.networks.vgg import perceptual_network
from training.preset_setup import computable, pairs_for, settle
from training.presets import Preset, preset_named, with_perceptual

_BF16_PEAK_TFLOPS: Final = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0}
"""Dense, from the vendor's data sheets."""

_FRAMES: Final = 48
_PLAIN: Final = "plain float32"
_OURS: Final = "ours"


class PlainLoop:
    """The training of `BodyLearner` as a plain loop; the module's docstring describes it."""

    def __init__(self, preset: Preset, pairs: Pairs, device: str, batch: int, vgg: nn.Module | None) -> None:
        torch.manual_seed(0)
        self._preset, self._pairs, self._device, self._batch, self._vgg = preset, pairs, device, batch, vgg
        self._generator = new_generator(preset.generator).to(device)
        self._discriminator = MultiscaleDiscriminator(
            PAIR_CHANNELS, preset.discriminator_channels, preset.discriminator_layers, preset.discriminator_scales
        ).to(device)
        initialise(self._generator)
        initialise(self._discriminator)
        self._optimizers = [
            torch.optim.Adam(network.parameters(), preset.learning_rate, (0.5, 0.999), foreach=False)
            for network in (self._generator, self._discriminator)
        ]
        self.pictures_seen = 0

    def step(self) -> None:
        """Train both networks for one step."""
        preset, weights = self._preset, self._preset.weights
        items = [self._pairs.pair(self.pictures_seen + 2 * item) for item in range(self._batch)]
        pair = on_device(_contiguous(collated(items)), self._device)
        first, first_opacity = self._draw(pair.labels[0], pair.previous, pair.plate)
        second, second_opacity = self._draw(pair.labels[1], first, pair.plate)
        drawn_BCHW = paired(pair.labels, (first, second))
        on_drawn_alone = self._discriminator(drawn_BCHW.detach())
        on_real = self._discriminator(paired(pair.labels, pair.pictures))
        on_drawn = self._discriminator(drawn_BCHW)
        terms: dict[str, Tensor] = {"adversarial": real_or_fake(on_drawn, is_real=True, loss=preset.adversarial)}
        if weights.feature_matching:
            terms["feature_matching"] = feature_matching(on_drawn, on_real, preset.feature_matching)
        drawn, opacities = (first, second), (first_opacity, second_opacity)
        if weights.perceptual and self._vgg is not None:
            terms["perceptual"] = torch.stack(
                [perceptual(self._vgg(drawn[i]), self._vgg(pair.pictures[i])) for i in (0, 1)]
            ).sum()
        if weights.l1:
            terms["l1"] = torch.stack(
                [
                    weighted_l1(drawn[i], pair.pictures[i], pair.grown_masks[i], pair.counted[i], preset.person_gain)
                    for i in (0, 1)
                ]
            ).sum()
        if weights.opacity:
            terms["opacity"] = torch.stack(
                [opacity_l1(opacities[i], pair.masks[i], pair.counted[i]) for i in (0, 1)]
            ).sum()
        of_discriminator = 0.5 * (
            real_or_fake(on_real, is_real=True, loss=preset.adversarial)
            + real_or_fake(on_drawn_alone, is_real=False, loss=preset.adversarial)
        )
        # This also computes the discriminator's gradients of the generator's loss, which are then discarded.
        for optimizer, loss in zip(self._optimizers, (weights.total(terms), of_discriminator), strict=True):
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        self.pictures_seen += 2 * self._batch

    def _draw(self, label: Tensor, previous: Tensor, plate: Tensor | None) -> tuple[Tensor, Tensor]:
        drawn = self._generator(torch.cat([label, previous], dim=1))
        opacity = drawn[:, 3:]
        return (drawn if plate is None else plate + opacity * (drawn[:, :3] - plate)), opacity


def standing_footage(preset: Preset) -> PreparedFootage:
    """Return prepared footage of a swaying dancer in front of noise."""
    width_px, height_px = preset.width_px, preset.height_px
    random = np.random.default_rng(0)
    plate = random.integers(0, 256, (height_px, width_px, 3), np.uint8)
    poses = [dancer(frame, width_px, height_px) for frame in range(_FRAMES)]
    labels = np.stack([draw_label_map(pose, width_px, height_px) for pose in poses])
    masks = np.where(labels.min(axis=3) < 255, 255, 0).astype(np.uint8)
    pictures = np.where(masks[..., None] > 0, labels, plate[None])
    size = FrameSize(width_px, height_px)
    return PreparedFootage(
        folder=Path("none"),
        pictures=pictures,
        targets=pictures,
        labels=labels,
        masks=masks,
        props=np.zeros_like(masks),
        poses=list(poses),
        plate=plate,
        crop=whole_frame_crop(size, width_px, height_px),
        frame_size=size,
        frame_rate_hz=25.0,
        body=BodyStats(0.9, 0.85, 0.7, 0.65, 0.5, _FRAMES),
        report={},
    )


@dataclass(frozen=True, slots=True)
class Block:
    """Some steps of one loop. cpu_seconds: of all threads, for each frame; not meaningful on a GPU."""

    frames_per_second: float
    cpu_seconds: float


def measured(step: Callable[[], object], steps: int, frames_per_step: int, device: str) -> Block:
    """Measure `steps` steps, including the device's work."""
    began, cpu_began = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    frames = steps * frames_per_step
    return Block(frames / (time.perf_counter() - began), (time.process_time() - cpu_began) / frames)


def _contiguous(pair: Pair) -> Pair:
    """Return the pair with channels first in memory, as in the published code."""
    return Pair(
        labels=(pair.labels[0].contiguous(), pair.labels[1].contiguous()),
        pictures=(pair.pictures[0].contiguous(), pair.pictures[1].contiguous()),
        masks=pair.masks,
        grown_masks=pair.grown_masks,
        counted=pair.counted,
        previous=pair.previous.contiguous(),
        plate=None if pair.plate is None else pair.plate.contiguous(),
    )


def _machine(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{model}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}"


def main(
    preset: Annotated[
        str, typer.Option(help="Network, losses and size: slim-256, or a preset without a reference.")
    ] = "slim-256",
    batch: Annotated[int, typer.Option(min=1, help="Pairs in a step.")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Steps in each block.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Blocks of each loop.")] = 5,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    compiled: Annotated[bool, typer.Option("--compile", help="Run our training with torch.compile.")] = False,
    perceptual: Annotated[str, typer.Option(help="none or random; random costs as much as the real one.")] = "none",
) -> None:
    """Print the frames seen per second of both loops, and their ratio."""
    settle(device)
    asked = with_perceptual(slim_256() if preset == "slim-256" else preset_named(preset), perceptual)
    ours = computable(asked, device)
    vgg = perceptual_network(asked.perceptual)
    vgg = None if vgg is None else vgg.to(device)
    prepared = standing_footage(asked)
    pairs = pairs_for(asked, prepared, split_footage([True] * _FRAMES), 0)
    learner = BodyLearner(ours, pairs, Computing(device=device, batch=batch, compiled=compiled), vgg=vgg)
    plain = PlainLoop(asked, pairs, device, batch, vgg)
    loops: dict[str, Callable[[], object]] = {_PLAIN: plain.step, _OURS: lambda: learner.step(0.0)}
    frames = 2 * batch
    blocks: dict[str, list[Block]] = {name: [] for name in loops}
    for step in loops.values():
        measured(step, 1, frames, device)
    for _ in range(rounds):
        for name, step in loops.items():
            blocks[name].append(measured(step, steps, frames, device))
    reading = measured(lambda: pairs.pair(learner.pictures_seen), 10, 1, "cpu")
    print(f"{_machine(device)}; torch {torch.__version__}")
    print(
        f"{asked.name}, {asked.width_px}x{asked.height_px}, batch {batch}, perceptual {perceptual}; "
        f"ours in {ours.precision}{', compiled' if compiled else ''}; {rounds} x {steps} steps of each, in turns\n"
    )
    columns = ("frames seen a second", "slowest and fastest block", "ratio", "CPU seconds a frame", "ratio")
    print(table.header("loop", *columns))
    rates = {name: statistics.median(block.frames_per_second for block in of_loop) for name, of_loop in blocks.items()}
    costs = {name: statistics.median(block.cpu_seconds for block in of_loop) for name, of_loop in blocks.items()}
    for name, of_loop in blocks.items():
        every = [block.frames_per_second for block in of_loop]
        gain, saved = rates[name] / rates[_PLAIN], costs[_PLAIN] / costs[name]
        span = f"{min(every):.2f} to {max(every):.2f}"
        print(table.row(name, f"{rates[name]:.2f}", span, *(f"{one:.2f}" for one in (gain, costs[name], saved))))
    print(f"\nreading one pair takes {1000 * reading.cpu_seconds:.1f} ms of a core, during the previous step")
    with FlopCounterMode(display=False) as counter:
        plain.step()
    tera = counter.get_total_flops() / frames / 1e12
    achieved = tera * rates[_OURS]
    print(f"the plain loop needs {tera:.3f} TFLOP a frame; at our rate that is {achieved:.2f} TFLOP/s")
    peak = next((peak for name, peak in _BF16_PEAK_TFLOPS.items() if name in _machine(device)), None)
    if device == "cuda" and peak is not None:
        print(f"that is {achieved / peak:.1%} of the chip's {peak:.0f} TFLOP/s in bf16")


if __name__ == "__main__":
    typer.run(main)
