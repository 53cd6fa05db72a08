"""`TransferJob`: the options of one `dance transfer`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer

from client.connection.retry import PATIENCE_SECONDS
from client.connection.types import PoseChoice
from client.media.background import ChosenBackground
from client.media.source import Source
from client.poses.local_estimation import DETAIL_HELP
from client.poses.posed_feed import StartEstimator
from client.screens.screen import Screen
from motion.body import BodyStats
from motion.frame import Picture
from motion.pose_choice import PoseDetail
from provenance.credentials.signing import ContentCredentials

MaxSide = Annotated[
    int, typer.Option("--max-side", min=64, help="Shrink larger frames to this longer side before they are sent.")
]
CHECKPOINT_EVERY_FRAMES: Final = 25
"""One second of video: little to send again, and a checkpoint is hardly larger than an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferJob:
    """The options of one `dance transfer`.

    out: the file to write; None for a live session that is only shown.
    body: the source's body stats, if known; otherwise a first pass measures them, unless `one_pass` or `live`.
    background: what the dancer is laid over.
    plate: returns a version's empty place in the size of the answers. It is shown until the first answer with a
    picture. None if only the server has it; then the first picture is used.
    pose: how the server estimates poses; the default for keypoints and with an estimator.
    screens: where a live session is shown besides a window; their owner closes them.
    shown_with: composes a live picture from what was sent and the actor's picture, instead of showing the latter; for
    measurements.
    estimator: finds the poses on this machine, so that no picture is sent; None if the server does.
    credentials: signs what is written; None if the user wants no Content Credentials.
    """

    source: Source
    actor: Annotated[str, typer.Option("--actor", metavar="NAME", help="The actor who dances.")]
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The video (.mp4, .mov, .mkv); default: SOURCE.ACTOR.mp4. With --background transparent: a folder for "
            "PNG frames, .webm or .mov; default: SOURCE.ACTOR.webm.",
        ),
    ] = None
    compare: Annotated[
        bool, typer.Option("--compare", help="Show source, skeleton, the actor's moved limbs and actor side by side.")
    ] = False
    live: Annotated[bool, typer.Option("--live", help="Play at the source's own rate; drop late frames.")] = False
    full_frame: Annotated[
        bool, typer.Option("--full-frame", help="Draw the whole frame of the actor's footage, not only the crop.")
    ] = False
    background: ChosenBackground = field(default_factory=ChosenBackground)
    detail: Annotated[
        PoseDetail | None,
        typer.Option(
            "--detail",
            help=f"{DETAIL_HELP} Default: holistic; with --live, as much as the machine can hold, or with "
            "--pose here: live.",
        ),
    ] = None
    size_px: Annotated[
        int | None,
        typer.Option(
            "--size",
            min=1,
            metavar="PX",
            help="With --live: the height at which the actor is drawn, one that `dance actors` lists. Default: the "
            "largest that this machine can hold.",
        ),
    ] = None
    look_ahead_frames: Annotated[
        int | None,
        typer.Option("--look-ahead", min=0, max=15, help="Frames to look ahead for smoothing; default: by frame rate."),
    ] = None
    body: BodyStats | None = None
    one_pass: Annotated[
        bool, typer.Option("--one-pass", help="Measure the body during the dance, not in a pass before it.")
    ] = False
    actor_version: Annotated[
        int, typer.Option("--actor-version", min=0, help="0: a served version, see `dance actors`.")
    ] = 0
    pose: PoseChoice = field(default_factory=PoseChoice)
    screens: Sequence[Screen] = ()
    shown_with: Callable[[Picture, Picture], Picture] | None = None
    estimator: StartEstimator | None = None
    max_side_px: MaxSide = 1280
    plate: Callable[[int], Picture] | None = None
    patience_seconds: Annotated[
        float, typer.Option("--patience", min=0, metavar="SECONDS", help="How long to retry when the server is lost.")
    ] = PATIENCE_SECONDS
    checkpoint_every_frames: Annotated[
        int,
        typer.Option(
            "--checkpoint-every",
            min=0,
            metavar="N",
            help="Request a checkpoint every N frames, so that fewer are sent again after a lost connection. "
            "0: a lost connection ends the transfer.",
        ),
    ] = CHECKPOINT_EVERY_FRAMES
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="TEXT",
            help='Burn a text, such as "AI-generated", into every picture, where it hides no face.',
        ),
    ] = None
    credentials: ContentCredentials | None = None
    replace_out: Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")] = False

    @property
    def shown_detail(self) -> PoseDetail:
        """The detail of the poses in the dance, as long as the server does not choose another one."""
        return self.detail or (PoseDetail.LIVE if self.live else PoseDetail.HOLISTIC)

    @property
    def lets_server_choose_detail(self) -> bool:
        """Whether the server may choose the detail of the poses during the session."""
        return self.live and self.detail is None and self.estimator is None

    @property
    def keeps_opacity(self) -> bool:
        """Whether the output is transparent where the person is not. A comparison never is."""
        return self.background.keeps_opacity and not self.compare

    @property
    def writes_frames(self) -> bool:
        """Whether the output is a folder of PNG frames."""
        return self.out is not None and self.keeps_opacity and not self.out.suffix
