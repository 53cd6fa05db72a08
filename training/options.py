"""What a training can be told, for `dance train` and `python -m training` alike.

Nothing here imports torch: a client that only sends a training to a cluster needs none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from serving.actors.actor import MOST_CONSENT_CHARACTERS
from serving.errors import BadInput

FOOTAGE: Final = typer.Argument(
    metavar="FOOTAGE...",
    help="Videos of the person, whole body, from a camera that stands still; one or several, in order.",
    show_default=False,
)
PRESETS: Final = "slim-256, slim-512, full-512, paper-512 or paper-1024"
DEFAULT_PRESET: Final = "slim-256"
DEFAULT_ACTORS: Final = Path("actors")
DEFAULT_WORK: Final = Path("work")

Footage = Annotated[list[Path], FOOTAGE]
Keypoints = Annotated[
    list[Path] | None,
    typer.Option(
        "--keypoints",
        help="Folder of OpenPose's JSON files, or a .json list, to take poses from; once for every file of footage.",
    ),
]
FrameRate = Annotated[
    float | None, typer.Option("--frame-rate", help="Thin footage out to at most so many frames a second.")
]
ActorName = Annotated[str, typer.Option("--actor", help="The actor's id; a new version of it, where there is one.")]
PresetName = Annotated[str, typer.Option("--preset", help=f"{PRESETS}.")]
Minutes = Annotated[float | None, typer.Option("--minutes", help="Of training; default: the preset's length.")]
Frames = Annotated[
    int | None,
    typer.Option("--frames", help="Seen in the training of body and of face; exactly resumable, unlike minutes."),
]
Losses = Annotated[
    str | None,
    typer.Option("--losses", help="pix2pixhd, smoothing or smoothing-face; default: all that the preset has."),
]
Perceptual = Annotated[
    str | None,
    typer.Option("--perceptual", help="vgg19, random or none; default: the preset's. vgg19 needs its weights."),
]
Adversarial = Annotated[
    str | None, typer.Option("--adversarial", help="least-squares or log; default: the preset's, least-squares in all.")
]
FeatureMatching = Annotated[
    str | None,
    typer.Option(
        "--feature-matching",
        help="mean or sum over the discriminators: pix2pixHD's code or the paper's equation; default: mean.",
    ),
]
VggWeights = Annotated[
    Path | None,
    typer.Option("--vgg-weights", help="torchvision's vgg19-dcbb9e9d.pth; default: fetched where it is needed."),
]
Batch = Annotated[int, typer.Option("--batch", help="Pairs in each step, of each process.")]
Compiled = Annotated[bool, typer.Option("--compile", help="Use torch.compile.")]
StartFrom = Annotated[
    str, typer.Option("--from", metavar="ACTOR", help="Begin with the weights of this actor (fine-tuning).")
]
ActorsFolder = Annotated[Path, typer.Option("--actors", envvar="DANCE_ACTORS", help="Folder of the actors.")]
WorkFolder = Annotated[
    Path, typer.Option("--work", help="Folder for what was prepared, and for what a stopped training needs to go on.")
]
Consent = Annotated[
    str, typer.Option("--consent", help="Who agreed, when, and to what; stored with the actor.", show_default=False)
]
Seed = Annotated[int, typer.Option("--seed", help="Another one draws other pairs: another training.")]
Device = Annotated[str, typer.Option("--device", help="cpu or cuda.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Train also on footage that is not worth it.")]
PublishAnyway = Annotated[
    bool,
    typer.Option("--publish-anyway", help="Serve the result also where it is, or may be, worse than what is served."),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class FootageRequest:
    """Which footage; see `training.data.footage.Footage`."""

    files: tuple[Path, ...]
    keypoints: tuple[Path, ...] = ()
    most_frames_per_second: float | None = None

    def options(self) -> list[str]:
        """The options of a command line that ask for it; the files are its arguments."""
        rate = self.most_frames_per_second
        said = [f"--keypoints={folder}" for folder in self.keypoints]
        return said if rate is None else [*said, f"--frame-rate={rate!r}"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """One training, as it was asked for; see `training.job.JobSettings`. Raises BadInput for a blank consent."""

    footage: FootageRequest
    actor: str
    consent: str
    preset: str = DEFAULT_PRESET
    minutes: float | None = None
    frames: int | None = None
    losses: str | None = None
    perceptual: str | None = None
    adversarial: str | None = None
    feature_matching: str | None = None
    vgg_weights: Path | None = None
    batch: int = 1
    compiled: bool = False
    start_from: str = ""
    actors_root: Path = DEFAULT_ACTORS
    work_root: Path = DEFAULT_WORK
    seed: int = 0
    device: str = "cpu"
    footage_anyway: bool = False
    publish_anyway: bool = False

    def __post_init__(self) -> None:
        if not self.consent.strip():
            raise BadInput("consent", "cannot be blank: say who agreed, when, and to what; it is kept with the actor")
        if len(self.consent) > MOST_CONSENT_CHARACTERS:
            raise BadInput("consent", f"has {len(self.consent)} characters, at most {MOST_CONSENT_CHARACTERS} are kept")

    def arguments(self) -> list[str]:
        """The arguments of `python -m training` that ask for this training; the footage comes last."""
        said = [f"--actor={self.actor}", f"--preset={self.preset}"]
        minutes = None if self.minutes is None else f"{self.minutes:g}"
        chosen: dict[str, object] = {
            "minutes": minutes,
            "frames": self.frames,
            "losses": self.losses,
            "perceptual": self.perceptual,
            "adversarial": self.adversarial,
            "feature-matching": self.feature_matching,
        }
        chosen |= {"vgg-weights": self.vgg_weights, "from": self.start_from or None}
        chosen |= {"batch": None if self.batch == 1 else self.batch}
        said += [f"--{option}={value}" for option, value in chosen.items() if value is not None]
        said += self.footage.options()
        flags = {"compile": self.compiled, "anyway": self.footage_anyway, "publish-anyway": self.publish_anyway}
        said += [f"--{flag}" for flag, wanted in flags.items() if wanted]
        said += [f"--actors={self.actors_root}", f"--work={self.work_root}", f"--seed={self.seed}"]
        said += [f"--device={self.device}", f"--consent={self.consent}"]
        return [*said, "--", *map(str, self.footage.files)]
