"""`dance pose` and `dance evaluate-pose`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import Dancer, Force, PoseModel, PoseNetworks, SourceFacts, SourceFile, dancer_choice
from client.errors import CommandError, UsageError
from client.media.signing import Signing
from client.media.video_writer import check_video_output
from client.poses.compare_backends import HEADINGS, EvaluationJob, evaluate, markdown_of
from client.poses.extract import PoseJob, find_poses
from client.poses.local_estimation import PoseModels
from client.terminal.display import Display
from client.terminal.output_files import check_writable, refuse_existing, write_text_whole
from motion.people.dancer_choice import DancerChoice
from serving.process.option_groups import option_groups
from serving.process.stop_signals import stop_on_signals
from video.opening import is_endless


@option_groups
def pose_command(
    source: SourceFile,
    *,
    job: Callable[..., PoseJob],
    networks: PoseNetworks,
    facts: SourceFacts,
    signing: Signing,
) -> None:
    """Find the people in SOURCE and draw or write their joints. Writes OpenPose JSON, an overlay video, or both."""
    display = Display()
    shown = facts.source(source)
    asked = job(source=shown, dancer=shown.dancer, models=PoseModels())
    json, overlay = asked.json, asked.overlay
    if json is None and overlay is None:
        raise UsageError("nothing to write: --json DIR, --overlay VIDEO, or both")
    if is_endless(source):
        raise UsageError(f"{source} is a camera or a stream: a whole clip is needed")
    for remark in shown.check():
        display.note(remark)
    if overlay is not None:
        check_video_output(overlay, source, force=asked.replace)
        asked = replace(asked, credentials=signing.credentials(display))
    if json is not None:
        check_writable(json, is_folder=True)
        if json.exists() and shown.is_keypoints and json.samefile(source):
            raise UsageError(f"{json} is the source itself; name another folder")
        if json.is_dir() and any(json.iterdir()) and not asked.replace:
            raise CommandError(f"{json} exists already and is not empty; --force replaces the keypoints in it")
    if not shown.is_keypoints:
        asked = replace(asked, models=networks.models(None, display, dancer=shown.dancer))
    with stop_on_signals() as should_stop:
        report = find_poses(asked, display, should_stop)
    if report.damaged:
        display.warn(f"{source}: {report.damaged} frames do not decode, or have no poses")
    display.out.print(report.summary())
    display.source_notes(source, report.notes)
    for out in (json, overlay):
        if out is not None:
            display.out.print(f"wrote {out}")


@option_groups
def evaluate_pose_command(
    *,
    job: Callable[..., EvaluationJob],
    pose_model: PoseModel = [],  # noqa: B006  typer copies it
    dancer: Dancer = "largest",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the table there too, in Markdown.")] = None,
    force: Force = False,
) -> None:
    """Compare the pose backends on the same clips. The table has people found, steadiness, agreement and time."""
    display = Display()
    asked = job(dancer=dancer_choice(dancer), models=PoseModels())
    if len(asked.truth) > len(asked.clips):
        raise UsageError(f"--truth is given {len(asked.truth)} times for {len(asked.clips)} clips")
    if out is not None:
        refuse_existing([out], force=force, sources=[*asked.clips, *pose_model])
    asked = replace(asked, models=PoseNetworks(cards=pose_model).models(None, display, dancer=DancerChoice()))
    with stop_on_signals() as should_stop:
        rows = evaluate(asked, display, should_stop)
    display.table(HEADINGS, rows, names=2)
    if out is not None:
        write_text_whole(out, markdown_of(rows))  # if this fails, the table is already on the screen
        display.out.print(f"wrote {out}")
