"""What a training can be told, for `dance train` and `python -m training` alike.

Nothing here imports torch: a client that only sends a training to a cluster needs none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

FOOTAGE: Final = typer.Argument(
    metavar="FOOTAGE", help="A video of the person, whole body, from a camera that stands still.", show_default=False
)
DEFAULT_PRESET: Final = "slim-256"
DEFAULT_ACTORS: Final = Path("actors")
DEFAULT_WORK: Final = Path("work")

Footage = Annotated[Path, FOOTAGE]
ActorName = Annotated[str, typer.Option("--actor", help="The actor's id; a new version of it, where there is one.")]
PresetName = Annotated[str, typer.Option("--preset", help="slim-256, slim-512, full-512 or paper-512x256.")]
Minutes = Annotated[float | None, typer.Option("--minutes", help="Of training; default: the preset's.")]
ActorsFolder = Annotated[Path, typer.Option("--actors", envvar="DANCE_ACTORS", help="Folder of the actors.")]
WorkFolder = Annotated[Path, typer.Option("--work", help="Folder for what a stopped training needs to go on.")]
Consent = Annotated[str, typer.Option("--consent", help="Who agreed to what; stored with the actor.")]
Seed = Annotated[int, typer.Option("--seed", help="Another one draws other pairs: another training.")]
Device = Annotated[str, typer.Option("--device", help="cpu or cuda.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """One training, as it was asked for; see `training.job.JobSettings`."""

    footage: Path
    actor: str
    preset: str = DEFAULT_PRESET
    minutes: float | None = None
    actors_root: Path = DEFAULT_ACTORS
    work_root: Path = DEFAULT_WORK
    seed: int = 0
    consent: str = ""
    device: str = "cpu"

    def arguments(self) -> list[str]:
        """The arguments of `python -m training` that ask for this training; the footage is the last."""
        said = [f"--actor={self.actor}", f"--preset={self.preset}"]
        said += [] if self.minutes is None else [f"--minutes={self.minutes:g}"]
        said += [f"--actors={self.actors_root}", f"--work={self.work_root}", f"--seed={self.seed}"]
        said += [f"--device={self.device}", f"--consent={self.consent}"]
        return [*said, "--", str(self.footage)]
