"""What a training job can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from serving.actors.actor import MOST_CONSENT_CHARACTERS
from serving.actors.actor_id import checked_actor_id
from serving.errors import BadInput
from training.data.footage import Footage
from training.presets import Preset, with_adversarial, with_feature_matching, with_losses, with_perceptual


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSettings:
    """What a job is asked to do. Raises BadInput for what makes no sense.

    minutes: of training, all stages together; preparation and publishing come on top. pictures: frames seen, at most so
    many are drawn in the training of body and face each. Neither: the preset's own length.
    losses, perceptual, adversarial, feature_matching: another row of the ablation, other losses than the preset's; see
    `presets`.
    vgg_weights: torchvision's file of VGG19; without it the file is fetched where the perceptual loss needs it.
    batch, compiled: see `Computing`. start_from: an actor whose weights are the first ones, "" for random ones.
    consent: who agreed, when, and to what; never blank. footage_anyway: train also on footage that is not worth it.
    publish_anyway: serve what is published also where it is, or may be, worse than what is served, or than a baseline.
    """

    footage: Footage | Path
    actor: str
    store_root: Path
    work_root: Path
    preset: Preset
    minutes: float | None = None
    pictures: int | None = None
    losses: str | None = None
    perceptual: str | None = None
    adversarial: str | None = None
    feature_matching: str | None = None
    vgg_weights: Path | None = None
    batch: int = 1
    compiled: bool = False
    start_from: str = ""
    seed: int = 0
    consent: str
    device: str = "cpu"
    footage_anyway: bool = False
    publish_anyway: bool = False

    def __post_init__(self) -> None:
        checked_actor_id(self.actor)
        if not self.consent.strip():
            raise BadInput("consent", "cannot be blank: say who agreed, when, and to what; it is kept with the actor")
        if len(self.consent) > MOST_CONSENT_CHARACTERS:
            raise BadInput("consent", f"has {len(self.consent)} characters, at most {MOST_CONSENT_CHARACTERS} are kept")
        for name in ("minutes", "pictures", "batch"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise BadInput(name, f"must be positive, got {value}")
        if self.device not in ("cpu", "cuda"):
            raise BadInput("device", f"is cpu or cuda, got {self.device!r}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise BadInput("device", "cuda was asked for, but torch finds no GPU here; use cpu")
        if self.start_from:
            checked_actor_id(self.start_from, field="from")
        recipe = self.recipe
        if self.vgg_weights is not None and recipe.perceptual != "vgg19":
            raise BadInput("vgg-weights", f"are given, but the perceptual loss is {recipe.perceptual}")

    @property
    def recipe(self) -> Preset:
        """The preset with the losses that were asked for. Raises BadInput."""
        preset = self.preset if self.losses is None else with_losses(self.preset, self.losses)
        preset = preset if self.perceptual is None else with_perceptual(preset, self.perceptual)
        preset = preset if self.adversarial is None else with_adversarial(preset, self.adversarial)
        return preset if self.feature_matching is None else with_feature_matching(preset, self.feature_matching)

    @property
    def work_folder(self) -> Path:
        """Where the job keeps what it needs to go on, with previews and scores to look at."""
        return self.work_root / self.actor
