"""`dance evaluate`: measure an actor, and report in tables on the screen and in files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from client.connection.server_access import ServerAccess
from client.connection.session import DanceClient
from client.connection.types import TransferOptions
from client.errors import CommandError, Interrupted, UsageError
from client.local_stack.actors_folder import check_folder
from client.local_stack.server_for_command import with_server
from client.media.frame_feed import FeedOptions, FileFeed
from client.media.source import Source
from client.terminal.display import Display
from client.terminal.output_files import check_writable, refuse_existing
from client.terminal.signals import run
from client.training.train import training_extra
from client.transfer.body_pass import fit
from client.transfer.look_ahead import look_ahead_for
from motion.frame import Picture
from provenance.credentials.actor_pictures import ActorPictures
from provenance.user_folder import own_credentials
from serving.actors.actor_id import checked_actor_id
from serving.actors.store import Actor, ActorStore
from serving.pictures.codec import decode_picture
from serving.process.atomic_files import folder_written_whole
from training.options import (
    DEFAULT_ACTORS,
    DEFAULT_WORK,
    ActorsFolder,
    Certificate,
    CertificateKey,
    FootageRequest,
    WorkFolder,
)
from video.reader import VideoReader

if TYPE_CHECKING:
    from training.evaluation.lpips import Lpips
    from training.evaluation.self_reconstruction import Evaluation

_MAX_SIDE_PX: Final = 1280
_BEST_JPEG: Final = 100
"""Measure the actor, not the compression on the way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateRequest:
    """What to evaluate, and where to write the result.

    footage: None takes the training footage, if it is still prepared in the work folder. source, truth: a clip, and the
    film of its right transfer; both or neither. With them but without footage, nothing else is evaluated.
    """

    actor: Annotated[str, typer.Argument(metavar="ACTOR", help="The actor to evaluate.")]
    footage: FootageRequest | None
    source: Annotated[Path | None, typer.Option("--source", help="A clip to transfer; needs --truth.")] = None
    truth: Annotated[
        Path | None, typer.Option("--truth", help="Video of the correct result, as `samples.make truth` draws it.")
    ] = None
    version: Annotated[
        int, typer.Option("--actor-version", min=0, help="The version to evaluate; 0: the served one.")
    ] = 0
    lpips_weights: Annotated[
        Path | None,
        typer.Option(
            "--lpips-weights", help="torchvision's AlexNet weights, alexnet-owt-7be5be79.pth; without them, no LPIPS."
        ),
    ] = None
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder; default: evaluation/ACTOR-VERSION.")] = None
    force: Annotated[bool, typer.Option("--force", help="Overwrite an earlier evaluation in that folder.")] = False
    actors_root: ActorsFolder = DEFAULT_ACTORS
    work_root: WorkFolder = DEFAULT_WORK
    certificate: Certificate = None
    certificate_key: CertificateKey = None

    @property
    def names(self) -> list[str]:
        """The names of the requested evaluations, in the order in which they are shown."""
        held_out = self.footage is not None or self.truth is None
        return ["held-out"] * held_out + ["transfer"] * (self.truth is not None)


def evaluate(request: EvaluateRequest, display: Display) -> list[Path]:
    """Show the tables, and return the files that were written.

    Raises CommandError without the training extra and where such files exist already, Interrupted, UsageError, and
    BadInput for values that do not go together.
    """
    checked_actor_id(request.actor)
    check_folder(request.actors_root)
    if (request.source is None) != (request.truth is None):
        raise UsageError("--source and --truth belong together: a clip, and the film of its right transfer")
    for path in (request.source, request.truth):
        if path is not None:
            VideoReader(str(path)).close()
    actor = ActorStore(request.actors_root).load(request.actor, request.version)
    out = request.out or Path("evaluation") / f"{actor.id}-{actor.version}"
    with training_extra():
        from serving.process.stop_signals import stop_on_signals
        from training.evaluation.lpips import open_lpips
        from training.evaluation.tables import evaluation_paths, fact_lines, footnotes, tables_of, write_evaluation
        from training.reporting.progress_display import shown
    inputs = [path for path in (request.source, request.truth) if path is not None]
    inputs += [] if request.footage is None else request.footage.files
    check_writable(out, is_folder=True)
    for name in request.names:
        refuse_existing(evaluation_paths(out, name), force=request.force, sources=inputs)
    credentials = own_credentials(request.certificate, request.certificate_key, display.note)
    pictures = ActorPictures(credentials, actor.id, actor_version=actor.version, consent_sha256=actor.consent.sha256())
    lpips, reason = open_lpips(request.lpips_weights)
    transferred = None
    if request.source is not None:
        transferred = run(
            lambda _: with_server(
                None,
                request.actors_root,
                None,
                display,
                lambda found: _transferred(request, actor, found, display),
                {"ORCHESTRATOR_WATERMARK": "false"},  # what the network draws is measured
                load_at_start=actor.id,
            )
        )
    with stop_on_signals() as should_stop:
        with shown(display.err) as showing:
            on_progress = _Progress(showing.progress, should_stop)
            evaluations = _evaluations(request, actor, transferred, lpips, on_progress, display)
        for _, evaluation in evaluations:  # before the files, so that a full disk loses no measurement
            if reason:
                evaluation.not_available["LPIPS"] = reason
            display.out.print(Text(evaluation.title, "bold"))
            for table in tables_of(evaluation):
                display.table(table.headings, table.rows, title=table.title, names=1)
            for what, why in evaluation.not_available.items():
                display.note(f"{what} is not available: {why}")
            for line in (*footnotes(evaluation), *evaluation.notes, *fact_lines(evaluation)):
                display.note(line)
        try:
            with folder_written_whole(out) as folder:
                for name, evaluation in evaluations:
                    write_evaluation(evaluation, folder, name, pictures.write)
        except OSError as error:
            raise CommandError(f"{out} cannot be written: {error.strerror or error}") from error
    return [path for name, _ in evaluations for path in evaluation_paths(out, name)]


def _evaluations(
    request: EvaluateRequest,
    actor: Actor,
    transferred: list[Picture | None] | None,
    lpips: Lpips | None,
    on_progress: _Progress,
    display: Display,
) -> list[tuple[str, Evaluation]]:
    from training.evaluation.self_reconstruction import evaluate_held_out, footage_of
    from training.evaluation.transfer import evaluate_transfer
    from training.process.work_folder import locked
    from training.settings import footage_of as requested_footage

    evaluations = []
    if "held-out" in request.names:
        footage = None if request.footage is None else requested_footage(request.footage)
        with locked(request.work_root):
            prepared = footage_of(actor, footage, request.work_root, on_progress, display.note)
        evaluations.append(("held-out", evaluate_held_out(actor, prepared, footage, lpips, on_progress)))
    if transferred is not None and request.truth is not None:
        joints = request.truth.with_suffix(".npz")
        known = joints if joints.is_file() else None
        evaluations.append(
            ("transfer", evaluate_transfer(actor, transferred, request.truth, known, lpips, on_progress))
        )
    return evaluations


class _Progress:
    """Shows the progress of a step, and stops it after a signal."""

    def __init__(self, show: Callable[..., None], should_stop: Callable[[], bool]) -> None:
        from training.reporting.progress import PhaseClock

        self._show, self._should_stop, self._clock = show, should_stop, PhaseClock()

    def __call__(self, what: str, done: int, of: int | None) -> None:
        self._show(self._clock.progress(what, done, of))
        if self._should_stop():
            raise Interrupted("evaluation stopped; what was prepared is kept")


async def _transferred(
    request: EvaluateRequest, actor: Actor, server: ServerAccess, display: Display
) -> list[Picture | None]:
    """The pictures of a whole clip, requested as `dance transfer` does; None for frames without a picture."""
    source = Source(str(request.source))
    fitted, _ = await fit(source, server, display, _MAX_SIDE_PX)
    pictures: list[Picture | None] = []
    with VideoReader(source.name) as reader, ExitStack() as closing:
        feed = FileFeed(reader.frames(), FeedOptions(max_side_px=_MAX_SIDE_PX))
        closing.callback(feed.close)
        options = TransferOptions(
            actor=actor.id,
            actor_version=actor.version,
            jpeg_quality=_BEST_JPEG,
            source_body=fitted.body,
            look_ahead_frames=look_ahead_for(reader.frame_rate_hz),
            frame_rate_hz=reader.frame_rate_hz,
        )
        with display.progress(f"dancing as {actor.id}", reader.expected_frames) as line:
            async with (
                DanceClient(server) as client,
                client.transfer(options) as session,
                aclosing(session.answers(feed)) as answers,
            ):
                async for answer in answers:
                    feed.shot_of(answer.sequence)
                    pictures.append(None if answer.picture is None else decode_picture(answer.picture))
                    line.advance()
        display.source_notes(source.name, reader.notes)
    return pictures
