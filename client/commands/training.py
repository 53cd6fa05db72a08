"""`dance prepare`, `dance train` and `dance evaluate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

import client.commands.jobs as jobs
import training.options as train_options
from client.commands.options import ActorsFolder
from client.errors import UsageError
from client.local_stack.actors_folder import check_folder
from client.terminal.display import Display
from client.training.evaluate import EvaluateRequest, evaluate
from client.training.prepare import prepare
from client.training.scores import score_rows
from client.training.train import train
from serving.actors.actor_id import checked_actor_id
from serving.actors.store import ActorStore
from video.reader import VideoReader

NOT_STATED: Final = "not stated"


def prepare_command(
    footage: train_options.Footage,
    preset: Annotated[
        str, typer.Option(help=f"Whose network will see it: {train_options.PRESETS}.")
    ] = train_options.DEFAULT_PRESET,
    keypoints: train_options.Keypoints = None,
    frame_rate: train_options.FrameRate = None,
    work: train_options.WorkFolder = train_options.DEFAULT_WORK,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Prepare also footage that is not worth training on.")
    ] = False,
) -> None:
    """Look at footage, say how good it is, and make of it what `dance train` reads. The same command goes on after a
    stop, `dance train` with the same footage, preset and --work goes on from there."""
    display = Display()
    report = prepare(_footage(footage, keypoints, frame_rate), preset, work, display, anyway=anyway)
    display.out.print(f"prepared {report['frames']} frames, {report['frames_with_a_person']} with a person")


def train_command(
    context: typer.Context,
    actor: train_options.ActorName,
    footage: Annotated[list[Path] | None, train_options.FOOTAGE] = None,
    consent: Annotated[
        str | None,
        typer.Option(
            "--consent",
            help="Who agreed, when, and to what; stored with the actor. A terminal is asked for it; elsewhere, without "
            f'it, "{NOT_STATED}" is stored.',
            show_default=False,
        ),
    ] = None,
    preset: train_options.PresetName = train_options.DEFAULT_PRESET,
    minutes: train_options.Minutes = None,
    keypoints: train_options.Keypoints = None,
    frame_rate: train_options.FrameRate = None,
    frames: train_options.Frames = None,
    losses: train_options.Losses = None,
    perceptual: train_options.Perceptual = None,
    adversarial: train_options.Adversarial = None,
    feature_matching: train_options.FeatureMatching = None,
    vgg_weights: train_options.VggWeights = None,
    batch: train_options.Batch = 1,
    compiled: train_options.Compiled = False,
    start_from: train_options.StartFrom = "",
    actors: ActorsFolder = train_options.DEFAULT_ACTORS,
    work: train_options.WorkFolder = train_options.DEFAULT_WORK,
    seed: train_options.Seed = 0,
    device: train_options.Device = "cpu",
    anyway: train_options.Anyway = False,
    publish_anyway: train_options.PublishAnyway = False,
    on: jobs.On = jobs.Where.HERE,
    gpus: jobs.Gpus = 1,
    nodes: jobs.Nodes = 1,
    footage_path: jobs.FootagePath = None,
    image: jobs.Image = None,
    template: jobs.Template = None,
    namespace: jobs.Namespace = jobs.DEFAULT_NAMESPACE,
    kube_context: jobs.Context = None,
    kubeconfig: jobs.Kubeconfig = None,
    detach: jobs.Detach = False,
    patience: jobs.Patience = jobs.DEFAULT_PATIENCE_SECONDS,
) -> None:
    """Train an actor from footage, and publish it. The same command goes on after a stop.

    With --on kubernetes the footage is uploaded and a Job trains; its progress and log are shown here, its exit code is
    this command's. Ctrl-C then leaves the Job alone. The options from --gpus on are for this, --actors, --work and
    --device are not; folders of --keypoints lie in the cluster's volume, as --footage-path does.
    """
    display = Display()
    checked_actor_id(actor, field="--actor")
    jobs.check_options(context, on)
    if (not footage) == (not footage_path):
        raise UsageError("footage is wanted: FOOTAGE, or with --on kubernetes --footage-path, not both")
    if keypoints and footage and on is jobs.Where.KUBERNETES:
        raise UsageError("--keypoints with --on kubernetes are folders in the cluster's volume: give --footage-path")
    request = train_options.TrainRequest(
        footage=_footage(footage or [], keypoints, frame_rate),
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
        consent=_consent(display) if consent is None else consent,
        device=device,
        footage_anyway=anyway,
        publish_anyway=publish_anyway,
    )
    if on is jobs.Where.KUBERNETES:
        access = jobs.cluster_access(namespace, kube_context, kubeconfig)
        from client.cluster.jobs import ClusterTraining, train_on_cluster

        train_on_cluster(
            ClusterTraining(
                training=request,
                access=access,
                footage_paths=tuple(footage_path or ()),
                image=image,
                gpus=gpus,
                nodes=nodes,
                template=template,
                detach=detach,
                patience_seconds=patience,
            ),
            display,
        )
        return
    done = train(request, display)
    if done is None:
        return
    published, preview = done
    display.scores(score_rows(published.scores))
    display.out.print(f"drawn beside the truth: {preview}")
    display.out.print(f"published {published.id} version {published.version} in {published.folder}")


def evaluate_command(
    actor: Annotated[str, typer.Argument(help="Whom to evaluate.")],
    footage: Annotated[
        list[Path] | None,
        typer.Option(help="Of the actor, once for every file; default: what it was trained on, if still in --work."),
    ] = None,
    source: Annotated[Path | None, typer.Option(help="A clip to transfer; with --truth.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="The film of that transfer's right answer, as `samples.make truth` draws it.")
    ] = None,
    keypoints: train_options.Keypoints = None,
    frame_rate: train_options.FrameRate = None,
    version: Annotated[int, typer.Option("--actor-version", min=0, help="0: the one that is served.")] = 0,
    lpips_weights: Annotated[
        Path | None, typer.Option(help="torchvision's AlexNet weights, alexnet-owt-7be5be79.pth; without: no LPIPS.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder; default: evaluation/ACTOR-VERSION.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an earlier evaluation in that folder.")] = False,
    actors: ActorsFolder = Path("actors"),
    work: train_options.WorkFolder = train_options.DEFAULT_WORK,
) -> None:
    """Measure an actor on footage that it was not trained on, and a transfer against its right answer."""
    display = Display()
    checked_actor_id(actor)
    check_folder(actors)
    if (source is None) != (truth is None):
        raise UsageError("--source and --truth belong together: a clip, and the film of its right transfer")
    for path in (source, truth):
        if path is not None:
            VideoReader(str(path)).close()
    number = ActorStore(actors).load(actor, version).version
    request = EvaluateRequest(
        actor=actor,
        version=number,
        actors_root=actors,
        work_root=work,
        footage=None if not footage else _footage(footage, keypoints, frame_rate),
        source=source,
        truth=truth,
        lpips_weights=lpips_weights,
        out=out or Path("evaluation") / f"{actor}-{number}",
        force=force,
    )
    for path in evaluate(request, display):
        display.out.print(f"wrote {path}")


def _footage(files: list[Path], keypoints: list[Path] | None, frame_rate: float | None) -> train_options.FootageRequest:
    """Raises UnreadableVideo for a file that is no video, before anything is imported or started."""
    for path in files:
        VideoReader(str(path)).close()
    return train_options.FootageRequest(
        files=tuple(files), keypoints=tuple(keypoints or ()), most_frames_per_second=frame_rate
    )


def _consent(display: Display) -> str:
    """Asks whoever sits there; a script that says nothing is told what is stored."""
    if sys.stdin.isatty():
        return str(typer.prompt("Who agreed, when, and to what? It is kept with the actor", err=True))
    display.note(f'consent: "{NOT_STATED}" is stored with the actor; --consent "who, when, to what" says it')
    return NOT_STATED
