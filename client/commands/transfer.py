"""`dance transfer` and `dance fit`."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.commands.options import (
    DEFAULT_ACTORS,
    ActorsFolder,
    Credentials,
    Force,
    Logs,
    PoseNetworks,
    PosePlace,
    Server,
    SourceFacts,
    SourceFile,
    WherePoses,
)
from client.connection.types import PoseChoice
from client.errors import CommandError, UsageError
from client.local_stack.actors_folder import has_wardrobe, plate_of, sizes_of
from client.local_stack.server_for_command import with_server
from client.media.background import chosen_background
from client.media.frame_folder import check_frame_folder
from client.media.signing import Signing
from client.media.source import Source
from client.media.video_writer import check_video_output
from client.poses.dancer_estimator import DancerEstimator, check_served, opened_backends
from client.poses.posed_feed import StartEstimator
from client.screens.options import ScreenOptions
from client.screens.preview_window import display_exists
from client.terminal.display import Display
from client.terminal.output_files import refuse_existing, write_text_whole
from client.terminal.signals import run
from client.transfer.body_pass import fit
from client.transfer.job import MaxSide, TransferJob
from client.transfer.report import lost_warning, show_report
from client.transfer.run import cannot_leave_place, transfer
from client.transfer.rungs import chosen_size
from motion.body import BodyStats
from motion.documents import Fields, read_document
from motion.people.dancer_choice import DancerChoice
from motion.pose_choice import PoseBackend, PoseDetail
from provenance.label import checked_label
from serving.actors.actor_id import checked_actor_id
from serving.process.option_groups import option_groups
from video.opening import is_endless

if TYPE_CHECKING:
    from services.pose.backends import Backends


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
    pose: WherePoses = PosePlace.SERVER,
    facts: SourceFacts,
    screens: ScreenOptions,
    signing: Signing,
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
    if asked.size_px is not None and not asked.live:
        raise UsageError("--size is for sessions with --live: others are drawn at the actor's own size")
    if out is None and not asked.live:
        out = Path(f"{Path(source).stem}.{actor}{'.webm' if asked.keeps_opacity else '.mp4'}")
        asked = replace(asked, out=out)
    if screens.names and not asked.live:
        raise UsageError(f"{screens.names[0]} is for sessions with --live")
    if asked.live and out is None and not screens.names and not display_exists():
        raise CommandError(
            "there is no display for a preview; -o FILE records the live session, --mjpeg and --virtual-camera show it "
            "to other programs"
        )
    if shown.is_keypoints and asked.live:
        raise UsageError(f"{source} is keypoints: --live is for cameras, streams and videos")
    for remark in shown.check():  # report problems of the source before anything starts
        display.note(remark)
    if out is not None:
        if asked.writes_frames:
            check_frame_folder(out)
        else:
            check_video_output(out, source, force=asked.replace_out, keeps_opacity=asked.keeps_opacity)
    _check_label(asked.label)
    if out is not None:
        asked = replace(asked, credentials=signing.credentials(display))
    poses = _poses(shown, networks, pose, server, display)
    plate = None
    if not server:
        plate = partial(plate_of, actors, actor, full_frame=asked.full_frame)
        plate(asked.actor_version)  # report problems of the actor before anything starts
        chosen_size(actor, sizes_of(actors, actor, asked.actor_version), asked.size_px)
        if not asked.background.for_server.is_own_place and not has_wardrobe(actors, actor, asked.actor_version):
            raise cannot_leave_place(actor)
    asked = replace(asked, out=out, body=None if body is None else _read_body(body), plate=plate)
    asked = replace(asked, pose=poses.choice, estimator=poses.estimator)
    with ExitStack() as closing:
        ready = replace(asked, screens=screens.opened(closing, display))
        report = run(
            lambda interrupts: with_server(
                access,
                actors,
                logs,
                display,
                lambda found: transfer(ready, found, display, interrupts),
                poses.settings,
                actor,
            )
        )
    show_report(report, display)
    display.source_notes(source, report.notes)
    if out is not None:
        display.out.print(f"wrote {out}")
    if report.sidecar is not None:
        display.out.print(f"wrote {report.sidecar}: Content Credentials, which {out} itself cannot hold; keep both")


def _check_label(label: str | None) -> None:
    if label is not None:
        try:
            checked_label(label)
        except ValueError as error:
            raise UsageError(f"--label: {error}") from error


@option_groups
def fit_command(
    source: SourceFile,
    *,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A JSON file for `dance transfer --body`.")] = None,
    server: Server = None,
    credentials: Credentials,
    actors: ActorsFolder = DEFAULT_ACTORS,
    networks: PoseNetworks,
    pose: WherePoses = PosePlace.SERVER,
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
    poses = _poses(shown, networks, pose, server, display)
    on_notes = partial(display.source_notes, source)
    fitted, lost_frames = run(
        lambda _: with_server(
            access,
            actors,
            logs,
            display,
            lambda found: fit(
                shown, found, display, max_side, poses.choice, on_notes=on_notes, estimator=poses.estimator
            ),
            poses.settings,
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


@dataclass(frozen=True, slots=True)
class _Poses:
    """Who finds the poses. choice: the server's backend and dancer. settings: for services that start here."""

    choice: PoseChoice = field(default_factory=PoseChoice)
    estimator: StartEstimator | None = None
    settings: dict[str, str] = field(default_factory=dict)


def _poses(source: Source, networks: PoseNetworks, place: PosePlace, server: str | None, display: Display) -> _Poses:
    """Raises UsageError, BadSettings, and CommandError without the extra [pose]."""
    if source.is_keypoints:
        if networks.backend is not None or networks.cards or place is PosePlace.HERE:
            raise UsageError(
                f"{source.name} holds poses already: --pose, --pose-backend and --pose-model are for pictures"
            )
        return _Poses()
    if place is PosePlace.HERE:
        models = networks.models(None, display, dancer=source.dancer)
        backends = opened_backends(models.cards)
        check_served(backends, models.chosen)
        return _Poses(estimator=partial(_estimator, backends, models.chosen, source.dancer))
    models = networks.models(server, display, dancer=source.dancer)
    choice = PoseChoice(models.chosen if networks.cards else networks.backend, source.dancer)
    return _Poses(choice, settings=models.settings)


def _estimator(backends: Backends, backend: PoseBackend, dancer: DancerChoice, detail: PoseDetail) -> DancerEstimator:
    return DancerEstimator(backends, backend, detail, dancer)


def _read_body(path: Path) -> BodyStats:
    try:
        return BodyStats.from_dict(Fields.of(read_document(path)).record("body"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{path} does not hold body stats from `dance fit`: {error}") from error
