"""`dance transfer` and `dance fit`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import (
    DEFAULT_ACTORS,
    ActorsFolder,
    Credentials,
    Force,
    Logs,
    PoseNetworks,
    Server,
    SourceFacts,
    SourceFile,
)
from client.connection.types import PoseChoice
from client.errors import CommandError, UsageError
from client.local_stack.actors_folder import has_wardrobe, plate_of
from client.local_stack.server_for_command import with_server
from client.media.background import chosen_background
from client.media.frame_folder import check_frame_folder
from client.media.source import Source
from client.media.video_writer import check_video_output
from client.terminal.display import Display
from client.terminal.output_files import refuse_existing, write_text_whole
from client.terminal.signals import run
from client.transfer.job import MaxSide, TransferJob
from client.transfer.preview_window import display_exists
from client.transfer.report import show_report
from client.transfer.run import cannot_leave_place, fit, lost_warning, transfer
from motion.body import BodyStats
from motion.documents import Fields, read_document
from serving.actors.actor_id import checked_actor_id
from serving.process.option_groups import option_groups
from video.opening import is_endless


@option_groups
def transfer_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A video file, or OpenPose's keypoints in a folder or a .json list; with --live a camera (0, "
            "/dev/video0) or address.",
        ),
    ],
    *,
    job: Callable[..., TransferJob],
    body: Annotated[Path | None, typer.Option(help="Body stats of the source, from `dance fit`.")] = None,
    background: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="Lay the dancer over a picture (JPEG, PNG), a video (it repeats), green, #RRGGBB or transparent; "
            "default: the actor's own place. For actors with a wardrobe.",
        ),
    ] = None,
    networks: PoseNetworks,
    facts: SourceFacts,
    server: Server = None,
    credentials: Credentials,
    actors: ActorsFolder = DEFAULT_ACTORS,
    logs: Logs = None,
) -> None:
    """Make the actor dance what SOURCE dances."""
    display = Display()
    shown = facts.source(source)
    asked = job(source=shown, body=None, background=chosen_background(background))
    actor, out = asked.actor, asked.out
    checked_actor_id(actor, field="--actor")
    access = credentials.access(server)
    if is_endless(source) and not asked.live:
        raise UsageError(f"{source} is a camera or a stream: that needs --live")
    if asked.live and asked.look_ahead_frames:
        raise UsageError("--live cannot look ahead")
    if out is None and not asked.live:
        out = Path(f"{Path(source).stem}.{actor}{'.webm' if asked.keeps_opacity else '.mp4'}")
        asked = replace(asked, out=out)
    if asked.live and out is None and not display_exists():
        raise CommandError("there is no display for a preview; -o FILE records the live session")
    if shown.is_keypoints and asked.live:
        raise UsageError(f"{source} is keypoints: --live is for cameras, streams and videos")
    for remark in shown.check():  # report problems of the source before anything starts
        display.note(remark)
    if out is not None:
        if asked.writes_frames:
            check_frame_folder(out)
        else:
            check_video_output(out, source, force=asked.replace_out, keeps_opacity=asked.keeps_opacity)
    pose, settings = _pose_choice(shown, networks, server, display)
    plate = None
    if not server:
        plate = partial(plate_of, actors, actor, full_frame=asked.full_frame)
        plate(asked.actor_version)  # report problems of the actor before anything starts
        if not asked.background.for_server.is_own_place and not has_wardrobe(actors, actor, asked.actor_version):
            raise cannot_leave_place(actor)
    asked = replace(asked, out=out, body=None if body is None else _read_body(body), pose=pose, plate=plate)
    report = run(
        lambda interrupts: with_server(
            access, actors, logs, display, lambda found: transfer(asked, found, display, interrupts), settings, actor
        )
    )
    show_report(report, display)
    display.source_notes(source, report.notes)
    if out is not None:
        display.out.print(f"wrote {out}")


@option_groups
def fit_command(
    source: SourceFile,
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
    """Measure the body in SOURCE: its size and place. How tall it looks and where it stands, near and far."""
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
