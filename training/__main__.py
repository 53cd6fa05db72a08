"""`python -m training`: trains one actor as a batch job does, with `dance train`'s options.

Exit codes: 0 published; 42 no retry mends it; 75 interrupted, in its first second too, the same command goes on; 1
anything else.
"""

from __future__ import annotations

if __name__ == "__main__":  # ahead of the imports, in which a signal would end in a traceback
    from serving.process.entry import begin

    begin(75)  # EXIT_INTERRUPTED, whose module takes time to import

import sys
import traceback
from collections.abc import Callable, Sequence

import typer
from rich.console import Console
from rich.text import Text

from serving.actors.actor_id import checked_actor_id
from serving.errors import DanceError
from serving.process.entry import ending, started
from serving.process.exit_codes import EXIT_FAILED, EXIT_FINAL, EXIT_INTERRUPTED, EXIT_PUBLISHED, exit_code_of
from training.options import (
    DEFAULT_ACTORS,
    DEFAULT_PRESET,
    DEFAULT_WORK,
    ActorName,
    ActorsFolder,
    Adversarial,
    Anyway,
    Batch,
    Compiled,
    Consent,
    Device,
    FeatureMatching,
    Footage,
    FootageRequest,
    FrameRate,
    Frames,
    Keypoints,
    Losses,
    Minutes,
    Perceptual,
    PresetName,
    PublishAnyway,
    Seed,
    StartFrom,
    TrainRequest,
    VggWeights,
    WorkFolder,
)
from training.process.stop_signals import stop_on_signals
from training.reporting.progress_display import shown

app = typer.Typer(name="training", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def training(
    footage: Footage,
    actor: ActorName,
    consent: Consent,
    preset: PresetName = DEFAULT_PRESET,
    minutes: Minutes = None,
    keypoints: Keypoints = None,
    frame_rate: FrameRate = None,
    frames: Frames = None,
    losses: Losses = None,
    perceptual: Perceptual = None,
    adversarial: Adversarial = None,
    feature_matching: FeatureMatching = None,
    vgg_weights: VggWeights = None,
    batch: Batch = 1,
    compiled: Compiled = False,
    start_from: StartFrom = "",
    actors: ActorsFolder = DEFAULT_ACTORS,
    work: WorkFolder = DEFAULT_WORK,
    seed: Seed = 0,
    device: Device = "cpu",
    anyway: Anyway = False,
    publish_anyway: PublishAnyway = False,
) -> int:
    """Train an actor from footage, and publish it. The same command goes on after a stop.

    Exit codes: 0 published; 42 the options or the footage are at fault, and no retry mends it; 75 interrupted by
    SIGTERM or SIGINT after a checkpoint; 1 anything else.
    """
    checked_actor_id(actor, field="--actor")
    request = TrainRequest(
        footage=FootageRequest(
            files=tuple(footage), keypoints=tuple(keypoints or ()), most_frames_per_second=frame_rate
        ),
        actor=actor,
        preset=preset,
        minutes=minutes,
        frames=frames,
        losses=losses,
        perceptual=perceptual,
        adversarial=adversarial,
        feature_matching=feature_matching,
        vgg_weights=vgg_weights,
        batch=batch,
        compiled=compiled,
        start_from=start_from,
        actors_root=actors,
        work_root=work,
        seed=seed,
        consent=consent,
        device=device,
        footage_anyway=anyway,
        publish_anyway=publish_anyway,
    )
    # From here on: importing torch takes seconds, and the first process of a container that has no handler ignores
    # SIGTERM.
    with stop_on_signals() as should_stop:
        return _trained(request, should_stop)


def _trained(request: TrainRequest, should_stop: Callable[[], bool]) -> int:
    from training.job import train_actor
    from training.loop.trainer import TrainingStopped
    from training.process.distributed import is_first_process
    from training.request import settings_for

    # Several processes that train together say the same: the first one speaks.
    console = Console(highlight=False, soft_wrap=True, quiet=not is_first_process())
    settings = settings_for(request)
    try:
        with shown(console) as showing:
            showing.say(f"pictures of the growing actor: {settings.work_folder / 'preview.png'}")
            published = train_actor(settings, showing.progress, should_stop)
    except TrainingStopped as stopped:
        console.print(Text(f"interrupted: {stopped}; the same command goes on"))
        return EXIT_INTERRUPTED
    console.print(Text(f"published {published.id} version {published.version} in {published.folder}"))
    return EXIT_PUBLISHED


def run(arguments: Sequence[str]) -> int:
    """The exit code of `python -m training` with `arguments`. What went wrong is said on stderr."""
    try:
        code = app(args=list(arguments), prog_name="python -m training", standalone_mode=False)
        return code if isinstance(code, int) else EXIT_PUBLISHED
    except DanceError as error:
        return _told(str(error), exit_code_of(error))
    except (KeyboardInterrupt, typer.Abort):
        return _told("interrupted twice; the last checkpoint stands", EXIT_FAILED)
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is not None:  # typer's own errors: its class for them has moved between releases
            return _told(usage(), EXIT_FINAL)
        traceback.print_exc()  # a log is all that is left of a pod
        return _told(f"{type(error).__name__}: {error}", EXIT_FAILED)


def _told(message: str, code: int) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    started()
    exit_code = run(sys.argv[1:])
    ending()
    sys.exit(exit_code)
