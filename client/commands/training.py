"""`dance prepare`, `dance train` and `dance evaluate`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import typer

from client.cluster.options import ClusterAccess, ClusterTraining
from client.commands.jobs import cluster_client
from client.errors import UsageError
from client.terminal.display import Display
from client.training.evaluate import EvaluateRequest, evaluate
from client.training.scores import show_scores
from client.training.train import prepare, train
from serving.actors.consent import NOT_STATED, ConsentRecord, parsed_date
from serving.actors.rollout_cli import published_line
from serving.process.option_groups import option_groups, option_hints
from training.consent_options import WITHOUT_CONSENT
from training.options import DEFAULT_PRESET, DEFAULT_WORK, FOOTAGE, PRESETS, FootageRequest, TrainRequest, WorkFolder
from video.reader import VideoReader

_TO_BE_ASKED: Final = "to be asked for"
_WHAT_A_WARDROBE_NEEDS: Final = ("sides", "back", "arms", "hand shapes", "feet")


class Where(Enum):
    """Where a training runs."""

    HERE = "here"
    KUBERNETES = "kubernetes"


_ONLY_HERE: Final = ("store_root", "work_root", "device", "certificate", "certificate_key")
_ONLY_ON_A_CLUSTER: Final = (*option_hints(ClusterTraining), *option_hints(ClusterAccess))


@option_groups
def prepare_command(
    footage: FootageRequest,
    *,
    preset: Annotated[str, typer.Option(help=f"The preset to prepare for: {PRESETS}.")] = DEFAULT_PRESET,
    work: WorkFolder = DEFAULT_WORK,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Prepare even footage that is not worth training on.")
    ] = False,
) -> None:
    """Prepare footage for a training. Reports how good it is. After a stop, the same command continues;
    `dance train` with the same footage, preset and --work continues from there."""
    display = Display()
    _check_videos(footage.files)
    report = prepare(footage, preset, work, display, anyway=anyway)
    display.out.print(f"prepared {report['frames']} frames, {report['frames_with_a_person']} with a person")
    for finding in report["findings"]:
        if finding["what"] in _WHAT_A_WARDROBE_NEEDS:
            display.out.print(f"{finding['what']}: {finding['measured']}")


@option_groups
def train_command(
    invocation: typer.Context,
    *,
    files: Annotated[list[Path], FOOTAGE] = [],  # noqa: B006  typer copies it
    consent: Annotated[
        str | None,
        typer.Option(
            "--consent",
            metavar="WORDS|FILE.json",
            help="Who agreed, when, and to what, or a file with the record; stored with the actor. A terminal asks for "
            f'it; elsewhere it is required. "{NOT_STATED}" makes an actor that only this machine can dance.',
            show_default=False,
        ),
    ] = None,
    training: Callable[..., TrainRequest],
    footage: Callable[..., FootageRequest],
    on: Annotated[Where, typer.Option("--on", help="Where to train; kubernetes creates a Job.")] = Where.HERE,
    cluster: Callable[..., ClusterTraining],
    access: ClusterAccess,
) -> None:
    """Train an actor from footage, and publish it. After a stop, the same command continues.

    With --on kubernetes, the footage is uploaded and a Job trains. Its progress and log appear here, and its exit code
    becomes this command's. Ctrl-C does not stop the Job. The options from --gpus on apply only there; --actors, --work
    and --device do not. Folders for --keypoints must be in the cluster's volume, so they need --footage-path.
    """
    display = Display()
    _check_place(invocation, on)
    if bool(files) == bool(invocation.params["footage_path"]):
        raise UsageError("footage is required: either FOOTAGE, or --footage-path with --on kubernetes")
    requested = footage(files=files)
    if requested.keypoints and files and on is Where.KUBERNETES:
        raise UsageError("--keypoints with --on kubernetes are folders in the cluster's volume: give --footage-path")
    _check_videos(files)
    request = training(footage=requested, consent=_TO_BE_ASKED if consent is None else consent)
    if consent is None:  # asked for once the other options are known to be valid
        request = _with_consent(request)
    record = request.consent_record
    if not record.is_stated:
        display.note(WITHOUT_CONSENT)
    if on is Where.KUBERNETES:
        with cluster_client():
            from client.cluster.jobs import train_on_cluster
        request = replace(request, consent_by=record.recorded_by)  # a pod does not know whose command this is
        train_on_cluster(cluster(training=request, access=access), display)
        return
    done = train(request, display)
    if done is None:
        return
    published, preview = done
    show_scores(published.scores, display)
    display.out.print(f"drawn beside the truth: {preview}")
    display.out.print(published_line(published))


@option_groups
def evaluate_command(
    *,
    files: Annotated[
        list[Path],
        typer.Option(
            "--footage",
            metavar="FILE",
            help="Footage of the actor; repeat it for each file. Default: the training footage, if still in --work.",
        ),
    ] = [],  # noqa: B006  typer copies it
    evaluation: Callable[..., EvaluateRequest],
    footage: Callable[..., FootageRequest],
) -> None:
    """Measure an actor on footage that it was not trained on. --truth compares a transfer with its correct result."""
    display = Display()
    _check_videos(files)
    for path in evaluate(evaluation(footage=footage(files=files) if files else None), display):
        display.out.print(f"wrote {path}")


def _check_place(invocation: typer.Context, on: Where) -> None:
    """Raises UsageError for an option on the command line that does not apply where the training runs."""
    names = _ONLY_HERE if on is Where.KUBERNETES else _ONLY_ON_A_CLUSTER
    for parameter in invocation.command.params:
        source = None if parameter.name is None else invocation.get_parameter_source(parameter.name)
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            applies = "does not apply with" if on is Where.KUBERNETES else "needs"
            raise UsageError(f"{parameter.opts[0]} {applies} --on kubernetes")


def _check_videos(files: list[Path]) -> None:
    """Raises UnreadableVideo for a file that is not a video, before anything slow is imported or started."""
    for path in files:
        VideoReader(str(path)).close()


def _with_consent(request: TrainRequest) -> TrainRequest:
    """Ask the person at the terminal for what the options leave out. Raises UsageError without a terminal."""
    if not sys.stdin.isatty():
        raise UsageError(
            '--consent is required: --consent "who, when, to what", or --consent FILE.json with the record; '
            f'--consent "{NOT_STATED}" makes an actor that only this machine can dance'
        )
    who = str(
        typer.prompt("The actor contains pictures of the person, cut from the footage. Who agreed to it", err=True)
    )
    words = str(typer.prompt("To what, in a few words", err=True))
    until = request.consent_until or _date_asked()
    return replace(request, consent=ConsentRecord(who=who, words=words).canonical_json(), consent_until=until)


def _date_asked() -> str:
    while True:
        until = str(typer.prompt("Until when, such as 2027-12-31 (empty: no end)", "", show_default=False, err=True))
        try:
            return until and str(parsed_date(until))
        except ValueError as error:
            typer.echo(f"{error}", err=True)
