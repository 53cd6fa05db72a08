"""What the body's and the face's training share: a generator, its judge, optimizers, averaged weights, state."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from training.loop.ahead import Ahead
from training.losses import LossWeights
from training.losses.adversarial import AdversarialLoss, real_or_fake
from training.losses.perceptual import perceptual
from training.networks.cpu_layers import accelerate, finish_weight_gradients
from training.networks.discriminator import Judgement, MultiscaleDiscriminator, initialise
from training.presets import Preset
from training.process.distributed import ALONE, Ranks

T = TypeVar("T")

_ADAM_BETAS: Final = (0.5, 0.999)
_RESTORED_RATE: Final = 0.5
"""Of the rate, after a training went wrong and was put back: what made it diverge must not happen again."""
_RESTORED_SHIFT: Final = 2**40
"""Added to the numbers of the pairs after each restoring, which makes them other pairs."""


class StepAbandoned(Exception):
    """A step was given up before it changed anything, since somebody asked the training to stop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Computing:
    """How a training is computed; none of it changes what is learned, beyond rounding and the batch.

    batch: pairs (or crops) of each process in a step. compiled: by torch.compile, which takes minutes at the start and
    a C++ compiler on a CPU. seed: of the first weights and of everything drawn at random.
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
    """A generator and its judge, in training. Everything with state is in `state()`.

    pictures_seen: how many pictures the generator has drawn in training, over all processes; everything random derives
    from it. averaged: the generator with an exponential moving average of the weights; this one is served.
    restores: how often a training that went wrong was put back to a checkpoint. asked_to_stop: looked at within a step.
    waited_seconds: for the last step's batch, while nothing was computed.

    weights: of the generator's losses. vgg: features for the perceptual loss, as `Vgg19Features` gives them, on the
    device; needed where that loss counts, else ValueError is raised. pictures_per_item: drawn for each item of a batch.
    """

    def __init__(
        self,
        generator: nn.Module,
        judge: nn.Module,
        preset: Preset,
        computing: Computing,
        *,
        weights: LossWeights,
        vgg: nn.Module | None,
        pictures_per_item: int,
    ) -> None:
        if weights.perceptual and vgg is None:
            raise ValueError(f"preset {preset.name} has a perceptual loss, which needs a network to see with")
        device = computing.device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(computing.seed)
            initialise(generator)
            initialise(judge)
        if device == "cpu" and not computing.compiled:
            accelerate(generator)
            accelerate(judge)
        self.computing = computing
        self.device = device
        self.generator = generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.judge = judge.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        if computing.compiled:
            # In place, so that weights keep their names.
            self.generator.compile()
            self.judge.compile()
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
        # As published, but with the rate that the paper names, applied once.
        self._optimizers = {
            "generator": torch.optim.Adam(self.generator.parameters(), preset.learning_rate, _ADAM_BETAS, fused=True),
            "judge": torch.optim.Adam(self.judge.parameters(), preset.learning_rate, _ADAM_BETAS, fused=True),
        }

    @property
    def adversarial(self) -> AdversarialLoss:
        """The form of the adversarial loss."""
        return self._preset.adversarial

    @property
    def judge_scales(self) -> int:
        """Of how many verdicts the judge's loss is the sum."""
        return len(self.judge.judges) if isinstance(self.judge, MultiscaleDiscriminator) else 1

    def rate_at(self, progress: float) -> float:
        """The learning rate of a step at this progress, in [0, 1]."""
        return self._preset.rate_at(progress) * _RESTORED_RATE**self.restores

    def judge_alone(self, progress: float) -> bool:
        """Whether a step at this progress, in [0, 1], leaves the generator as it is."""
        return False

    def step(self, progress: float) -> dict[str, float]:
        """One step of both networks; progress, in [0, 1], sets the rate. Returns the losses by name.

        Raises StepAbandoned where `asked_to_stop` says so before anything was changed.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """All that a later `load_state` needs to go on as if nothing had happened."""
        return {
            "pictures_seen": self.pictures_seen,
            "restores": self.restores,
            "started_from": self.started_from,
            "generator": self.generator.state_dict(),
            "judge": self.judge.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes on where `state()` was taken. Raises RuntimeError for the state of another network."""
        self.generator.load_state_dict(state["generator"])
        self.judge.load_state_dict(state["judge"])
        self.averaged.load_state_dict(state["averaged"])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.pictures_seen = int(state["pictures_seen"])
        self.restores = int(state["restores"])
        self.started_from = str(state["started_from"])

    def start_from(self, generator: dict[str, Tensor], judge: dict[str, Tensor] | None, source: str) -> None:
        """Takes the weights of another training, to go on from; optimizers and schedule begin anew.

        source: what the training record says of it. Raises RuntimeError for the weights of another network.
        """
        self.generator.load_state_dict(generator)
        self.averaged.load_state_dict(generator)
        if judge is not None:
            self.judge.load_state_dict(judge)
        self.started_from = source

    def is_finite(self) -> bool:
        """Whether no weight is NaN or infinite."""
        weights = [weight.detach() for network in (self.generator, self.judge) for weight in network.parameters()]
        return bool(torch.stack(torch._foreach_norm(weights)).isfinite().all())

    @property
    def _number(self) -> int:
        """Of the step's first item: the pictures before it."""
        return self.pictures_seen + self.restores * _RESTORED_SHIFT

    def _items(self, number: int) -> list[int]:
        """The numbers of this process's items in the step whose first item has `number`.

        So two processes with one item each see what one with two sees.
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

    def _seen_alike(self, drawn_B3HW: Tensor, real_B3HW: Tensor) -> Tensor:
        """The perceptual loss of pictures in [-1, 1]."""
        assert self._vgg is not None
        with torch.no_grad():
            seen_real = self._vgg(real_B3HW)
        return perceptual(self._vgg(drawn_B3HW), seen_real)

    def _update_judge(self, judged_real: Sequence[Judgement], drawn_BCHW: Tensor, progress: float) -> Tensor:
        """The judge's own step: what it said of real pictures, and what it says of drawn ones. Returns its loss."""
        loss = self._preset.adversarial
        with self._autocast():
            on_real = real_or_fake(judged_real, is_real=True, loss=loss)
            on_drawn = real_or_fake(self.judge(drawn_BCHW.detach()), is_real=False, loss=loss)
        total = 0.5 * (on_real + on_drawn)
        self._update("judge", total, progress)
        return total

    def _update(self, name: str, loss: Tensor, progress: float) -> None:
        optimizer = self._optimizers[name]
        for group in optimizer.param_groups:
            group["lr"] = self.rate_at(progress)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        finish_weight_gradients()
        gradients = [weight.grad for group in optimizer.param_groups for weight in group["params"]]
        self.computing.ranks.average(gradient for gradient in gradients if gradient is not None)
        if name == "generator":
            self._abandon_if_asked()
        optimizer.step()

    def _abandon_if_asked(self) -> None:
        # Several processes stop together, between steps, or some would wait for the others forever.
        if self.computing.ranks.count == 1 and self.asked_to_stop():
            raise StepAbandoned

    def _stepped(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """Counts a step that is done, averages weights, and gives the losses as numbers."""
        self.pictures_seen += self.pictures_per_step
        self._average(self.pictures_per_step)
        # One copy from the device for all of them.
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
    """While inside, gradients flow through `module` but not into its weights; that saves computing them."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
