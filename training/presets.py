"""What a network is made of and how it is trained, as named functions; each is one reproducible recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from motion.face_region import FaceRule
from serving.actors import NetworkShape
from serving.errors import BadInput
from training.data.jitter import Jitter
from training.data.pairs import Targets
from training.losses import LossWeights
from training.losses.adversarial import AdversarialLoss


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A recipe. Raises ValueError for sizes that the networks cannot halve often enough.

    width_px, height_px: the stage's size as the network sees it.
    whole_frame: the network sees all of the footage's frame, not the stage that holds every pose.
    targets: what is done to the pictures that are learned; without a plate only "filmed".
    minutes: of training, body and face together, where the user asks for nothing else.
    precision: of the arithmetic in training; weights and optimizers are always float32.
    jitter: how training pairs are moved; only for networks with a plate.
    average_half_life: pictures after which a weight counts half in the averaged weights that are served.
    person_gain: a pixel of the person counts `1 + person_gain` times as much in L1 as one of the place.
    previous_zeros: how often the first picture of a pair is drawn on zeros and not on a real previous picture.
    previous_noise: standard deviation, in [-1, 1] units, of the noise on the real previous picture.
    """

    name: str
    width_px: int
    height_px: int
    generator: NetworkShape
    face: NetworkShape | None
    minutes: float
    discriminator_channels: int = 32
    discriminator_layers: int = 3
    discriminator_scales: int = 3
    face_discriminator_channels: int = 32
    adversarial: AdversarialLoss = "least_squares"
    weights: LossWeights = field(default_factory=LossWeights)
    face_weights: LossWeights = field(default_factory=lambda: LossWeights(opacity=0.0))
    learning_rate: float = 2e-4
    average_half_life: float = 300.0
    jitter: Jitter | None = None
    whole_frame: bool = False
    targets: Targets = "painted"
    person_gain: float = 4.0
    previous_zeros: float = 0.5
    previous_noise: float = 0.1
    precision: Literal["bf16", "f32"] = "bf16"
    face_rule: FaceRule = field(default_factory=lambda: FaceRule(side_per_face_size=2.0, min_side_px=16))

    def __post_init__(self) -> None:
        multiple = 2**self.generator.downsamplings
        if self.width_px % multiple or self.height_px % multiple:
            raise ValueError(f"{self.width_px}x{self.height_px} is no multiple of {multiple}, which the network needs")
        if self.face is not None and self.face_rule.crop_px % 2**self.face.downsamplings:
            raise ValueError(f"face crops of {self.face_rule.crop_px} pixels are no multiple the face network can take")
        if not 0 <= self.previous_zeros <= 1:
            raise ValueError(f"previous_zeros must lie in [0, 1], got {self.previous_zeros}")
        if self.person_gain < 0:
            raise ValueError(f"person_gain cannot be negative, got {self.person_gain}")


def slim_256() -> Preset:
    """Minutes on two CPU cores: a small network at 256x256 that draws the person onto a plate of the place."""
    return Preset(
        name="slim-256",
        width_px=256,
        height_px=256,
        generator=NetworkShape(base_channels=32, downsamplings=3, blocks=6, plate=True),
        face=NetworkShape(base_channels=16, downsamplings=3, blocks=5),
        minutes=15.0,
        jitter=Jitter(),
    )


def slim_512() -> Preset:
    """The small network at 512x512: an hour or more on two CPU cores."""
    return Preset(
        name="slim-512",
        width_px=512,
        height_px=512,
        generator=NetworkShape(base_channels=32, downsamplings=3, blocks=6, plate=True),
        face=NetworkShape(base_channels=16, downsamplings=3, blocks=5),
        minutes=120.0,
        face_rule=FaceRule(side_per_face_size=2.0, min_side_px=32),
        jitter=Jitter(),
    )


def full_512() -> Preset:
    """The paper's network (182.5 million weights) at 512x512, onto a plate: for a GPU."""
    return Preset(
        name="full-512",
        width_px=512,
        height_px=512,
        generator=NetworkShape(base_channels=64, downsamplings=4, blocks=9, plate=True),
        face=NetworkShape(base_channels=64, downsamplings=3, blocks=5),
        minutes=720.0,
        discriminator_channels=64,
        face_discriminator_channels=64,
        average_half_life=2000.0,
        face_rule=FaceRule(side_per_face_size=2.0, min_side_px=32),
        jitter=Jitter(),
    )


def paper_512x256() -> Preset:
    """The published way at 512x256: the whole picture is drawn, without plate, opacity and masks. For a GPU.

    Still different from the published code, in these points:
    - no perceptual loss (VGG19, weight 5); L1 of weight 10, every pixel alike, is in its place, for body and face
    - the generator upsamples and convolves in place of transposed convolutions
    - averaged weights are served, not the last ones
    - Adam takes the paper's rate once; it is constant for half of the budget and falls to 2 % of it, not to 0
    - training goes by a budget and draws pairs at random, not by epochs; some blocks of frames are held out for scores
    - the picture is the actor's stage, cut out of the footage around all poses, not the whole frame
    - the face crop's side follows the face's size; its result is clamped, and all of the face is drawn in the label map
    - arithmetic in bf16, with float32 weights
    - no local enhancer, hence no 1024x512
    Alike: networks and widths, pairs with the first picture drawn on zeros, losses and their other weights, batch 1.
    """
    return Preset(
        name="paper-512x256",
        width_px=512,
        height_px=256,
        generator=NetworkShape(base_channels=64, downsamplings=4, blocks=9, plate=False),
        face=NetworkShape(base_channels=64, downsamplings=3, blocks=5),
        minutes=1440.0,
        discriminator_channels=64,
        face_discriminator_channels=64,
        weights=LossWeights(opacity=0.0),
        average_half_life=2000.0,
        targets="filmed",
        person_gain=0.0,
        previous_zeros=1.0,
    )


PRESETS: Final[dict[str, Callable[[], Preset]]] = {
    "slim-256": slim_256,
    "slim-512": slim_512,
    "full-512": full_512,
    "paper-512x256": paper_512x256,
}


def preset_named(name: str) -> Preset:
    """The preset of that name. Raises BadInput, listing the known ones."""
    if name not in PRESETS:
        raise BadInput("preset", f"there is no preset {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name]()
