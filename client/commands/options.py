"""Options that several sub-commands of `dance` have."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from client.connection.server_access import ServerAccess
from client.errors import UsageError
from client.media.keypoints_source import GivenFacts, parsed_rate, parsed_size
from client.media.source import Source
from client.poses.local_estimation import PoseModels, pose_models
from client.terminal.display import Display
from motion.people.dancer_choice import DancerChoice, DancerRule
from motion.pose_choice import PoseBackend
from serving.transport.addresses import checked_address
from serving.transport.tls import channel_tls
from training.options import DEFAULT_ACTORS as DEFAULT_ACTORS
from training.options import ActorsFolder as ActorsFolder


def server_option(help_text: str) -> Any:
    """The option --server, with what a command does without it."""
    return typer.Option("--server", metavar="HOST:PORT", envvar="DANCE_SERVER", help=help_text)


Server = Annotated[str | None, server_option("An orchestrator; without it, one starts here.")]
SourceFile = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A video file, or OpenPose's keypoints: a folder, or a .json list.")
]
Logs = Annotated[Path | None, typer.Option("--logs", help="Folder for the processes' logs; default: a new one.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")]
Dancer = Annotated[
    str,
    typer.Option(
        "--dancer",
        metavar="RULE",
        help="Which of several people: largest, centre, nearest=X,Y (fractions of the frame) or id=N.",
    ),
]
PoseModel = Annotated[
    list[Path],
    typer.Option("--pose-model", metavar="CARD", help="The model card of a network for openpose or rtmpose."),
]


class PosePlace(Enum):
    """Where poses are estimated."""

    HERE = "here"
    """In this process: no picture of the source leaves this machine."""
    SERVER = "server"
    """By the server's pose service, from the pictures that it is sent."""


WherePoses = Annotated[
    PosePlace,
    typer.Option(
        "--pose",
        envvar="DANCE_POSE",
        help="Where poses are estimated: by the server, or here, so that no picture of SOURCE leaves this machine.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """How to trust a server, and how to be trusted by it."""

    tls_ca: Annotated[
        Path | None,
        typer.Option(
            "--tls-ca", envvar="DANCE_TLS_CA", help="PEM file of the server's certificate authority; uses TLS."
        ),
    ] = None
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            "--tls-certificate",
            envvar="DANCE_TLS_CERTIFICATE",
            help="PEM file of your certificate, if one is required.",
        ),
    ] = None
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", envvar="DANCE_TLS_KEY", help="PEM file of your certificate's key.")
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", envvar="DANCE_TOKEN_FILE", help="File with your token, if one is required."),
    ] = None
    insecure: Annotated[
        bool, typer.Option("--insecure", envvar="DANCE_INSECURE", help="Plaintext, even to another machine.")
    ] = False

    def access(self, server: str | None) -> ServerAccess | None:
        """The access to `server`; None for None. Raises UsageError for options that conflict."""
        if server is None:
            for name in ("tls_ca", "tls_certificate", "tls_key", "token_file"):
                if getattr(self, name) is not None:
                    option = "--" + name.replace("_", "-")
                    raise UsageError(f"{option} is for a server that runs elsewhere: name it with --server")
            return None
        try:
            checked_address(server)
        except ValueError as error:
            raise UsageError(f"--server: {error}") from error
        try:
            tls = channel_tls("--tls-", self.tls_ca, self.tls_certificate, self.tls_key)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return ServerAccess(server, tls, self.token_file, self.insecure)


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseNetworks:
    """Which networks find the joints."""

    backend: Annotated[
        PoseBackend | None,
        typer.Option(
            "--pose-backend",
            help="The network that finds the joints; openpose and rtmpose find several people. Default: that of "
            "--pose-model, otherwise mediapipe; a server has its own default.",
        ),
    ] = None
    cards: PoseModel = field(default_factory=list)

    def models(self, server: str | None, display: Display, *, dancer: DancerChoice) -> PoseModels:
        """The networks, with notes about their licences. Raises UsageError, BadSettings."""
        if self.cards and server is not None:
            raise UsageError(
                f"--pose-model is for services that start here, or with --pose here; {server} has its own networks"
            )
        models = pose_models(self.backend, self.cards)
        if server is None and self.backend in (PoseBackend.OPENPOSE, PoseBackend.RTMPOSE) and not self.cards:
            raise UsageError(f"--pose-backend {self.backend.value} needs --pose-model, the model card of its network")
        if server is None and dancer.rule is not DancerRule.LARGEST and not models.chosen.finds_several:
            raise UsageError(
                f"--dancer: {models.chosen.value} finds one person; --pose-backend openpose or rtmpose finds several"
            )
        for notice in models.notices:
            display.note(notice)
        return models


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFacts:
    """What the user adds to a source: who dances in it, and facts that keypoints may lack."""

    dancer: Dancer = "largest"
    frame_size: Annotated[
        str | None,
        typer.Option("--frame-size", metavar="WxH", help="For keypoints that do not say: the size of their frames."),
    ] = None
    frame_rate: Annotated[
        str | None, typer.Option("--frame-rate", metavar="HZ", help="For keypoints that do not say: frames per second.")
    ] = None

    def source(self, name: str) -> Source:
        """The source called `name`. Raises UsageError."""
        given = GivenFacts(
            None if self.frame_size is None else parsed_size(self.frame_size),
            None if self.frame_rate is None else parsed_rate(self.frame_rate),
        )
        return Source(name, given, dancer_choice(self.dancer))


def dancer_choice(text: str) -> DancerChoice:
    """Parse --dancer. Raises UsageError."""
    try:
        return DancerChoice.parsed(text)
    except ValueError as error:
        raise UsageError(f"--dancer: {error}") from error
