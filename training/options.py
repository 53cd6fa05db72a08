"""The options of a training, for `dance train` and `python -m training` alike.

Nothing here imports torch: a client that only sends a training to a cluster does not need it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer

from serving.actors.actor_id import checked_actor_id
from serving.actors.consent import ConsentRecord
from serving.errors import BadInput
from serving.process.option_groups import words_of
from training.consent_options import consent_of, written_out

FOOTAGE: Final = typer.Argument(
    metavar="FOOTAGE",
    help="Videos of the person, whole body, from a camera that does not follow them; one or several, in order.",
    show_default=False,
)
PRESETS: Final = "quick-256, quick-512, fine-512, paper-512 or paper-1024"
DEFAULT_PRESET: Final = "quick-512"
DEFAULT_ACTORS: Final = Path("actors")
DEFAULT_WORK: Final = Path("work")

ActorsFolder = Annotated[Path, typer.Option("--actors", envvar="DANCE_ACTORS", help="Folder with the actors.")]
WorkFolder = Annotated[
    Path, typer.Option("--work", help="Folder for prepared footage, and for what a stopped training needs to continue.")
]

Certificate = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        metavar="PEM",
        envvar="DANCE_CERTIFICATE",
        help="The certificates that sign Content Credentials, yours first. Default: one that is made on first use.",
    ),
]
CertificateKey = Annotated[
    Path | None,
    typer.Option("--certificate-key", metavar="PEM", envvar="DANCE_CERTIFICATE_KEY", help="Its private key."),
]


def _actor_option(actor: str) -> str:
    return checked_actor_id(actor, field="--actor")


_WRITTEN_OUT: Final = frozenset({"preset", "store_root", "work_root", "seed", "device"})
"""Options that a Job's manifest shows even where they have their default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FootageRequest:
    """Which footage to read; see `training.data.footage.Footage`."""

    files: Annotated[list[Path], FOOTAGE]
    keypoints: Annotated[
        list[Path],
        typer.Option(
            "--keypoints",
            metavar="FOLDER",
            help="Folder of OpenPose JSON files, or a .json list, to read poses from; once for each footage file.",
        ),
    ] = field(default_factory=list)
    frame_rate: Annotated[
        float | None, typer.Option("--frame-rate", help="Thin footage out to at most this many frames a second.")
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """The options of a training, apart from its footage and preset. Raises BadInput for values that make no sense.

    minutes: training time of all phases together; preparation and publishing come on top. 0 publishes the actor's own
    limbs without any training. pictures: frames seen, an upper limit for the body and for the face each. Without
    either, the preset's own length applies.
    losses, perceptual, adversarial, feature_matching: another row of the ablation, or other losses than the preset's;
    see `presets`. batch, compiled: see `Computing`. start_from: an actor to take the first weights from; "" starts
    from random ones. consent: see `consent_options`; a file is read at once, and replaced by its content.
    """

    actor: Annotated[
        str,
        typer.Option("--actor", callback=_actor_option, help="The actor's id; an existing actor gets a new version."),
    ]
    consent: Annotated[
        str,
        typer.Option(
            "--consent",
            metavar="WORDS|FILE.json",
            help='Who agreed, when, and to what, or a file with the record; stored with the actor. "not stated" makes '
            "an actor that only this machine can dance.",
            show_default=False,
        ),
    ]
    consent_for: Annotated[
        list[str],
        typer.Option(
            "--consent-for",
            metavar="USE",
            help="What the person agreed to: private, research, public or commercial; repeat it for several.",
        ),
    ] = field(default_factory=list)
    consent_on: Annotated[
        str, typer.Option("--consent-on", metavar="DATE", help="When the person agreed, such as 2026-03-01.")
    ] = ""
    consent_until: Annotated[
        str,
        typer.Option(
            "--consent-until", metavar="DATE", help="The last day on which the consent holds; default: no end."
        ),
    ] = ""
    consent_by: Annotated[
        str, typer.Option("--consent-by", metavar="NAME", help="Who records the consent; default: your user name.")
    ] = ""
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", help="Training time; 0 stops at the first version. Default: the preset's length."),
    ] = None
    pictures: Annotated[
        int | None,
        typer.Option(
            "--frames",
            help="Frames to train the body on, then the face; can be stopped and resumed exactly, unlike --minutes.",
        ),
    ] = None
    losses: Annotated[
        str | None,
        typer.Option("--losses", help="pix2pixhd, smoothing or smoothing-face; default: all that the preset has."),
    ] = None
    perceptual: Annotated[
        str | None,
        typer.Option("--perceptual", help="vgg19, random or none; default: the preset's. vgg19 needs its weights."),
    ] = None
    adversarial: Annotated[
        str | None,
        typer.Option("--adversarial", help="least-squares or log; default: the preset's, least-squares in all."),
    ] = None
    feature_matching: Annotated[
        str | None,
        typer.Option(
            "--feature-matching",
            help="mean (pix2pixHD's code) or sum (the paper's equation) over the discriminators; default: mean.",
        ),
    ] = None
    vgg_weights: Annotated[
        Path | None,
        typer.Option("--vgg-weights", help="torchvision's vgg19-dcbb9e9d.pth; default: downloaded when needed."),
    ] = None
    batch: Annotated[int, typer.Option("--batch", help="Pairs per step and process.")] = 1
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False
    start_from: Annotated[
        str, typer.Option("--from", metavar="ACTOR", help="Start from this actor's weights (fine-tuning).")
    ] = ""
    store_root: ActorsFolder = DEFAULT_ACTORS
    work_root: WorkFolder = DEFAULT_WORK
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of the random choices; another seed makes another training.")
    ] = 0
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu"
    certificate: Certificate = None
    certificate_key: CertificateKey = None
    footage_anyway: Annotated[
        bool, typer.Option("--anyway", help="Train even on footage that is not worth training on.")
    ] = False
    publish_anyway: Annotated[
        bool,
        typer.Option(
            "--publish-anyway", help="Serve the result even if it is, or may be, worse than what is served now."
        ),
    ] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "consent", written_out(self.consent))
        _ = self.consent_record
        if self.minutes is not None and self.minutes < 0:
            raise BadInput("--minutes", f"cannot be negative, got {self.minutes}")
        for name, value in (("frames", self.pictures), ("batch", self.batch)):
            if value is not None and value <= 0:
                raise BadInput(f"--{name}", f"must be positive, got {value}")
        if self.device not in ("cpu", "cuda"):
            raise BadInput("--device", f"must be cpu or cuda, got {self.device!r}")

    @property
    def consent_record(self) -> ConsentRecord:
        """The record that all options about the consent make together. Raises BadInput, which names the option."""
        return consent_of(
            self.consent, uses=self.consent_for, on=self.consent_on, until=self.consent_until, by=self.consent_by
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest(TrainOptions):
    """One training, as requested on a command line; `training.settings` makes a job's settings of it."""

    footage: FootageRequest
    preset: Annotated[str, typer.Option("--preset", help=f"{PRESETS}.")] = DEFAULT_PRESET

    def arguments(self) -> list[str]:
        """The arguments of `python -m training` for this training; the footage comes last."""
        words = [*words_of(self, always=_WRITTEN_OUT), *words_of(self.footage)]
        free_text = f"--consent={self.consent}"
        words.remove(free_text)
        return [*words, free_text, "--", *map(str, self.footage.files)]
