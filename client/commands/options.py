"""Options that several sub-commands of `dance` have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ActorsFolder = Annotated[Path, typer.Option("--actors", envvar="DANCE_ACTORS", help="Folder of the actors.")]
ActorName = Annotated[str, typer.Option("--actor", help="Who shall dance.")]
Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="HOST:PORT",
        envvar="DANCE_SERVER",
        help="An orchestrator; without it one is started here.",
    ),
]
TlsCa = Annotated[
    Path | None,
    typer.Option("--tls-ca", envvar="DANCE_TLS_CA", help="PEM of who signs the server's certificate: TLS."),
]
TlsCertificate = Annotated[
    Path | None,
    typer.Option("--tls-certificate", envvar="DANCE_TLS_CERTIFICATE", help="PEM of yours, if the server asks for one."),
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", envvar="DANCE_TLS_KEY", help="PEM of that one's key.")]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", envvar="DANCE_TOKEN_FILE", help="Holds your token, if the server asks for one."),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", envvar="DANCE_INSECURE", help="Plaintext, also to a server on another machine.")
]
Logs = Annotated[Path | None, typer.Option("--logs", help="Folder for the processes' logs; default: a new one.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")]
MaxSide = Annotated[int, typer.Option("--max-side", min=64, help="Larger frames are shrunk before they are sent.")]
