"""Self-reconstruction: an actor draws frames of its own footage that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from motion.frame import Picture
from motion.pose import Pose
from serving.actors.store import Actor
from serving.errors import BadInput, NoBody
from training.data.footage import Footage
from training.data.prepared_footage import PreparedFootage, load_prepared
from training.data.split import near_blocks
from training.evaluation.actor_runner import PublishedActor, seen_on
from training.evaluation.baselines import NearestPose
from training.evaluation.held_out_frames import allowed_for_scores, seen_runs, unseen_of_footage
from training.evaluation.lpips import Lpips
from training.evaluation.score_rows import EvaluationRow, Source, measured_all
from training.evaluation.second_heads import least_in_film
from training.evaluation.unseen_poses.scores import UnseenScores, draw_unseen, score_unseen
from training.preparation.crop_arrays import Progress
from training.preparation.prepare import prepare
from training.presets import PRESETS


@dataclass(kw_only=True)
class Evaluation:
    """An evaluation: rows of scores, and what a reader needs to interpret them.

    title: one line. notes: what a reader must know. not_available: metrics without a value, with the reason.
    facts: more numbers, by name. shown: columns of pictures, one for each of some frames; shown_rows names their rows.
    unseen: the scores in made-up poses that the footage lacks, None without any; unseen_shown: the drawn pictures.
    """

    title: str
    rows: list[EvaluationRow]
    picture_size: tuple[int, int]
    notes: list[str] = field(default_factory=list)
    not_available: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    shown: list[list[Picture]] = field(default_factory=list)
    shown_rows: tuple[str, ...] = ("asked", "drawn", "real")
    unseen: UnseenScores | None = None
    unseen_shown: list[Picture] = field(default_factory=list)


def footage_of(
    actor: Actor, footage: Footage | None, work_root: Path, on_progress: Progress, say: Callable[[str], None]
) -> PreparedFootage:
    """The prepared footage to evaluate on: the given footage, or that of the actor's training if it still exists.

    Raises BadInput if there is none, or if its frame size is not the actor's, and what `prepare` raises.
    """
    crop, folder = actor.crop, work_root / "footage"
    if footage is None:
        fingerprint = actor.trained.get("footage_fingerprint")
        for home in sorted(folder.glob(f"{fingerprint}-preparation*")) if fingerprint else []:
            try:
                return load_prepared(home, crop)
            except FileNotFoundError:
                continue
        raise BadInput("--footage", f"the footage of {actor.id}'s training is not prepared in {folder}: name the files")
    preset = PRESETS.get(actor.preset)
    prepared = prepare(
        footage,
        folder,
        crop.out_width_px,
        crop.out_height_px,
        on_progress,
        whole_frame=preset is not None and preset().whole_frame,
        onto_plate=actor.generator.plate,
        anyway=True,  # the actor is measured however good the footage is
        say=say,
    )
    if prepared.frame_size != actor.frame_size:
        one, other = prepared.frame_size, actor.frame_size
        raise BadInput(
            "--footage",
            f"is {one.width_px}x{one.height_px}, {actor.id} was filmed at {other.width_px}x{other.height_px}: "
            "it must be the actor, filmed in the same place by the same camera",
        )
    return prepared


def evaluate_held_out(
    actor: Actor, prepared: PreparedFootage, footage: Footage | None, lpips: Lpips | None, on_step: Progress
) -> Evaluation:
    """Draw the held-out frames with the actor's published networks, and measure them beside the baselines.

    Raises NoBody if no held-out frame shows the person, ActorUnusable.
    """
    note, trained_on_rest, blocks = _held_out_blocks(actor, prepared, footage)
    runs = [run for block in blocks for run in seen_runs(prepared, block)]
    if not runs:
        raise NoBody("no held-out frame shows the person")
    frames = [frame for run in runs for frame in run]
    places = {frame: place for place, frame in enumerate(frames)}

    def reported(what: str, run: list[int]) -> Iterator[int]:
        for frame in run:
            on_step(what, places[frame], len(frames))
            yield frame

    acting = PublishedActor(actor)
    refined: list[list[Picture]] = []
    unrefined: list[list[Picture]] = []
    for run in runs:
        allowed = allowed_for_scores(acting.wardrobe, run, blocks, prepared.frame_rate_hz) if trained_on_rest else None
        pictures = acting.run((_pose(prepared, frame) for frame in reported("drawing", run)), allowed)
        for kept, drawn in zip((unrefined, refined), pictures, strict=True):
            kept.append(seen_on(drawn, actor, prepared.crop))
    on_step("drawing", len(frames), len(frames))
    real = [[np.asarray(prepared.pictures[frame]) for frame in run] for run in runs]
    asked = [[prepared.crop_pose(frame) for frame in run] for run in runs]
    near = near_blocks(blocks, prepared.frame_rate_hz)
    known = [i for i, pose in enumerate(prepared.poses) if pose is not None and i not in near]
    nearest_pose = NearestPose([prepared.crop_pose(i) for i in known])
    nearest = [[np.asarray(prepared.pictures[known[nearest_pose.index(pose)]]) for pose in run] for run in asked]
    speed = acting.frames_per_second
    sources: list[Source] = [
        ("the actor", refined, {"frames_per_second": speed}),
        ("nearest training frame" if trained_on_rest else "nearest other frame", nearest, {}),
        ("the footage itself", real, {"is_real": True}),
    ]
    if actor.face is not None:
        sources.insert(1, ("the actor without its face network", unrefined, {}))
    masks = [np.asarray(prepared.masks[frame]) for frame in frames]
    rows = measured_all(sources, real, asked, actor.face_rule, lpips, partial(on_step, "measuring"), masks)
    unseen, plate = unseen_of_footage(prepared), prepared.crop_plate
    in_film = least_in_film([p for run in real for p in run], [pose for run in asked for pose in run], plate)

    def draw(poses: Sequence[Pose]) -> list[Picture]:
        return seen_on(acting.run(map(prepared.crop.from_crop, poses))[1], actor, prepared.crop)

    drawing, begun = "drawing poses that the footage lacks", count()
    unseen_drawn = draw_unseen(draw, unseen, lambda: on_step(drawing, next(begun), len(unseen)))
    on_step(drawing, len(unseen), len(unseen))
    flat = dict(zip(frames, (picture for drawn in refined for picture in drawn), strict=True))
    chosen = [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, 8).round().astype(int))]
    return Evaluation(
        title=f"{actor.id} version {actor.version}: {len(frames)} held-out frames in {len(blocks)} blocks",
        rows=rows,
        picture_size=(actor.crop.out_width_px, actor.crop.out_height_px),
        notes=[
            note,
            f"frames per second: label map and networks of a single session, without services, in {acting.precision}",
        ],
        facts={"held_out_frames": ", ".join(f"{block.start} to {block.stop - 1}" for block in blocks)},
        shown=[[np.asarray(prepared.labels[f]), flat[f], np.asarray(prepared.pictures[f])] for f in chosen],
        unseen=score_unseen(unseen_drawn, unseen, plate, in_film),
        unseen_shown=unseen_drawn,
    )


def _held_out_blocks(actor: Actor, prepared: PreparedFootage, footage: Footage | None) -> tuple[str, bool, list[range]]:
    """The held-out frames: how they are known, whether the actor was trained on the others, and their blocks."""
    trained_on = actor.trained.get("footage_fingerprint")
    split = prepared.split()
    if footage is None or (trained_on is not None and trained_on == footage.fingerprint()):
        stored = actor.trained.get("held_out_blocks")
        blocks = split.blocks if stored is None else [range(start, stop) for start, stop in stored]
        return "the frames are those that training held out", True, blocks
    if trained_on is None:
        same = actor.trained.get("footage_report", {}).get("frames") == len(prepared)
        words = "assumed to be the footage of the actor's training, which its record identifies only by file name"
        if same and actor.trained.get("footage") == footage.title:
            return f"{words}; held out in training, by the same rule", True, split.blocks
    # A record without the list identifies a single file as the whole footage.
    learned = actor.trained.get("footage_file_fingerprints", [trained_on])
    files = zip(footage.files, footage.file_fingerprints(), strict=True)
    shared = [path.name for path, fingerprint in files if fingerprint in learned]
    if shared:
        words = (
            f"the actor was trained on {', '.join(shared)}: its frames may have been learned, so scores may be too good"
        )
        return words, False, split.blocks
    return "not the footage of the actor's training", False, split.blocks


def _pose(prepared: PreparedFootage, frame: int) -> Pose:
    pose = prepared.poses[frame]
    assert pose is not None
    return pose
