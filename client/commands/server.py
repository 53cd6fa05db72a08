"""`dance up`, `dance web`, `dance actors` and `dance doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import Annotated, Final

import typer
from rich.text import Text

from client.commands.options import DEFAULT_ACTORS, ActorsFolder, Credentials, Logs, PoseNetworks, server_option
from client.commands.page import PageOptions, page_settings
from client.connection.server_access import ServerAccess
from client.connection.session import DanceClient
from client.connection.types import ActorListing, ListedWardrobe
from client.doctor.checks import PROCESSES, Patient, check_address, examine, parse_stages
from client.doctor.environment import Finding
from client.errors import CommandError, UsageError
from client.local_stack.actors_folder import actors_here, check_folder
from client.local_stack.port_file import health_addresses, noted
from client.local_stack.server_for_command import hosted, started_with_logs
from client.local_stack.stack import check_port_free, page_alone
from client.terminal.display import Display
from client.terminal.signals import Interrupts, run
from motion.people.dancer_choice import DancerChoice
from serving.actors.actor_id import checked_actor_id
from serving.actors.store import ActorStore
from serving.process.option_groups import option_groups

_CONSENT_CHARACTERS: Final = 40
_WIDE_CHARACTERS: Final = 140
"""In a narrower terminal, another column would cut names and sizes short."""


@option_groups
def up(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the orchestrator; 0 takes a free one.")] = 50050,
    actors: ActorsFolder = DEFAULT_ACTORS,
    networks: PoseNetworks,
    web: Annotated[bool, typer.Option("--web", help="Serve the page too: dance in a browser.")] = False,
    make_actors: Annotated[
        bool, typer.Option("--make-actors", help="With --web: visitors may become actors, who are trained here.")
    ] = False,
    page: PageOptions,
    logs: Logs = None,
) -> None:
    """Start all services here; Ctrl-C stops them."""
    display = Display()
    if make_actors and not web:
        raise UsageError("--make-actors is for the page: add --web")
    check_port_free(port)
    check_folder(actors)
    settings = networks.models(None, display, dancer=DancerChoice()).settings
    if networks.backend is not None:
        backend = networks.backend.value
        settings |= {"ORCHESTRATOR_POSE_BACKEND": backend, "POSE_BACKEND": backend}

    if make_actors:
        settings |= {"WEB_MAKES_ACTORS": "true", "WEB_MAKING_ACTORS": str(actors.resolve())}
    known = ", ".join(ActorStore(actors).ids()) or "none yet"

    async def serve(interrupts: Interrupts) -> None:
        page_port = page.page_port if web else None
        async with hosted(
            actors, logs, display, port=port, settings=settings, load_at_start="all", page_port=page_port
        ) as stack:
            display.note(f"serving at {stack.address} (actors: {known}; logs: {stack.logs}); Ctrl-C ends it")
            if web:
                page.tell(stack.page_port, display)
            with noted(stack.address, stack.ready):
                await stack.run(interrupts.first())
            display.note("ending")

    run(serve)


@option_groups
def web_command(
    *,
    server: Annotated[str, server_option("An orchestrator; default: that of `dance up` here.")] = "127.0.0.1:50050",
    credentials: Credentials,
    page: PageOptions,
    logs: Logs = None,
) -> None:
    """Serve the page in front of a server: dance in a browser. Ctrl-C stops it."""
    display = Display()
    check_port_free(page.page_port, option="--web-port")
    access = credentials.access(server)
    assert access is not None
    settings = page_settings(access, page.page_port)

    async def serve(interrupts: Interrupts) -> None:
        async with started_with_logs(lambda folder, told: page_alone(folder, settings, told), logs, display) as stack:
            page.tell(stack.ready["web"].ports["port"], display)
            await stack.run(interrupts.first())
            display.note("ending")

    run(serve)


@option_groups
def actors_command(
    context: typer.Context,
    *,
    server: Annotated[str | None, server_option("An orchestrator; without it, the folder --actors is listed.")] = None,
    credentials: Credentials,
    actors: ActorsFolder = DEFAULT_ACTORS,
) -> None:
    """List the actors of a server, or of a folder here. The commands below work on a folder."""
    if context.invoked_subcommand is not None:
        if server is not None:
            raise UsageError(f"dance actors {context.invoked_subcommand} works on a folder (--actors), not on a server")
        return
    access = credentials.access(server)

    async def listed(wanted: ServerAccess) -> list[ActorListing]:
        async with DanceClient(wanted) as client:
            return await client.actors()

    found = run(lambda _: listed(access)) if access else actors_here(actors)
    if not found:
        raise CommandError(f"there are no actors {'at ' + server if server else 'in ' + str(actors)}")
    _show_actors(found, Display())


@option_groups
def doctor_command(
    *,
    server: Annotated[str, server_option("An orchestrator; default: that of `dance up` here.")] = "127.0.0.1:50050",
    stages: Annotated[
        str | None,
        typer.Option(
            "--stages", metavar="NAME=HOST:PORT,...", help="Health ports; default: those of the `dance up` at --server."
        ),
    ] = None,
    actor: Annotated[
        str, typer.Option("--actor", metavar="NAME", help="The actor to test with; default: the first one available.")
    ] = "",
    credentials: Credentials,
) -> None:
    """Check a running deployment stage by stage. Reports what is wrong and what to do."""
    display = Display()
    check_address(server, option="--server")
    if actor:
        checked_actor_id(actor, field="--actor")
    health = health_addresses(server) if stages is None else parse_stages(stages)
    access = credentials.access(server)
    assert access is not None
    patient = Patient(server=access, health=health, actor=actor)

    async def examined() -> list[Finding]:
        findings = []
        async for finding in examine(patient):
            display.finding(finding.check, finding.text, finding.advice, ok=finding.ok)
            findings.append(finding)
        return findings

    findings = run(lambda _: examined())
    wrong = [finding for finding in findings if not finding.ok]
    missing = [name for name in PROCESSES if name not in health]
    if missing and not {"orchestrator", "proxy"} & {finding.check for finding in wrong}:  # a server runs there
        display.note(f"not checked: the health of {', '.join(missing)}; --stages names their health ports")
    if wrong:
        raise CommandError(f"{len(wrong)} of {len(findings)} checks failed: {', '.join(f.check for f in wrong)}")


def _show_actors(actors: Sequence[ActorListing], display: Display) -> None:
    rows: list[list[str | Text]] = []
    is_wide = display.out.width >= _WIDE_CHARACTERS
    for actor in actors:
        sizes = [
            "" if size is None else f"{size.width_px}x{size.height_px}"
            for size in (actor.stage_size, actor.full_frame_size)
        ]
        sizes[0] = ", ".join([sizes[0], *(str(size.height_px) for size in actor.smaller_sizes)])
        not_served = "" if actor.unavailable else "not served"
        share = f"{actor.served_percent:g} %" if actor.served_percent else not_served
        state = Text(actor.unavailable or ("ready: moved limbs, not trained yet" if actor.bare_warp else "ready"))
        size = f"{actor.size_bytes / 1e6:.1f} MB" if actor.size_bytes else ""
        wardrobe = "" if actor.unavailable else _shown(actor.wardrobe)
        consent = [Text(shorten(actor.consent, _CONSENT_CHARACTERS, placeholder="…"))] if is_wide else []
        rows.append([actor.actor, str(actor.version), actor.preset, *sizes, size, wardrobe, share, *consent, state])
    last = ("consent", "state") if is_wide else ("state",)
    headings = ("actor", "version", "preset", "picture", "full frame", "size", "wardrobe", "new sessions", *last)
    display.table(headings, rows)
    dressed = sorted({actor.actor for actor in actors if actor.wardrobe is not None})
    if dressed:
        inside = f"contain{'s' * (len(dressed) == 1)} pictures of the person, cut from the footage (the wardrobe)"
        display.note(f"{', '.join(dressed)} {inside}: pass the files on only as far as the person's consent goes")


def _shown(wardrobe: ListedWardrobe | None) -> str:
    """The key frames of a wardrobe, and the sides of the person that they show."""
    if wardrobe is None:
        return "none"
    return f"{wardrobe.key_frames} frames: {', '.join(wardrobe.facings) or 'no side clearly'}"
