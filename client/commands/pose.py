"""`dance pose` and `dance evaluate-pose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import Dancer, Force, PoseModel, PoseNetworks, SourceFacts, dancer_choice
from client.errors import CommandError, UsageError
from client.media.video_writer import checked_output
from client.poses.compare_backends import EvaluationJob, evaluate, markdown_of, parsed_backends, table_of
from client.poses.extract import PoseJob, find_poses
from client.poses.local_estimation import LookRequest, PoseModels
from client.terminal.display import Display
from client.terminal.output_files import check_writable, refuse_existing, write_text_whole
from motion.people.dancer_choice import DancerChoice
from motion.pose_choice import PoseDetail
from serving.process.option_groups import option_groups
from serving.process.stop_signals import stop_on_signals
from video.opening import is_endless

Detail = Annotated[PoseDetail, typer.Option(help="Parts of the body to find.")]
ShrunkSide = Annotated[int, typer.Option("--max-side", min=64, help="Shrink larger frames to this longer side first.")]


@option_groups
def pose_command(
    source: Annotated[str, typer.Argument(help="A video file, or OpenPose's keypoints: a folder, or a .json list.")],
    *,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="DIR", help="Write OpenPose JSON there, one file per frame.")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option("--overlay", metavar="VIDEO", help="Write the frames with all people drawn on them.")
    ] = None,
    networks: PoseNetworks,
    facts: SourceFacts,
    detail: Detail = PoseDetail.HOLISTIC,
    max_side: ShrunkSide = 1280,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing outputs.")] = False,
) -> None:
    """Find the people in SOURCE, and write their joints, an overlay video, or both."""
    display = Display()
    if json is None and overlay is None:
        raise UsageError("nothing to write: --json DIR, --overlay VIDEO, or both")
    if is_endless(source):
        raise UsageError(f"{source} is a camera or a stream: a whole clip is needed")
    shown = facts.source(source)
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
        models = networks.models(None, display, dancer=shown.dancer)
    look = LookRequest(models=models, detail=detail, dancer=shown.dancer, max_side_px=max_side)
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
            help="True joints of a clip, as OpenPose JSON; once for each clip, in order.",
        ),
    ] = [],  # noqa: B006
    dancer: Dancer = "largest",
    detail: Detail = PoseDetail.HOLISTIC,
    frames: Annotated[int | None, typer.Option(min=1, help="At most this many of each clip.")] = None,
    max_side: ShrunkSide = 1280,
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
    models = PoseNetworks(cards=pose_model).models(None, display, dancer=DancerChoice())
    look = LookRequest(models=models, detail=detail, dancer=choice, max_side_px=max_side)
    job = EvaluationJob(clips=clips, backends=parsed_backends(backends, look), look=look, truth=truth, frames=frames)
    with stop_on_signals() as should_stop:
        rows = evaluate(job, display, should_stop)
    # Without a terminal, the table does not have to fit into one.
    display.out.print(table_of(rows), width=None if display.out.is_terminal else 200)
    if out is not None:
        write_text_whole(out, markdown_of(rows))  # if this fails, the table is already on the screen
        display.out.print(f"wrote {out}")
