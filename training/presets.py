"""Presets: how networks are built and trained, as named functions. Each is one reproducible recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

from motion.face_region import FaceRule
from serving.actors.store import NetworkShape, Padding
from serving.errors import BadInput
from training.data.augmentation import Jitter
from training.data.pairs import Targets
from training.data.references import ReferenceRules
from training.losses import LossWeights
from training.losses.terms import AdversarialLoss, OverScales
from training.networks.vgg import Perceptual

Losses = Literal["pix2pixhd", "smoothing", "smoothing-face"]
"""The paper's ablation: single pictures; with temporal smoothing; with smoothing and a face network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Epochs:
    """How often each phase sees each pair (for the face, each crop), on average: pairs are drawn at random.

    coarse: for the global generator inside a local enhancer; ignored without one.
    """

    coarse: float
    body: float
    face: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A recipe. Raises ValueError for sizes that the networks cannot halve often enough, and for numbers out of range.

    width_px, height_px: size of the pictures that the network draws.
    whole_frame: the network sees the whole frame of the footage, not the crop that contains every pose.
    targets: how the target pictures are edited; without a plate only "filmed".
    minutes: training time of all phases together, unless the user requests another. pictures: an upper limit beside
    the minutes, for body and face each. epochs: the length in pairs instead; if given, the other two are ignored.
    temporal: the generator receives its previous picture, and the discriminator sees both frames of a pair. Without it,
    the previous picture is zeros in training and its weights are zero, so the served network ignores it.
    feature_matching: how to combine the body's discriminators, one per scale; the face has only one.
    perceptual: the network of the perceptual loss; its weights are loaded only if one of those losses counts.
    decay_from, last_rate: the learning rate is constant for the first part of each phase, in [0, 1], then falls
    linearly to `last_rate` times its value.
    precision: arithmetic in training; weights and optimizers are always float32.
    jitter: how training pairs are moved; only for networks with a plate.
    average_half_life: half-life, in pictures, of a weight in the averaged weights that are served; 0 serves the last
    weights.
    person_gain: a pixel of the person counts `1 + person_gain` times as much in L1 as a pixel of the place.
    previous_zeros: how often the first picture of a pair is drawn from zeros instead of a real previous picture.
    previous_noise: standard deviation, in [-1, 1] units, of the noise on the real previous picture.
    coarse_share: part of the body's budget for the global generator inside a local enhancer, at half size.
    frozen_trunk: part of a local enhancer's training, in [0, 1], during which that generator stays frozen.
    face_judge_alone: part of the face's training, in [0, 1], during which only its discriminator learns.
    face_frames: the most training frames whose faces the face network learns; None: all.
    references: for networks with a reference, how those of training differ from served ones; None for all others.
    """

    name: str
    width_px: int
    height_px: int
    generator: NetworkShape
    face: NetworkShape | None
    minutes: float
    pictures: int | None = None
    epochs: Epochs | None = None
    temporal: bool = True
    discriminator_channels: int = 32
    discriminator_layers: int = 3
    discriminator_scales: int = 3
    face_discriminator_channels: int = 32
    adversarial: AdversarialLoss = "least_squares"
    feature_matching: OverScales = "mean"
    perceptual: Perceptual = "none"
    weights: LossWeights = field(default_factory=LossWeights)
    face_weights: LossWeights = field(default_factory=lambda: LossWeights(opacity=0.0))
    learning_rate: float = 2e-4
    decay_from: float = 0.5
    last_rate: float = 0.02
    average_half_life: float = 300.0
    jitter: Jitter | None = None
    whole_frame: bool = False
    targets: Targets = "painted"
    person_gain: float = 4.0
    previous_zeros: float = 0.5
    previous_noise: float = 0.1
    coarse_share: float = 0.25
    frozen_trunk: float = 0.1
    face_judge_alone: float = 0.0
    face_frames: int | None = 1500
    references: ReferenceRules | None = None
    precision: Literal["bf16", "f32"] = "bf16"
    face_rule: FaceRule = field(default_factory=lambda: FaceRule(side_per_face_size=2.0, min_side_px=16))

    def __post_init__(self) -> None:
        multiple = 2 ** (self.generator.downsamplings + self.generator.enhanced)
        if self.width_px % multiple or self.height_px % multiple:
            raise ValueError(f"{self.width_px}x{self.height_px} must be a multiple of {multiple} for the network")
        if self.face is not None and self.face_rule.crop_px % 2**self.face.downsamplings:
            raise ValueError(
                f"face crops of {self.face_rule.crop_px} pixels must be a multiple of {2**self.face.downsamplings}"
            )
        for name in ("previous_zeros", "decay_from", "last_rate", "coarse_share", "frozen_trunk", "face_judge_alone"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if not 1 <= self.discriminator_scales <= 3:
            raise ValueError(f"discriminator_scales must be 1, 2 or 3, got {self.discriminator_scales}")
        for name in ("person_gain", "average_half_life"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} cannot be negative, got {getattr(self, name)}")
        if (self.references is not None) != self.generator.reference:
            raise ValueError("a network with a reference needs rules for it, and no other network has them")
        if self.generator.reference and (self.generator.enhanced or not self.generator.plate):
            raise ValueError("a network with a reference draws onto a plate, without a local enhancer")
        if self.face is not None and not self.temporal:
            raise ValueError("the ablation has no face network without temporal smoothing")

    @property
    def losses(self) -> Losses:
        """This preset's row of the ablation."""
        if not self.temporal:
            return "pix2pixhd"
        return "smoothing" if self.face is None else "smoothing-face"

    def rate_at(self, progress: float) -> float:
        """The learning rate after `progress`, in [0, 1], of a phase."""
        if progress <= self.decay_from:
            return self.learning_rate
        return self.learning_rate * max(self.last_rate, (1 - progress) / (1 - self.decay_from))


def with_losses(preset: Preset, losses: str) -> Preset:
    """The preset as another row of the ablation. Raises BadInput for an unknown row, or if it has no face network."""
    _check_choice("losses", losses, get_args(Losses))
    if losses == "smoothing-face":
        if preset.face is None:
            raise BadInput("losses", f"preset {preset.name} has no face network")
        return preset
    return replace(preset, temporal=losses != "pix2pixhd", face=None)


def with_perceptual(preset: Preset, perceptual: str) -> Preset:
    """The preset with another network for its perceptual loss; "none" replaces the loss by L1 of weight 10.

    If the preset has no perceptual loss, one with pix2pixHD's weight, 5, is added for body and face. Raises BadInput
    for an unknown network.
    """
    _check_choice("perceptual", perceptual, get_args(Perceptual))

    def reweighed(weights: LossWeights) -> LossWeights:
        if perceptual != "none":
            return replace(weights, perceptual=weights.perceptual or _PERCEPTUAL_WEIGHT)
        return replace(weights, perceptual=0.0, l1=weights.l1 or _L1_WITHOUT_PERCEPTUAL)

    chosen: Perceptual = perceptual  # type: ignore[assignment]
    return replace(
        preset, perceptual=chosen, weights=reweighed(preset.weights), face_weights=reweighed(preset.face_weights)
    )


def with_adversarial(preset: Preset, adversarial: str) -> Preset:
    """The preset with "least-squares" or "log" as the adversarial loss of body and face. Raises BadInput for others."""
    forms: dict[str, AdversarialLoss] = {"least-squares": "least_squares", "log": "log"}
    _check_choice("adversarial", adversarial, forms)
    return replace(preset, adversarial=forms[adversarial])


def with_feature_matching(preset: Preset, over_scales: str) -> Preset:
    """The preset with the "mean" or the "sum" of the discriminators' feature matching. Raises BadInput for others."""
    _check_choice("feature-matching", over_scales, get_args(OverScales))
    return replace(preset, feature_matching=over_scales)  # type: ignore[arg-type]


def _check_choice(option: str, chosen: str, known: Iterable[str], *, what: str = "") -> None:
    if chosen not in known:
        raise BadInput(option, f"there is no {what}{chosen!r}; there are: {', '.join(known)}")


def with_padding(preset: Preset, padding: Padding) -> Preset:
    """The preset with this padding in the downsampling convolutions of both networks."""
    face = None if preset.face is None else replace(preset.face, padding=padding)
    return replace(preset, generator=replace(preset.generator, padding=padding), face=face)


def coarse_stage(preset: Preset) -> Preset:
    """The preset for the global generator inside a local enhancer: trained alone, at half size, as in the paper."""
    return replace(
        preset,
        name=f"{preset.name}, coarse",
        width_px=preset.width_px // 2,
        height_px=preset.height_px // 2,
        generator=replace(preset.generator, enhanced=False),
        face=None,
        weights=replace(preset.weights, perceptual=min(preset.weights.perceptual, _PERCEPTUAL_WEIGHT)),
    )


_PERCEPTUAL_WEIGHT: Final = 5.0
_L1_WITHOUT_PERCEPTUAL: Final = 10.0


def quick_256() -> Preset:
    """A small network at 256x256 that heals the actor's own limbs, moved into the pose: minutes on two CPU cores."""
    return Preset(
        name="quick-256",
        width_px=256,
        height_px=256,
        generator=NetworkShape(base_channels=8, downsamplings=3, blocks=6, plate=True, reference=True),
        face=None,
        minutes=15.0,
        pictures=700,
        discriminator_channels=16,
        references=ReferenceRules(),
        jitter=Jitter(),
    )


def quick_512() -> Preset:
    """The small network at 512x512."""
    return replace(
        quick_256(),
        name="quick-512",
        width_px=512,
        height_px=512,
        minutes=45.0,
        face_rule=FaceRule(side_per_face_size=2.0, min_side_px=32),
    )


def fine_512() -> Preset:
    """A network of four times the channels at 512x512: for a GPU, or for patience."""
    quick = quick_512()
    return replace(
        quick,
        name="fine-512",
        generator=replace(quick.generator, base_channels=32),
        minutes=120.0,
        pictures=1500,
        discriminator_channels=32,
    )


def paper_512() -> Preset:
    """The published recipe at 512x256, global generator: draws the whole picture, without a plate. For a GPU.

    It differs from the published code in these points:
    - the generator upsamples and convolves instead of using transposed convolutions, and pads those convolutions by
      reflection; the face network's upsampling half has no norms
    - convolutions before an instance norm have no bias; all other biases start at zero, where the published code keeps
      PyTorch's random ones
    - Adam takes the paper's rate once; "linear to 0" begins in the middle of each phase
    - pairs are drawn at random, as many as in five epochs of the body and five of the face; some blocks of frames are
      held out for scores
    - the picture is the actor's crop, cut out of the footage around all poses, not the whole frame
    - the side of the face crop follows the face's size; the discriminator sees the result clamped, and the label map
      shows the whole face; for the first tenth of the face's training only its discriminator learns, our own choice
    - arithmetic is bf16, with float32 weights
    Where paper and published code differ, it follows the code: feature matching is averaged over the discriminator's
    scales (`--feature-matching sum` adds them, as in the paper's equation); the adversarial loss is least squares
    (`--adversarial log` is the paper's).
    The same are: layers, widths and padding of the networks apart from the points above, weights from N(0, 0.02), pairs
    whose first picture is drawn from zeros, losses and their weights, batch 1, and that the last weights are served.
    """
    return Preset(
        name="paper-512",
        width_px=512,
        height_px=256,
        generator=NetworkShape(base_channels=64, downsamplings=4, blocks=9, plate=False, padding="zeros"),
        face=NetworkShape(base_channels=64, downsamplings=3, blocks=5, padding="zeros"),
        minutes=1440.0,
        epochs=Epochs(coarse=0, body=5, face=5),
        discriminator_channels=64,
        face_discriminator_channels=64,
        perceptual="vgg19",
        weights=LossWeights(perceptual=5.0, l1=0.0, opacity=0.0),
        face_weights=LossWeights(feature_matching=0.0, perceptual=5.0, l1=0.0, opacity=0.0),
        last_rate=0.0,
        average_half_life=0.0,
        targets="filmed",
        person_gain=0.0,
        previous_zeros=1.0,
        face_judge_alone=0.1,
        face_frames=None,
    )


def paper_1024() -> Preset:
    """The published recipe at 1024x512, coarse to fine, with the differences of `paper_512`. For a GPU.

    It trains the global generator at 512x256 for 5 epochs, then a local enhancer around it for 30, then the face for 5.
    The global generator stays frozen for the first tenth of the enhancer's training.
    """
    return replace(
        paper_512(),
        name="paper-1024",
        width_px=1024,
        height_px=512,
        generator=replace(paper_512().generator, enhanced=True),
        minutes=4320.0,
        epochs=Epochs(coarse=5, body=30, face=5),
        weights=LossWeights(perceptual=10.0, l1=0.0, opacity=0.0),
        coarse_share=5 / 35,
    )


PRESETS: Final[dict[str, Callable[[], Preset]]] = {
    "quick-256": quick_256,
    "quick-512": quick_512,
    "fine-512": fine_512,
    "paper-512": paper_512,
    "paper-1024": paper_1024,
}


def preset_named(name: str) -> Preset:
    """The preset called `name`. Raises BadInput, which lists the known ones."""
    _check_choice("preset", name, PRESETS, what="preset ")
    return PRESETS[name]()
