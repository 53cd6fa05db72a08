"""The sub-commands of `dance` and their options."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

import client.commands.jobs as jobs
from client.commands import rollout
from client.commands.options import (
    ActorName,
    ActorsFolder,
    Force,
    Insecure,
    Logs,
    MaxSide,
    Server,
    TlsCa,
    TlsCertificate,
    TlsKey,
    TokenFile,
)
from client.commands.pose import (
    Dancer,
    FrameRateOption,
    FrameSizeOption,
    PoseBackendName,
    PoseModel,
    asked_models,
    dancer_choice,
    evaluate_pose_command,
    given_source,
    pose_command,
)
from client.commands.training import evaluate_command, prepare_command, train_command
from client.connection.retry import PATIENCE_SECONDS
from client.connection.server_access import ServerAccess, named_server
from client.connection.session import DanceClient
from client.connection.types import ActorListing, BodyFit, PoseChoice
from client.doctor.checks import PROCESSES, Patient, check_address, examine, parse_stages
from client.doctor.environment import Finding
from client.errors import CommandError, UsageError
from client.local_stack.actors_folder import actors_here, check_folder, plate_of
from client.local_stack.port_file import health_addresses, noted
from client.local_stack.server_for_command import hosted, with_server
from client.local_stack.stack import check_port_free
from client.media.source import Source
from client.media.video_writer import checked_output
from client.terminal.display import Display
from client.terminal.output_files import refuse_existing, write_text_whole
from client.terminal.signals import Interrupts, run
from client.transfer.preview_window import display_exists
from client.transfer.run import CHECKPOINT_EVERY_FRAMES, TransferJob, fit, lost_warning, transfer
from motion.body import BodyStats
from motion.documents import Fields, read_document
from motion.people.dancer_choice import DancerChoice
from motion.pose_choice import PoseBackend, PoseDetail
from serving.actors.actor_id import checked_actor_id
from serving.actors.store import ActorStore
from video.opening import is_endless

app = typer.Typer(
    name="dance",
    help="A video of somebody dancing in, the actor doing that dance out.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

actors_app = typer.Typer(rich_markup_mode=None)
for command in (rollout.canary, rollout.promote, rollout.rollback):
    actors_app.command()(command)
app.add_typer(actors_app, name="actors")


@dataclass(slots=True)
class Options:
    """What holds for every sub-command."""

    debug: bool = False


options = Options()
app.add_typer(jobs.jobs_app, name="jobs")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"dance {version('everybody-dance')}")
        raise typer.Exit


@app.callback()
def dance(
    debug: Annotated[bool, typer.Option("--debug", envvar="DANCE_DEBUG", help="Show where errors come from.")] = False,
    _version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True)] = False,
) -> None:
    """A video of somebody dancing in, the actor doing that dance out."""
    options.debug = debug


@app.command()
def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the orchestrator; 0 takes a free one.")] = 50050,
    actors: ActorsFolder = Path("actors"),
    pose_backend: PoseBackendName = None,
    pose_model: PoseModel = [],  # noqa: B006  typer copies it
    logs: Logs = None,
) -> None:
    """Start all services here; Ctrl-C ends them."""
    display = Display()
    check_port_free(port)
    check_folder(actors)
    models = asked_models(pose_backend, pose_model, None, display, dancer=DancerChoice())
    settings = models.settings
    if pose_backend is not None:
        settings |= {"ORCHESTRATOR_POSE_BACKEND": pose_backend.value, "POSE_BACKEND": pose_backend.value}

    known = ", ".join(ActorStore(actors).ids()) or "none yet"

    async def serve(interrupts: Interrupts) -> None:
        async with hosted(actors, logs, display, port=port, settings=settings, load_at_start="all") as stack:
            display.note(f"serving at {stack.address} (actors: {known}; logs: {stack.logs}); Ctrl-C ends it")
            with noted(stack.address, stack.ready):
                await stack.run(interrupts.first())
            display.note("ending")

    run(serve)


@app.command("transfer")
def transfer_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A video file, or OpenPose's keypoints in a folder or a .json list; with --live a camera (0, "
            "/dev/video0) or address."
        ),
    ],
    actor: ActorName,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: SOURCE's name, a dot, the actor.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Source, skeleton and actor side by side.")] = False,
    live: Annotated[bool, typer.Option("--live", help="At the source's own rate, late frames dropped.")] = False,
    full_frame: Annotated[bool, typer.Option("--full-frame", help="Pictures of the footage's full size.")] = False,
    detail: Annotated[
        PoseDetail | None, typer.Option(help="What is looked at; default: holistic, with --live live.")
    ] = None,
    look_ahead: Annotated[
        int | None, typer.Option(min=0, max=15, help="Frames to look ahead for smoothing; default: by frame rate.")
    ] = None,
    body: Annotated[Path | None, typer.Option(help="Body stats of the source, from `dance fit`.")] = None,
    one_pass: Annotated[bool, typer.Option("--one-pass", help="Measure the body while dancing, not before.")] = False,
    actor_version: Annotated[int, typer.Option(min=0, help="0: one that is served, see `dance actors`.")] = 0,
    pose_backend: PoseBackendName = None,
    pose_model: PoseModel = [],  # noqa: B006  typer copies it
    dancer: Dancer = "largest",
    frame_size: FrameSizeOption = None,
    frame_rate: FrameRateOption = None,
    patience: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long a server that went away is tried again.")
    ] = PATIENCE_SECONDS,
    checkpoint_every: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Frames to send again, at most, after a lost connection; 0: gives up."),
    ] = CHECKPOINT_EVERY_FRAMES,
    server: Server = None,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
    insecure: Insecure = False,
    actors: ActorsFolder = Path("actors"),
    max_side: MaxSide = 1280,
    force: Force = False,
    logs: Logs = None,
) -> None:
    """Make the actor dance what SOURCE dances."""
    display = Display()
    checked_actor_id(actor, field="--actor")
    access = named_server(
        server, ca=tls_ca, certificate=tls_certificate, key=tls_key, token_file=token_file, insecure=insecure
    )
    if is_endless(source) and not live:
        raise UsageError(f"{source} is a camera or a stream: that needs --live")
    if live and look_ahead:
        raise UsageError("--live cannot look ahead")
    if out is None and not live:
        out = Path(f"{Path(source).stem}.{actor}.mp4")
    if live and out is None and not display_exists():
        raise CommandError("there is no display for a preview; -o FILE records the live session")
    choice = dancer_choice(dancer)
    shown = given_source(source, choice, frame_size, frame_rate)
    if shown.is_keypoints and live:
        raise UsageError(f"{source} is keypoints: --live is for cameras, streams and videos")
    for remark in shown.check():  # what is wrong with it is told before anything is started
        display.note(remark)
    if out is not None:
        checked_output(out, source, force=force)
    pose, settings = _pose_choice(shown, pose_backend, pose_model, server, display)
    plate = None
    if not server:
        plate = partial(plate_of, actors, actor, full_frame=full_frame)
        plate(actor_version)  # what is wrong with the actor is told before anything is started
    job = TransferJob(
        source=shown,
        actor=actor,
        actor_version=actor_version,
        out=out,
        replace_out=force,
        compare=compare,
        live=live,
        full_frame=full_frame,
        detail=detail or (PoseDetail.LIVE if live else PoseDetail.HOLISTIC),
        look_ahead_frames=look_ahead,
        body=None if body is None else _read_body(body),
        one_pass=one_pass,
        pose=pose,
        max_side_px=max_side,
        plate=plate,
        patience_seconds=patience,
        checkpoint_every_frames=checkpoint_every,
    )
    report = run(
        lambda interrupts: with_server(
            access, actors, logs, display, lambda found: transfer(job, found, display, interrupts), settings, actor
        )
    )
    display.report(report)
    display.source_notes(source, report.notes)
    if out is not None:
        display.out.print(f"wrote {out}")


@app.command("fit")
def fit_command(
    source: Annotated[str, typer.Argument(help="A video file, or OpenPose's keypoints: a folder, or a .json list.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A JSON file for `dance transfer --body`.")] = None,
    server: Server = None,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
    insecure: Insecure = False,
    actors: ActorsFolder = Path("actors"),
    pose_backend: PoseBackendName = None,
    pose_model: PoseModel = [],  # noqa: B006  typer copies it
    dancer: Dancer = "largest",
    frame_size: FrameSizeOption = None,
    frame_rate: FrameRateOption = None,
    max_side: MaxSide = 1280,
    force: Force = False,
    logs: Logs = None,
) -> None:
    """Measure the body in SOURCE: how tall it looks and where it stands, near and far."""
    display = Display()
    access = named_server(
        server, ca=tls_ca, certificate=tls_certificate, key=tls_key, token_file=token_file, insecure=insecure
    )
    if is_endless(source):
        raise UsageError(f"{source} is a camera or a stream: a whole clip is needed")
    shown = given_source(source, dancer_choice(dancer), frame_size, frame_rate)
    for remark in shown.check():
        display.note(remark)
    if out is not None:
        refuse_existing([out], force=force, sources=[source])
    pose, settings = _pose_choice(shown, pose_backend, pose_model, server, display)
    told = partial(display.source_notes, source)
    fitted, lost_frames = run(
        lambda _: with_server(
            access,
            actors,
            logs,
            display,
            lambda found: fit(shown, found, display, max_side, pose, on_notes=told),
            settings,
        )
    )
    if lost_frames:
        display.warn(lost_warning(shown, lost_frames))
    text = json.dumps(_body_document(fitted), indent=2) + "\n"
    if out is None:
        print(text, end="")
        return
    try:
        write_text_whole(out, text)
    except CommandError:
        print(text, end="")  # what was measured is not lost
        raise
    display.note(f"wrote {out}")


@actors_app.callback(invoke_without_command=True)
def actors_command(
    context: typer.Context,
    server: Server = None,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
    insecure: Insecure = False,
    actors: ActorsFolder = Path("actors"),
) -> None:
    """List the actors of a server, or of the folder here. The commands below say which versions are served."""
    if context.invoked_subcommand is not None:
        if server is not None:
            raise UsageError(f"dance actors {context.invoked_subcommand} works on a folder (--actors), not on a server")
        return
    display = Display()
    access = named_server(
        server, ca=tls_ca, certificate=tls_certificate, key=tls_key, token_file=token_file, insecure=insecure
    )

    async def listed(wanted: ServerAccess) -> list[ActorListing]:
        async with DanceClient(wanted) as client:
            return await client.actors()

    found = run(lambda _: listed(access)) if access else actors_here(actors)
    if not found:
        raise CommandError(f"there are no actors {'at ' + server if server else 'in ' + str(actors)}")
    display.actors(found)


@app.command("doctor")
def doctor_command(
    server: Annotated[
        str,
        typer.Option(
            "--server",
            metavar="HOST:PORT",
            envvar="DANCE_SERVER",
            help="An orchestrator; default: that of `dance up` here.",
        ),
    ] = "127.0.0.1:50050",
    stages: Annotated[
        str | None,
        typer.Option(
            "--stages", metavar="NAME=HOST:PORT,...", help="Health ports; default: those of the `dance up` at --server."
        ),
    ] = None,
    actor: Annotated[str, typer.Option("--actor", help="Who shall dance; default: the first who can.")] = "",
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
    insecure: Insecure = False,
) -> None:
    """Check a running deployment stage by stage, and say what is wrong and what to do."""
    display = Display()
    check_address(server, option="--server")
    if actor:
        checked_actor_id(actor, field="--actor")
    health = health_addresses(server) if stages is None else parse_stages(stages)
    access = named_server(
        server, ca=tls_ca, certificate=tls_certificate, key=tls_key, token_file=token_file, insecure=insecure
    )
    assert access is not None
    patient = Patient(server=access, health=health, actor=actor)

    async def examined() -> list[Finding]:
        findings = []
        async for finding in examine(patient):
            display.finding(finding.check, finding.text, finding.advice, ok=finding.ok)
            findings.append(finding)
        return findings

    findings = run(lambda _: examined())
    missing = [name for name in PROCESSES if name not in health]
    if missing:
        display.note(f"not looked at: the health of {', '.join(missing)}; --stages names their health ports")
    wrong = [finding for finding in findings if not finding.ok]
    if wrong:
        raise CommandError(f"{len(wrong)} of {len(findings)} checks failed: {', '.join(f.check for f in wrong)}")


for name, sub_command in (
    ("prepare", prepare_command),
    ("train", train_command),
    ("evaluate", evaluate_command),
    ("pose", pose_command),
    ("evaluate-pose", evaluate_pose_command),
):
    app.command(name)(sub_command)


def _pose_choice(
    source: Source, backend: PoseBackend | None, cards: list[Path], server: str | None, display: Display
) -> tuple[PoseChoice, dict[str, str]]:
    """Who finds the joints and who dances, and what the services that are started here are told for it."""
    if source.is_keypoints:
        if backend is not None or cards:
            raise UsageError(f"{source.name} holds poses already: --pose-backend and --pose-model are for pictures")
        return PoseChoice(), {}
    models = asked_models(backend, cards, server, display, dancer=source.dancer)
    return PoseChoice(models.chosen if cards else backend, source.dancer), models.settings


def _read_body(path: Path) -> BodyStats:
    try:
        return BodyStats.from_dict(Fields.of(read_document(path)).record("body"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{path} holds no body stats as `dance fit` writes them: {error}") from error


def _body_document(fitted: BodyFit) -> dict[str, Any]:
    return {
        "body": fitted.body.to_dict(),
        "frames": fitted.frames,
        "frames_with_person": fitted.frames_with_person,
        "on_the_spot": fitted.on_the_spot,
    }
