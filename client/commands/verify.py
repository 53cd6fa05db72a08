"""`dance verify`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509
from rich.text import Text

from client.commands.options import DEFAULT_ACTORS, ActorsFolder, Credentials, server_option
from client.connection.session import DanceClient
from client.connection.types import ActorListing
from client.errors import CommandError
from client.local_stack.actors_folder import actors_here, past_actors
from client.terminal.display import Display
from client.terminal.signals import run
from client.verification.consent import CheckedConsent, Permission, checked_consent
from client.verification.words import described
from provenance.user_folder import own_server_key_ids
from provenance.verification import Mark, Verification, verify
from serving.actors.consent import Use
from serving.process.option_groups import option_groups
from serving.process.stop_signals import stop_on_signals

EXIT_MARKED: Final = 0
EXIT_UNMARKED: Final = 3
EXIT_CHANGED: Final = 4
EXIT_NOT_ALLOWED: Final = 5
EXIT_NOT_KNOWN: Final = 6


@option_groups
def verify_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video, or a PNG, JPEG or WebP picture.")],
    *,
    use: Annotated[
        Use | None, typer.Option("--use", help="What you want to do with FILE: does the person's consent allow it?")
    ] = None,
    trust: Annotated[
        Path | None,
        typer.Option("--trust", metavar="PEM", help="Certificates of authorities whose word on signers you trust."),
    ] = None,
    server: Annotated[
        str | None, server_option("The orchestrator that has the actor's consent; default: the folder --actors.")
    ] = None,
    credentials: Credentials,
    actors: ActorsFolder = DEFAULT_ACTORS,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Say whether FILE is marked as synthetic. By whom, whether it was changed, and whether the consent still holds.

    Exit code 0: marked as synthetic, and nothing speaks against it. 3: no mark was found. 4: changed since it was
    signed. 5: the consent does not allow it, or no longer. 6: whether it allows the --use is not known. 1 and 2: FILE
    or the command line is wrong.
    """
    display = Display()
    access = credentials.access(server)
    with stop_on_signals() as should_stop:
        found = verify(file, trust_anchors_pem="" if trust is None else _read(trust), should_stop=should_stop)

    async def listed() -> list[ActorListing]:
        assert access is not None
        async with DanceClient(access) as client:
            return await client.actors()

    known: Sequence[ActorListing] | None = None
    if found.stated:
        if access is not None:
            known = run(lambda _: listed())
        elif actors.is_dir():
            stated = str(found.stated.get("actor", "")), found.stated.get("actor_version", 0)
            known = [*actors_here(actors), *past_actors(actors, *stated)]
    consent = checked_consent(found.stated, known, use)
    if as_json:
        print(json.dumps({"file": str(file), **found.to_json(), "consent": consent.to_json()}, indent=2))
    else:
        for line in described(file, found, consent, own_server_key_ids()):
            display.out.print(Text(line))
    raise typer.Exit(exit_code(found, consent, asks=use is not None))


def exit_code(found: Verification, consent: CheckedConsent, *, asks: bool) -> int:
    """Return the exit code for what was found: the gravest that applies. asks: whether a use was named."""
    if found.mark is Mark.CHANGED:
        return EXIT_CHANGED
    if consent.permission is Permission.NO:
        return EXIT_NOT_ALLOWED
    if found.mark is Mark.UNMARKED:
        return EXIT_UNMARKED
    return EXIT_NOT_KNOWN if asks and consent.permission is Permission.UNKNOWN else EXIT_MARKED


def _read(path: Path) -> str:
    try:
        text = path.read_text()
        x509.load_pem_x509_certificates(text.encode())
    except OSError as error:
        raise CommandError(f"--trust {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # not text, or no certificates
        raise CommandError(f"--trust {path}: expected PEM certificates") from error
    return text
