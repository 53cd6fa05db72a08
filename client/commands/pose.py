"""`dance pose` and `dance evaluate-pose`, and the options about poses that other sub-commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import Force
from client.errors import CommandError, UsageError
from client.media.keypoints_source import GivenFacts, parsed_rate, parsed_size
from client.media.source import Source
from client.media.video_writer import checked_output
from client.poses.compare_backends import EvaluationJob, evaluate, markdown_of, parsed_backends, table_of
from client.poses.extract import PoseJob, find_poses
from client.poses.local_estimation import LookRequest, PoseModels, pose_models
from client.terminal.display import Display
from client.terminal.output_files import check_writable, refuse_existing, write_text_whole
from motion.people.dancer_choice import DancerChoice, DancerRule
from motion.pose_choice import PoseBackend, PoseDetail
from training.process.stop_signals import stop_on_signals
from video.opening import is_endless

PoseBackendName = Annotated[
    PoseBackend | None,
    typer.Option("--pose-backend", help="Who finds the joints; openpose and rtmpose find several people."),
]
PoseModel = Annotated[
    list[Path],
    typer.Option("--pose-model", metavar="CARD", help="The model card of a network for openpose or rtmpose."),
]
Dancer = Annotated[
    str,
    typer.Option(
        "--dancer",
        metavar="RULE",
        help="Which of several people: largest, centre, nearest=X,Y (fractions of the frame) or id=N.",
    ),
]
FrameSizeOption = Annotated[
    str | None,
    typer.Option("--frame-size", metavar="WxH", help="For keypoints: how large their frames were, if they do not say."),
]
FrameRateOption = Annotated[
    str | None,
    typer.Option("--frame-rate", metavar="HZ", help="For keypoints: frames a second, if they do not say."),
]


def dancer_choice(text: str) -> DancerChoice:
    """Raises UsageError."""
    try:
        return DancerChoice.parsed(text)
    except ValueError as error:
        raise UsageError(f"--dancer: {error}") from error


def given_source(name: str, dancer: DancerChoice, frame_size: str | None, frame_rate: str | None) -> Source:
    """The user's source. Raises UsageError."""
    given = GivenFacts(
        None if frame_size is None else parsed_size(frame_size), None if frame_rate is None else parsed_rate(frame_rate)
    )
    return Source(name, given, dancer)


def asked_models(
    backend: PoseBackend | None, cards: list[Path], server: str | None, display: Display, *, dancer: DancerChoice
) -> PoseModels:
    """What was said about networks, and which licence is accepted by it. Raises UsageError, BadSettings."""
    if cards and server is not None:
        raise UsageError(f"--pose-model is for services that are started here; {server} has its own networks")
    models = pose_models(backend, cards)
    if server is None and backend in (PoseBackend.OPENPOSE, PoseBackend.RTMPOSE) and not cards:
        raise UsageError(f"--pose-backend {backend.value} needs --pose-model, the model card of its network")
    if server is None and dancer.rule is not DancerRule.LARGEST and models.chosen is PoseBackend.MEDIAPIPE:
        raise UsageError("--dancer: mediapipe finds one person; --pose-backend openpose or rtmpose finds several")
    for notice in models.notices:
        display.note(notice)
    return models


def pose_command(
    source: Annotated[str, typer.Argument(help="A video file, or OpenPose's keypoints: a folder, or a .json list.")],
    json: Annotated[
        Path | None, typer.Option("--json", metavar="DIR", help="Write OpenPose's JSON there, a file for each frame.")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option("--overlay", metavar="VIDEO", help="Write the frames with everybody drawn on them.")
    ] = None,
    pose_backend: PoseBackendName = None,
    pose_model: PoseModel = [],  # noqa: B006  typer copies it
    dancer: Dancer = "largest",
    detail: Annotated[PoseDetail, typer.Option(help="What is looked at.")] = PoseDetail.HOLISTIC,
    frame_size: FrameSizeOption = None,
    frame_rate: FrameRateOption = None,
    max_side: Annotated[int, typer.Option("--max-side", min=64, help="Larger frames are shrunk first.")] = 1280,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing outputs.")] = False,
) -> None:
    """Find the people in SOURCE, and write their joints, an overlay video, or both."""
    display = Display()
    if json is None and overlay is None:
        raise UsageError("nothing to write: --json DIR, --overlay VIDEO, or both")
    if is_endless(source):
        raise UsageError(f"{source} is a camera or a stream: a whole clip is needed")
    choice = dancer_choice(dancer)
    shown = given_source(source, choice, frame_size, frame_rate)
    for remark in shown.check():
        display.note(remark)
    if overlay is not None:
        checked_output(overlay, source, force=force)
    if json is not None:
        check_writable(json, is_folder=True)
    if json is not None and json.exists() and shown.is_keypoints and json.samefile(source):
        raise UsageError(f"{json} is the source itself; name another folder")
    if json is not None and json.is_dir() and any(json.iterdir()) and not force:
        raise CommandError(f"{json} exists already and is not empty; --force replaces the keypoints in it")
    models = PoseModels()
    if not shown.is_keypoints:
        models = asked_models(pose_backend, pose_model, None, display, dancer=choice)
    look = LookRequest(models=models, detail=detail, dancer=choice, max_side_px=max_side)
    job = PoseJob(source=shown, look=look, json=json, overlay=overlay, replace=force)
    with stop_on_signals() as should_stop:
        report = find_poses(job, display, should_stop)
    if report.damaged:
        display.warn(f"{source}: {report.damaged} frames do not decode, or have no poses")
    display.out.print(report.summary())
    display.source_notes(source, report.notes)
    for out in (json, overlay):
        if out is not None:
            display.out.print(f"wrote {out}")


def evaluate_pose_command(
    clips: Annotated[list[str], typer.Argument(help="Video files.")],
    pose_model: PoseModel = [],  # noqa: B006  typer copies it
    backends: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Default: mediapipe and every backend with a card.")
    ] = None,
    truth: Annotated[
        list[Path],
        typer.Option(
            "--truth",
            metavar="DIR",
            help="The true joints of a clip, in OpenPose's JSON; once for each clip, in order.",
        ),
    ] = [],  # noqa: B006
    dancer: Dancer = "largest",
    detail: Annotated[PoseDetail, typer.Option(help="What is looked at.")] = PoseDetail.HOLISTIC,
    frames: Annotated[int | None, typer.Option(min=1, help="Only so many of each clip.")] = None,
    max_side: Annotated[int, typer.Option("--max-side", min=64, help="Larger frames are shrunk first.")] = 1280,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the table there too, in Markdown.")] = None,
    force: Force = False,
) -> None:
    """Compare the pose backends on the same clips: people found, steadiness, agreement, time."""
    display = Display()
    choice = dancer_choice(dancer)
    if len(truth) > len(clips):
        raise UsageError(f"--truth is given {len(truth)} times for {len(clips)} clips")
    if out is not None:
        refuse_existing([out], force=force, sources=[*clips, *pose_model])
    models = asked_models(None, pose_model, None, display, dancer=DancerChoice())
    look = LookRequest(models=models, detail=detail, dancer=choice, max_side_px=max_side)
    job = EvaluationJob(clips=clips, backends=parsed_backends(backends, look), look=look, truth=truth, frames=frames)
    with stop_on_signals() as should_stop:
        rows = evaluate(job, display, should_stop)
    # Where there is no terminal, a table need not fit into one.
    display.out.print(table_of(rows), width=None if display.out.is_terminal else 200)
    if out is not None:
        write_text_whole(out, markdown_of(rows))  # the table is on the screen already
        display.out.print(f"wrote {out}")
