"""`dance evaluate`: how good an actor is, as tables on the screen and files for others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from client.connection.server_access import ServerAccess
from client.connection.session import DanceClient
from client.connection.types import TransferOptions
from client.errors import CommandError, Interrupted
from client.local_stack.server_for_command import with_server
from client.media.frame_feed import FeedOptions, FileFeed
from client.media.source import Source
from client.terminal.display import Display
from client.terminal.output_files import check_writable, refuse_existing
from client.terminal.signals import run
from client.training.train import training_extra
from client.transfer.run import fit, look_ahead_for
from motion.frame import Picture
from serving.actors.store import Actor, ActorStore
from serving.pictures.codec import decode_picture
from serving.process.atomic_files import folder_written_whole
from training.options import FootageRequest
from video.reader import VideoReader

if TYPE_CHECKING:
    from training.evaluation.lpips import Lpips
    from training.evaluation.self_reconstruction import Evaluation

_MAX_SIDE_PX: Final = 1280
_BEST_JPEG: Final = 100
"""What is measured should be the actor, and not the compression on its way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateRequest:
    """What `dance evaluate` was asked for.

    footage: None takes what the actor was trained on, where that is still prepared in the work folder. source, truth:
    a clip, and the film of its right transfer; both or none; without footage nothing else is then evaluated.
    force: what an earlier evaluation left in `out` is overwritten.
    """

    actor: str
    version: int
    actors_root: Path
    work_root: Path
    footage: FootageRequest | None
    source: Path | None
    truth: Path | None
    lpips_weights: Path | None
    out: Path
    force: bool = False

    @property
    def names(self) -> list[str]:
        """Of the evaluations that follow from it, in the order in which they are shown."""
        held_out = self.footage is not None or self.truth is None
        return ["held-out"] * held_out + ["transfer"] * (self.truth is not None)


def evaluate(request: EvaluateRequest, display: Display) -> list[Path]:
    """Shows the tables and returns the files that were written.

    Raises CommandError without the training extra and where `out` holds such files already, Interrupted, and BadInput
    for what does not belong together.
    """
    actor = ActorStore(request.actors_root).load(request.actor, request.version)
    with training_extra():
        from training.evaluation.lpips import open_lpips
        from training.evaluation.tables import evaluation_paths, fact_lines, footnotes, tables_of, write_evaluation
        from training.process.stop_signals import stop_on_signals
        from training.reporting.progress_display import shown
    inputs = [path for path in (request.source, request.truth) if path is not None]
    inputs += [] if request.footage is None else request.footage.files
    check_writable(request.out, is_folder=True)
    for name in request.names:
        refuse_existing(evaluation_paths(request.out, name), force=request.force, sources=inputs)
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
                load_at_start=actor.id,
            )
        )
    with stop_on_signals() as should_stop:
        with shown(display.err) as showing:
            told = _Told(showing.progress, should_stop)
            evaluations = _evaluations(request, actor, transferred, lpips, told, display)
        for _, evaluation in evaluations:  # ahead of the files: a full disk then loses no measurement
            if reason:
                evaluation.not_available["LPIPS"] = reason
            display.tables(evaluation.title, [(t.title, t.headings, t.rows) for t in tables_of(evaluation)])
            for what, why in evaluation.not_available.items():
                display.note(f"{what} is not available: {why}")
            for line in (*footnotes(evaluation), *evaluation.notes, *fact_lines(evaluation)):
                display.note(line)
        try:
            with folder_written_whole(request.out) as folder:
                for name, evaluation in evaluations:
                    write_evaluation(evaluation, folder, name)
        except OSError as error:
            raise CommandError(f"{request.out} cannot be written: {error.strerror or error}") from error
    return [path for name, _ in evaluations for path in evaluation_paths(request.out, name)]


def _evaluations(
    request: EvaluateRequest,
    actor: Actor,
    transferred: list[Picture | None] | None,
    lpips: Lpips | None,
    told: _Told,
    display: Display,
) -> list[tuple[str, Evaluation]]:
    from training.evaluation.self_reconstruction import evaluate_held_out, footage_of
    from training.evaluation.transfer import evaluate_transfer
    from training.process.work_folder import locked
    from training.request import footage_of as asked_footage

    evaluations = []
    if "held-out" in request.names:
        footage = None if request.footage is None else asked_footage(request.footage)
        with locked(request.work_root):
            prepared = footage_of(actor, footage, request.work_root, told, display.note)
        evaluations.append(("held-out", evaluate_held_out(actor, prepared, footage, lpips, told)))
    if transferred is not None and request.truth is not None:
        joints = request.truth.with_suffix(".npz")
        known = joints if joints.is_file() else None
        evaluations.append(("transfer", evaluate_transfer(actor, transferred, request.truth, known, lpips, told)))
    return evaluations


class _Told:
    """Shows how far a step is, and ends it when a signal asked for it."""

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
    """The pictures of a whole clip, as `dance transfer` asks for them; None where there is none."""
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
