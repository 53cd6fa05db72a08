"""The sub-commands of `dance` and their options."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import client.jobs_options as jobs
import training.options as train_options
from client import rollout
from client.access import ServerAccess, named_server
from client.display import Display
from client.doctor import PROCESSES, Finding, Patient, check_address, examine, parse_stages
from client.errors import CommandError, UsageError
from client.evaluate import EvaluateRequest, evaluate
from client.hosting import hosted, with_server
from client.patience import PATIENCE_SECONDS
from client.pose_commands import (
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
from client.prepare import prepare
from client.preview import display_exists
from client.recording import checked_output
from client.running import Interrupts, run
from client.scores import score_rows
from client.session import DanceClient
from client.source import Source
from client.stack import check_port_free
from client.terms import ActorListing, BodyFit, PoseBackend, PoseChoice, PoseDetail
from client.train import train
from client.transfer import CHECKPOINT_EVERY_FRAMES, TransferJob, fit, lost_warning, transfer
from client.whereabouts import health_addresses, noted
from motion.body import BodyStats
from motion.dancer_choice import DancerChoice
from motion.frame import FrameSize, Picture
from serving.actors import ActorStore
from serving.errors import ActorNotFound, ActorUnusable
from serving.names import checked_actor_id
from video.reader import VideoReader, is_endless

_SAMPLE_ACTORS: Final = Path("samples/actors")

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

ActorsFolder = Annotated[Path, typer.Option("--actors", envvar="DANCE_ACTORS", help="Folder of the actors.")]
ActorName = Annotated[str, typer.Option("--actor", help="Who shall dance.")]
Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="HOST:PORT",
        envvar="DANCE_SERVER",
        help="An orchestrator; without it one is started here.",
    ),
]
TlsCa = Annotated[
    Path | None,
    typer.Option("--tls-ca", envvar="DANCE_TLS_CA", help="PEM of who signs the server's certificate: TLS."),
]
TlsCertificate = Annotated[
    Path | None,
    typer.Option("--tls-certificate", envvar="DANCE_TLS_CERTIFICATE", help="PEM of yours, if the server asks for one."),
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", envvar="DANCE_TLS_KEY", help="PEM of that one's key.")]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", envvar="DANCE_TOKEN_FILE", help="Holds your token, if the server asks for one."),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", envvar="DANCE_INSECURE", help="Plaintext, also to a server on another machine.")
]
Logs = Annotated[Path | None, typer.Option("--logs", help="Folder for the processes' logs; default: a new one.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")]
MaxSide = Annotated[int, typer.Option("--max-side", min=64, help="Larger frames are shrunk before they are sent.")]


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
    _check_folder(actors)
    models = asked_models(pose_backend, pose_model, None, display, dancer=DancerChoice())
    settings = models.settings
    if pose_backend is not None:
        settings |= {"ORCHESTRATOR_POSE_BACKEND": pose_backend.value, "POSE_BACKEND": pose_backend.value}

    known = ", ".join(ActorStore(actors).ids()) or "none yet"

    async def serve(interrupts: Interrupts) -> None:
        async with hosted(actors, logs, display, port=port, settings=settings) as stack:
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
            help="A video file or a folder of OpenPose's keypoints; with --live a camera (0, /dev/video0) or address."
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
        raise UsageError(f"{source} is a folder of keypoints: --live is for cameras, streams and videos")
    shown.check()  # what is wrong with it is told before anything is started
    if out is not None:
        checked_output(out, source, force=force)
    pose, settings = _pose_choice(shown, pose_backend, pose_model, server, display)
    plate = None
    if not server:
        plate = partial(_plate, actors, actor, full_frame=full_frame)
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
            access, actors, logs, display, lambda found: transfer(job, found, display, interrupts), settings
        )
    )
    display.report(report)
    if out is not None:
        display.out.print(f"wrote {out}")


@app.command("prepare")
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


@app.command("train")
def train_command(
    context: typer.Context,
    actor: train_options.ActorName,
    consent: train_options.Consent,
    footage: Annotated[list[Path] | None, train_options.FOOTAGE] = None,
    preset: train_options.PresetName = train_options.DEFAULT_PRESET,
    minutes: train_options.Minutes = None,
    keypoints: train_options.Keypoints = None,
    frame_rate: train_options.FrameRate = None,
    frames: train_options.Frames = None,
    losses: train_options.Losses = None,
    perceptual: train_options.Perceptual = None,
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
    if on is jobs.Where.KUBERNETES:
        access = jobs.cluster_access(namespace, kube_context, kubeconfig)
        from client.jobs import ClusterTraining, train_on_cluster

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


@app.command("evaluate")
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
    actors: ActorsFolder = Path("actors"),
    work: train_options.WorkFolder = train_options.DEFAULT_WORK,
) -> None:
    """Measure an actor on footage that it was not trained on, and a transfer against its right answer."""
    display = Display()
    checked_actor_id(actor)
    _check_folder(actors)
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
    )
    for path in evaluate(request, display):
        display.out.print(f"wrote {path}")


@app.command("fit")
def fit_command(
    source: Annotated[str, typer.Argument(help="A video file, or a folder of OpenPose's keypoints.")],
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
    shown.check()
    if out is not None and out.exists() and not force:
        raise CommandError(f"{out} exists already; --force overwrites it")
    pose, settings = _pose_choice(shown, pose_backend, pose_model, server, display)
    fitted, lost_frames = run(
        lambda _: with_server(
            access, actors, logs, display, lambda found: fit(shown, found, display, max_side, pose), settings
        )
    )
    if lost_frames:
        display.warn(lost_warning(shown, lost_frames))
    text = json.dumps(_body_document(fitted), indent=2) + "\n"
    if out is None:
        print(text, end="")
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_name(f".{out.name}.part")
        part.write_text(text)
        part.replace(out)
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from error
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

    found = run(lambda _: listed(access)) if access else _actors_here(actors)
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


def _footage(files: list[Path], keypoints: list[Path] | None, frame_rate: float | None) -> train_options.FootageRequest:
    """Raises UnreadableVideo for a file that is no video, before anything is imported or started."""
    for path in files:
        VideoReader(str(path)).close()
    return train_options.FootageRequest(
        files=tuple(files), keypoints=tuple(keypoints or ()), most_frames_per_second=frame_rate
    )


app.command("pose")(pose_command)
app.command("evaluate-pose")(evaluate_pose_command)


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


def _actors_here(folder: Path) -> list[ActorListing]:
    _check_folder(folder)
    store = ActorStore(folder)
    return [
        _listing(store, actor_id, number) for actor_id in store.ids() for number in reversed(store.versions(actor_id))
    ]


def _listing(store: ActorStore, actor_id: str, number: int) -> ActorListing:
    percent = 0.0
    try:
        percent = store.served(actor_id).percent(number)
        actor = store.load(actor_id, number)
    except (ActorUnusable, ActorNotFound) as error:
        return ActorListing(actor_id, number, None, None, "", 0, str(error), percent)
    return ActorListing(
        actor_id,
        number,
        FrameSize(actor.stage.out_width_px, actor.stage.out_height_px),
        actor.frame_size,
        actor.preset,
        actor.label_map_version,
        "",
        percent,
    )


def _plate(folder: Path, actor: str, actor_version: int, *, full_frame: bool) -> Picture:
    """The actor's picture with nobody in it, as answers show it. Raises ActorNotFound and ActorUnusable."""
    _check_folder(folder)
    loaded = ActorStore(folder).load(actor, actor_version)
    plate = loaded.read_plate()
    return plate if full_frame else loaded.stage.crop(plate)


def _check_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    ways = "`dance train` makes one, --actors names another"
    if _SAMPLE_ACTORS.is_dir():  # the user stands in a checkout
        ways += f": try --actors {_SAMPLE_ACTORS}"
    raise CommandError(f"there is no actors' folder {folder}; {ways}")


def _read_body(path: Path) -> BodyStats:
    try:
        return BodyStats.from_dict(json.loads(path.read_text())["body"])
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} holds no body stats as `dance fit` writes them: {error}") from error


def _body_document(fitted: BodyFit) -> dict[str, Any]:
    return {
        "body": fitted.body.to_dict(),
        "frames": fitted.frames,
        "frames_with_person": fitted.frames_with_person,
        "on_the_spot": fitted.on_the_spot,
    }
