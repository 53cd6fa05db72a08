"""What the body's and the face's training share: a generator, its judge, optimizers, averaged weights, state."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from training.discriminator import initialise
from training.kernels import accelerate, finish_weight_gradients

_ADAM_BETAS = (0.5, 0.999)
_DECAY_FROM = 0.5
"""The rate is constant for this part of the training and then falls linearly to `_LAST_RATE` of it."""
_LAST_RATE = 0.02


class Learner:
    """A generator and its judge, in training. Everything with state is in `state()`.

    pictures_seen: how many pictures the generator has drawn in training; everything random derives from it.
    averaged: the generator with an exponential moving average of the weights; this one is served.
    """

    def __init__(
        self,
        generator: nn.Module,
        judge: nn.Module,
        *,
        learning_rate: float,
        average_half_life: float,
        precision: Literal["bf16", "f32"],
        device: str,
        seed: int,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            initialise(generator)
            initialise(judge)
        if device == "cpu":
            accelerate(generator)
            accelerate(judge)
        self.device = device
        self.generator = generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.judge = judge.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        self.pictures_seen = 0
        self._learning_rate = learning_rate
        self._average_half_life = average_half_life
        self._precision = precision
        # As published, but with the rate that the paper names, applied once.
        self._optimizers = {
            "generator": torch.optim.Adam(self.generator.parameters(), learning_rate, _ADAM_BETAS, fused=True),
            "judge": torch.optim.Adam(self.judge.parameters(), learning_rate, _ADAM_BETAS, fused=True),
        }

    def step(self, progress: float) -> dict[str, float]:
        """One step of both networks; progress, in [0, 1], sets the rate. Returns the losses by name."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """All that a later `load_state` needs to go on as if nothing had happened."""
        return {
            "pictures_seen": self.pictures_seen,
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

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self._precision == "bf16")

    def _update(self, name: str, loss: Tensor, progress: float) -> None:
        optimizer = self._optimizers[name]
        for group in optimizer.param_groups:
            group["lr"] = self._learning_rate * rate_at(progress)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        finish_weight_gradients()
        optimizer.step()

    @torch.no_grad()
    def _average(self, pictures: int) -> None:
        # Early weights are useless, so the average forgets faster at first.
        half_life = min(self._average_half_life, 0.1 * self.pictures_seen + 1)
        newest = 1 - 0.5 ** (pictures / half_life)
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.generator.parameters()), newest)


def rate_at(progress: float) -> float:
    """The learning rate as a fraction of the preset's, after `progress` in [0, 1] of the training."""
    return max(_LAST_RATE, min(1.0, (1 - progress) / (1 - _DECAY_FROM)))


@contextmanager
def weights_fixed(module: nn.Module) -> Iterator[None]:
    """While inside, gradients flow through `module` but not into its weights; that saves computing them."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
