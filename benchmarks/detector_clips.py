"""Real and synthetic clips of the same people, for the fake detector: filmed, trained, drawn, and kept in a folder.

A synthetic clip is drawn by a trained actor's networks directly. No server draws it, so it carries no watermark. A real
clip is footage of the same person, cut by the same crop to the same size. Neither was seen in the actor's training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.detector_cast import dancer, showing
from motion import skeleton
from motion.body import fit_body, measure_body
from motion.frame import FrameSize, Picture
from motion.pose import Pose
from samples import make
from samples.cast import ACTOR, SOURCE, Performer
from services.normalize.normalizer import Normalizer, NormalizerConfig, PoseFrame
from serving.actors.store import Actor, ActorStore
from serving.process.atomic_files import written_whole
from training.data.footage import Footage, footage_facts, footage_frames
from training.evaluation.actor_runner import PublishedActor
from training.evaluation.keypoints import detected
from training.job import train_actor
from training.presets import preset_named
from training.settings import JobSettings

SHOW_FRAMES: Final = 96
_FOOTAGE_FRAMES: Final = 200
_LOOK_AHEAD_FRAMES: Final = 3
_FEWEST_FRAMES: Final = 8
"""A shorter run without a person missing is left out."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip of consecutive pictures of one actor, or of one real person.

    person: the actor's id. kind: what it shows: "film", or what drew it and which dance. pictures: `[F, H, W, 3]` uint8
    RGB, read from disk as they are needed.
    """

    person: str
    kind: str
    is_synthetic: bool
    pictures: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Dance:
    """The poses of a source, in pixels of its frames; None where no person was found."""

    name: str
    size: FrameSize
    rate_hz: float
    poses: list[Pose | None]


def read_clips(folder: Path) -> list[Clip]:
    """Read the clips that `keep` has left in a folder, by name."""
    clips = []
    for path in sorted(folder.glob("*.npy")):
        person, kind = path.stem.split("~")
        clips.append(Clip(person, kind, not kind.startswith("film"), np.load(path, mmap_mode="r")))
    return clips


def keep(folder: Path, person: str, kind: str, pictures: Sequence[Picture]) -> None:
    """Write a clip for `read_clips`, whole or not at all. Clips too short to say anything are left out."""
    if len(pictures) < _FEWEST_FRAMES:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / f"{person}~{kind}.npy") as partial, partial.open("wb") as file:
        np.save(file, np.stack(pictures))


def film_drawn(seed: int, folder: Path, workers: int, *, is_large: bool = False) -> tuple[Path, Path]:
    """Film a drawn dancer: footage to train on, and a show, another dance, that no training sees.

    is_large: large enough for an actor that draws 512x512 pictures. Size, rate and compression differ from dancer to
    dancer, and are those of the show, too.
    """
    random = np.random.default_rng([seed, 3])
    size_px, rate_hz = (
        576 if is_large else int(random.choice([288, 320, 384, 448])),
        int(random.choice([12, 15, 20, 25])),
    )
    crf = int(random.integers(14, 24))
    performer = dancer(seed)
    shots = ((performer, _FOOTAGE_FRAMES), (showing(performer, seed, beats=16), SHOW_FRAMES))
    paths = folder / f"{performer.name}.mp4", folder / f"{performer.name}-show.mp4"
    for path, (shown, frames) in zip(paths, shots, strict=True):
        if not path.is_file():
            _film(shown, path, rate_hz, frames, size_px, crf, workers)
    return paths


def _film(performer: Performer, path: Path, rate_hz: int, frames: int, size_px: int, crf: int, workers: int) -> None:
    shot = make.Shot(performer, performer.dance, rate_hz, frames, size_px)
    stills = path.with_suffix(".frames")
    stills.mkdir(parents=True, exist_ok=True)
    make.render_frames(shot, stills, workers)
    pictures = (_read_still(still) for still in sorted(stills.glob("*.png")))
    make.write_video(path, pictures, rate_hz, crf)
    for still in stills.glob("*.png"):
        still.unlink()
    stills.rmdir()


def _read_still(path: Path) -> Picture:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise OSError(f"{path} is not a picture; delete it and run again")
    return np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8)


def trained(name: str, footage: Path, folder: Path, pictures: int, preset: str = "quick-256") -> list[Actor]:
    """Train an actor on `pictures` frames of its footage, or find it trained. Returns its first and its last version.

    The first version is the bare warp, which is served before any training.
    """
    store = ActorStore(folder / "actors")
    settings = JobSettings(
        actor=name,
        consent="Not needed: only used to measure the fake detector, and never served.",
        pictures=pictures,
        preset=preset_named(preset),
        footage=Footage.of(footage),
        store_root=store.root,
        work_root=folder / "training",
        footage_anyway=True,
        publish_anyway=True,
    )
    if name not in (store.ids() if store.root.is_dir() else []) or len(store.versions(name)) < 2:
        train_actor(settings)
    versions = store.versions(name)
    return [store.load(name, version) for version in dict.fromkeys((versions[0], versions[-1]))]


def dance_of(path: Path, folder: Path) -> Dance:
    """The poses in a video, found once and kept in `folder`."""
    facts, kept = footage_facts(path), folder / "poses" / f"{path.stem}.npz"
    if not kept.is_file():
        frames = list(footage_frames(path))
        poses = detected([frames])[0]
        kept.parent.mkdir(parents=True, exist_ok=True)
        empty = np.full((skeleton.JOINT_COUNT, 3), np.nan, np.float32)
        table = [empty if p is None else np.column_stack([p.joints_px, p.confidence]) for p in poses]
        with written_whole(kept) as partial, partial.open("wb") as file:
            np.savez(file, table=np.stack(table).astype(np.float32), size_px=np.array(frames[0].shape[1::-1]))
    with np.load(kept) as stored:
        table, (width_px, height_px) = stored["table"], stored["size_px"].tolist()
    poses = [None if np.isnan(row[0, 0]) else Pose(row[:, :2], row[:, 2]) for row in table]
    return Dance(path.stem, FrameSize(width_px, height_px), facts.frame_rate_hz, poses)


def film_clip(path: Path, actor: Actor) -> list[Picture]:
    """Every frame of a film of the actor, cut and scaled as the actor's own pictures are."""
    plate = actor.read_crop_plate()
    return [actor.crop.cut_onto(plate, frame) for frame in footage_frames(path)]


def drawn_clip(acting: PublishedActor, poses: Sequence[Pose | None]) -> list[Picture]:
    """The longest run of poses without a gap, in pixels of the actor's footage, drawn by its networks."""
    runs: list[list[Pose]] = [[]]
    for pose in poses:
        if pose is None:
            runs.append([])
        else:
            runs[-1].append(pose)
    longest = max(runs, key=lambda run: len(run))
    return acting.run(longest)[1]


def transferred(dance: Dance, actor: Actor) -> list[Pose | None]:
    """A dance moved into the actor's body and place, as the server does for a file."""
    measures = [measure_body(pose, dance.size) for pose in dance.poses if pose is not None]
    normalizer = Normalizer(
        NormalizerConfig(
            target_body=actor.body,
            target_size=actor.frame_size,
            source_body=fit_body([measure for measure in measures if measure is not None]),
            look_ahead_frames=_LOOK_AHEAD_FRAMES,
            frame_rate_hz=dance.rate_hz,
        )
    )
    answers = []
    for sequence, pose in enumerate(dance.poses):
        answers += normalizer.push(PoseFrame(sequence, dance.size, pose))
    return [answer.pose for answer in (*answers, *normalizer.finish())]


def gather(
    person: str,
    footage: Path,
    show: Path,
    drivers: Sequence[Path],
    folder: Path,
    pictures: int,
    preset: str = "quick-256",
) -> None:
    """Train an actor on `footage`, and keep its clips: two films, its own show drawn, and others' dances.

    drivers: videos of other dancers. A call that was stopped goes on where it was.
    """
    clips = folder / "clips"
    done = clips / f"{person}.complete"
    if done.is_file():
        return
    warp, actor = trained(person, footage, folder, pictures, preset)
    keep(clips, person, "film-footage", film_clip(footage, actor))
    keep(clips, person, "film-show", film_clip(show, actor))
    own = dance_of(show, folder).poses
    keep(clips, person, "drawn-own", drawn_clip(PublishedActor(actor), own))
    keep(clips, person, "warp-own", drawn_clip(PublishedActor(warp), own))
    for driver in drivers:
        poses = transferred(dance_of(driver, folder), actor)[:SHOW_FRAMES]
        keep(clips, person, f"drawn-{driver.stem}", drawn_clip(PublishedActor(actor), poses))
    done.touch()


def gather_sample(actors: Path, drivers: Sequence[Path], folder: Path, workers: int) -> None:
    """Keep the clips of the sample actor, which is trained for longer and draws larger pictures than the others.

    Its film is the actor, rendered in the poses of the source's clip, which its footage does not show.
    """
    clips, person = folder / "clips", "sample"
    if (clips / f"{person}.complete").is_file():
        return
    actor = ActorStore(actors).load(person)
    film = folder / "films" / "sample-show.mp4"
    if not film.is_file():
        _film(replace(ACTOR, name="sample-show", dance=SOURCE.dance), film, 25, SHOW_FRAMES, 640, 18, workers)
    keep(clips, person, "film-show", film_clip(film, actor))
    keep(clips, person, "drawn-own", drawn_clip(PublishedActor(actor), dance_of(film, folder).poses))
    for driver in drivers:
        poses = transferred(dance_of(driver, folder), actor)[:SHOW_FRAMES]
        keep(clips, person, f"drawn-{driver.stem}", drawn_clip(PublishedActor(actor), poses))
    (clips / f"{person}.complete").touch()


def split_film(film: Path, folder: Path) -> tuple[Path, Path]:
    """Write the first two thirds of a film, to train on, and the rest, which no training sees; nearly lossless."""
    paths = folder / f"{film.stem}-footage.mp4", folder / f"{film.stem}-show.mp4"
    if not all(path.is_file() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        frames, rate_hz = list(footage_frames(film)), round(footage_facts(film).frame_rate_hz)
        middle = 2 * len(frames) // 3
        for path, part in zip(paths, (frames[:middle], frames[middle:]), strict=True):
            make.write_video(path, iter(part), rate_hz, crf=10)
    return paths
