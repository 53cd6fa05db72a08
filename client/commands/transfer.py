"""`dance transfer` and `dance fit`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import (
    DEFAULT_ACTORS,
    ActorName,
    ActorsFolder,
    Credentials,
    Force,
    Logs,
    MaxSide,
    PoseNetworks,
    Server,
    SourceFacts,
)
from client.connection.retry import PATIENCE_SECONDS
from client.connection.types import PoseChoice
from client.errors import CommandError, UsageError
from client.local_stack.actors_folder import plate_of
from client.local_stack.server_for_command import with_server
from client.media.source import Source
from client.media.video_writer import checked_output
from client.terminal.display import Display
from client.terminal.output_files import refuse_existing, write_text_whole
from client.terminal.signals import run
from client.transfer.preview_window import display_exists
from client.transfer.report import show_report
from client.transfer.run import CHECKPOINT_EVERY_FRAMES, TransferJob, fit, lost_warning, transfer
from motion.body import BodyStats
from motion.documents import Fields, read_document
from motion.pose_choice import PoseDetail
from serving.actors.actor_id import checked_actor_id
from serving.process.option_groups import option_groups
from video.opening import is_endless


@option_groups
def transfer_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A video file, or OpenPose's keypoints in a folder or a .json list; with --live a camera (0, "
            "/dev/video0) or address."
        ),
    ],
    *,
    actor: ActorName,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: SOURCE's name, a dot, the actor.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Show source, skeleton and actor side by side.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Play at the source's own rate; drop late frames.")] = False,
    full_frame: Annotated[bool, typer.Option("--full-frame", help="Pictures at the footage's full size.")] = False,
    detail: Annotated[
        PoseDetail | None, typer.Option(help="Parts of the body to find; default: holistic, with --live live.")
    ] = None,
    look_ahead: Annotated[
        int | None, typer.Option(min=0, max=15, help="Frames to look ahead for smoothing; default: by frame rate.")
    ] = None,
    body: Annotated[Path | None, typer.Option(help="Body stats of the source, from `dance fit`.")] = None,
    one_pass: Annotated[
        bool, typer.Option("--one-pass", help="Measure the body during the dance, not in a pass before it.")
    ] = False,
    actor_version: Annotated[int, typer.Option(min=0, help="0: a served version, see `dance actors`.")] = 0,
    networks: PoseNetworks,
    facts: SourceFacts,
    patience: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to retry when the server is lost.")
    ] = PATIENCE_SECONDS,
    checkpoint_every: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Most frames to send again after a lost connection; 0 gives up instead."),
    ] = CHECKPOINT_EVERY_FRAMES,
    server: Server = None,
    credentials: Credentials,
    actors: ActorsFolder = DEFAULT_ACTORS,
    max_side: MaxSide = 1280,
    force: Force = False,
    logs: Logs = None,
) -> None:
    """Make the actor dance what SOURCE dances."""
    display = Display()
    checked_actor_id(actor, field="--actor")
    access = credentials.access(server)
    if is_endless(source) and not live:
        raise UsageError(f"{source} is a camera or a stream: that needs --live")
    if live and look_ahead:
        raise UsageError("--live cannot look ahead")
    if out is None and not live:
        out = Path(f"{Path(source).stem}.{actor}.mp4")
    if live and out is None and not display_exists():
        raise CommandError("there is no display for a preview; -o FILE records the live session")
    shown = facts.source(source)
    if shown.is_keypoints and live:
        raise UsageError(f"{source} is keypoints: --live is for cameras, streams and videos")
    for remark in shown.check():  # report problems of the source before anything starts
        display.note(remark)
    if out is not None:
        checked_output(out, source, force=force)
    pose, settings = _pose_choice(shown, networks, server, display)
    plate = None
    if not server:
        plate = partial(plate_of, actors, actor, full_frame=full_frame)
        plate(actor_version)  # report problems of the actor before anything starts
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
    show_report(report, display)
    display.source_notes(source, report.notes)
    if out is not None:
        display.out.print(f"wrote {out}")


@option_groups
def fit_command(
    source: Annotated[str, typer.Argument(help="A video file, or OpenPose's keypoints: a folder, or a .json list.")],
    *,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A JSON file for `dance transfer --body`.")] = None,
    server: Server = None,
    credentials: Credentials,
    actors: ActorsFolder = DEFAULT_ACTORS,
    networks: PoseNetworks,
    facts: SourceFacts,
    max_side: MaxSide = 1280,
    force: Force = False,
    logs: Logs = None,
) -> None:
    """Measure the body in SOURCE: how tall it looks and where it stands, near and far."""
    display = Display()
    access = credentials.access(server)
    if is_endless(source):
        raise UsageError(f"{source} is a camera or a stream: a whole clip is needed")
    shown = facts.source(source)
    for remark in shown.check():
        display.note(remark)
    if out is not None:
        refuse_existing([out], force=force, sources=[source])
    pose, settings = _pose_choice(shown, networks, server, display)
    on_notes = partial(display.source_notes, source)
    fitted, lost_frames = run(
        lambda _: with_server(
            access,
            actors,
            logs,
            display,
            lambda found: fit(shown, found, display, max_side, pose, on_notes=on_notes),
            settings,
        )
    )
    if lost_frames:
        display.warn(lost_warning(shown, lost_frames))
    document = {
        "body": fitted.body.to_dict(),
        "frames": fitted.frames,
        "frames_with_person": fitted.frames_with_person,
        "on_the_spot": fitted.on_the_spot,
    }
    text = json.dumps(document, indent=2) + "\n"
    if out is None:
        print(text, end="")
        return
    try:
        write_text_whole(out, text)
    except CommandError:
        print(text, end="")  # keep the result
        raise
    display.note(f"wrote {out}")


def _pose_choice(
    source: Source, networks: PoseNetworks, server: str | None, display: Display
) -> tuple[PoseChoice, dict[str, str]]:
    """The backend and dancer to request, and the settings for services that start here."""
    if source.is_keypoints:
        if networks.backend is not None or networks.cards:
            raise UsageError(f"{source.name} holds poses already: --pose-backend and --pose-model are for pictures")
        return PoseChoice(), {}
    models = networks.models(server, display, dancer=source.dancer)
    return PoseChoice(models.chosen if networks.cards else networks.backend, source.dancer), models.settings


def _read_body(path: Path) -> BodyStats:
    try:
        return BodyStats.from_dict(Fields.of(read_document(path)).record("body"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{path} does not hold body stats from `dance fit`: {error}") from error
