"""The base of the body's and the face's training: generator, discriminator, optimizers, averaged weights, state."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from training.loop.batches import Ahead
from training.losses import LossWeights
from training.losses.terms import AdversarialLoss, perceptual, real_or_fake
from training.networks.cpu_layers import accelerate, weight_gradients_aside
from training.networks.discriminator import STORED_NAME, LayerOutputs, MultiscaleDiscriminator, initialise
from training.presets import Preset
from training.process.distributed import ALONE, Ranks

T = TypeVar("T")

_ADAM_BETAS: Final = (0.5, 0.999)
_RESTORED_RATE: Final = 0.5
"""The factor on the learning rate after each restore: what made the training diverge must not happen again."""
_RESTORED_SHIFT: Final = 2**40
"""Added to the numbers of the pairs after each restore, which gives other pairs."""


class StepAbandoned(Exception):
    """A step was abandoned before it changed anything, because the training was asked to stop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Computing:
    """How a training is computed; apart from rounding and the batch, this does not change what is learned.

    batch: pairs (or crops) of each process in a step. compiled: by torch.compile, which takes minutes at the start and
    needs a C++ compiler on a CPU. seed: for the first weights and all other random numbers.
    """

    device: str = "cpu"
    batch: int = 1
    compiled: bool = False
    seed: int = 0
    ranks: Ranks = ALONE

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"a batch has at least one item, got {self.batch}")


class Learner:
    """A generator and its discriminator in training. `state()` contains all state.

    pictures_seen: the number of pictures drawn in training by all processes; all random numbers derive from it.
    averaged: the generator with an exponential moving average of the weights; this one is served.
    restores: how often a diverged training was put back to a checkpoint. asked_to_stop: called within a step.
    waited_seconds: the time the last step waited for its batch, without computing.

    weights: of the generator's losses. vgg: the network of the perceptual loss, as `Vgg19Features`, on the device;
    ValueError is raised if that loss counts and there is none. pictures_per_item: drawn for each item of a batch.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        preset: Preset,
        computing: Computing,
        *,
        weights: LossWeights,
        vgg: nn.Module | None,
        pictures_per_item: int,
    ) -> None:
        if weights.perceptual and vgg is None:
            raise ValueError(f"preset {preset.name} has a perceptual loss, which needs a network")
        device = computing.device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(computing.seed)
            initialise(generator)
            initialise(discriminator)
        if device == "cpu" and not computing.compiled:
            accelerate(generator)
            accelerate(discriminator)
        self.computing = computing
        self.device = device
        self.generator = generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.discriminator = discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        if computing.compiled:
            # In place, so weights keep their names.
            self.generator.compile()
            self.discriminator.compile()
        self.pictures_seen = 0
        self.restores = 0
        self.waited_seconds = 0.0
        self.started_from = ""
        self.asked_to_stop: Callable[[], bool] = lambda: False
        self.pictures_per_step = pictures_per_item * computing.batch * computing.ranks.count
        self._pictures_per_item = pictures_per_item
        self._preset = preset
        self._weights = weights
        self._vgg = vgg
        # As in the published code, but with the paper's learning rate, applied once.
        self._optimizers = {
            name: torch.optim.Adam(network.parameters(), preset.learning_rate, _ADAM_BETAS, fused=True)
            for name, network in (("generator", self.generator), (STORED_NAME, self.discriminator))
        }

    @property
    def adversarial(self) -> AdversarialLoss:
        """The form of the adversarial loss."""
        return self._preset.adversarial

    @property
    def discriminator_scales(self) -> int:
        """The number of verdicts that the discriminator's loss sums."""
        return len(self.discriminator.judges) if isinstance(self.discriminator, MultiscaleDiscriminator) else 1

    def rate_at(self, progress: float) -> float:
        """The learning rate of a step at this progress, in [0, 1]."""
        return self._preset.rate_at(progress) * _RESTORED_RATE**self.restores

    def discriminator_alone(self, progress: float) -> bool:
        """Whether a step at this progress, in [0, 1], trains the discriminator alone."""
        return False

    @property
    def loss_names(self) -> tuple[str, ...]:
        """The losses of a step by name, in order; empty if every step has the same ones."""
        return ()

    def step(self, progress: float) -> dict[str, float]:
        """Take one step with both networks; progress, in [0, 1], sets the rate. Returns the losses by name.

        Raises StepAbandoned if `asked_to_stop` returns true before anything was changed.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Everything that a later `load_state` needs to continue as if nothing had happened."""
        return {
            "pictures_seen": self.pictures_seen,
            "restores": self.restores,
            "started_from": self.started_from,
            "generator": self.generator.state_dict(),
            STORED_NAME: self.discriminator.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue where `state()` was taken. Raises RuntimeError for the state of another network."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state[STORED_NAME])
        self.averaged.load_state_dict(state["averaged"])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.pictures_seen = int(state["pictures_seen"])
        self.restores = int(state["restores"])
        self.started_from = str(state["started_from"])

    def start_from(self, generator: dict[str, Tensor], discriminator: dict[str, Tensor] | None, source: str) -> None:
        """Take the weights of another training; optimizers and schedule start fresh.

        source: a description for the training record. Raises RuntimeError for the weights of another network.
        """
        self.generator.load_state_dict(generator)
        self.averaged.load_state_dict(generator)
        if discriminator is not None:
            self.discriminator.load_state_dict(discriminator)
        self.started_from = source

    def is_finite(self) -> bool:
        """Whether no weight is NaN or infinite."""
        weights = [
            weight.detach() for network in (self.generator, self.discriminator) for weight in network.parameters()
        ]
        return bool(torch.stack(torch._foreach_norm(weights)).isfinite().all())

    @property
    def _number(self) -> int:
        """The number of the step's first item: the pictures before it."""
        return self.pictures_seen + self.restores * _RESTORED_SHIFT

    def _items(self, number: int) -> list[int]:
        """The numbers of this process's items in the step whose first item has `number`.

        So two processes with one item each see the same as one process with two.
        """
        first = self.computing.ranks.rank * self.computing.batch
        return [number + (first + item) * self._pictures_per_item for item in range(self.computing.batch)]

    def _next(self, batches: Ahead[T]) -> T:
        """This step's batch."""
        began = time.monotonic()
        batch = batches.item(self._number)
        self.waited_seconds = time.monotonic() - began
        return batch

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self._preset.precision == "bf16")

    def _perceptual(self, drawn_B3HW: Tensor, real_B3HW: Tensor) -> Tensor:
        """The perceptual loss of pictures in [-1, 1]."""
        assert self._vgg is not None
        with torch.no_grad():
            seen_real = self._vgg(real_B3HW)
        return perceptual(self._vgg(drawn_B3HW), seen_real)

    def _update_discriminator(self, on_real: Sequence[LayerOutputs], drawn_BCHW: Tensor, progress: float) -> Tensor:
        """The discriminator's own step, on its outputs for real pictures and on drawn ones. Returns its loss."""
        loss = self._preset.adversarial
        with self._autocast():
            loss_on_real = real_or_fake(on_real, is_real=True, loss=loss)
            loss_on_drawn = real_or_fake(self.discriminator(drawn_BCHW.detach()), is_real=False, loss=loss)
        total = 0.5 * (loss_on_real + loss_on_drawn)
        self._update(STORED_NAME, total, progress)
        return total

    def _update(self, name: str, loss: Tensor, progress: float) -> None:
        optimizer = self._optimizers[name]
        for group in optimizer.param_groups:
            group["lr"] = self.rate_at(progress)
        optimizer.zero_grad(set_to_none=True)
        with weight_gradients_aside():
            loss.backward()  # type: ignore[no-untyped-call]
        gradients = [weight.grad for group in optimizer.param_groups for weight in group["params"]]
        self.computing.ranks.average(gradient for gradient in gradients if gradient is not None)
        if name == "generator":
            self._abandon_if_asked()
        optimizer.step()

    def _abandon_if_asked(self) -> None:
        # Several processes stop together, between steps; otherwise some would wait for the others forever.
        if self.computing.ranks.count == 1 and self.asked_to_stop():
            raise StepAbandoned

    def _stepped(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """Count a finished step, average the weights, and return the losses as numbers."""
        self.pictures_seen += self.pictures_per_step
        self._average(self.pictures_per_step)
        # A single copy from the device.
        values = torch.stack([term.detach().float() for term in terms.values()]).tolist()
        return dict(zip(terms, self.computing.ranks.mean(values), strict=True))

    @torch.no_grad()
    def _average(self, pictures: int) -> None:
        averaged, newest = list(self.averaged.parameters()), list(self.generator.parameters())
        if self._preset.average_half_life == 0:
            torch._foreach_copy_(averaged, newest)
            return
        # Early weights are useless, so the average forgets faster at first.
        half_life = min(self._preset.average_half_life, 0.1 * self.pictures_seen + 1)
        torch._foreach_lerp_(averaged, newest, 1 - 0.5 ** (pictures / half_life))


@contextmanager
def weights_fixed(module: nn.Module) -> Iterator[None]:
    """Inside, gradients flow through `module` but not into its weights, which saves computing them."""

    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
