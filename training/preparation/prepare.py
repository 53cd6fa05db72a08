"""Preparation: footage into what training reads, kept in a folder so that it is done once.

The footage is read twice from end to end: for poses, and for the crop that follows from all of them. Everything is
written as it is found, so memory stays the same however long the footage is, and a job that was killed goes on where it
was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from grpc import StatusCode
from numpy.typing import NDArray

from motion.body import BodyStats, fit_body
from motion.crop import Crop, fit_crop, whole_frame_crop
from motion.frame import FrameSize, Picture
from motion.labelmap import LABEL_MAP_VERSION
from motion.pose import Pose
from serving.errors import BadInput, DanceError, NoBody
from serving.process.atomic_files import written_whole
from training.data.footage import Footage
from training.data.plate import fit_plate
from training.data.split import FEWEST_FRAMES, Split, split_by_length
from training.preparation.crop_arrays import ARRAYS, Progress, write_crops
from training.preparation.detections import Sightings, find_person
from training.preparation.footage_checks import Finding, Footing, judge, refusals
from training.preparation.frame_quality import QualityMeter
from training.preparation.frame_table import FrameTable, frame_table
from training.preparation.imported_poses import ImportedPoses
from training.preparation.other_people import somebody_else
from training.preparation.report import ReportPictures, write_report
from training.preparation.resumable_array import write_array
from training.process.atomic import read_picture, write_picture
from training.process.disk import PLATE_FRAMES, bytes_in, bytes_needed, check_room, full_disk_told

PREPARATION_VERSION: Final = 4
"""Of what is kept in the cache: raise it when the reader's pictures or the rules of the estimator, the masks, the plate
or the props change."""

_COMPLETE_FILE: Final = "complete.json"
_KEPT_OF_UNKNOWN: Final = 25
_SHIFTS_PER_SECOND: Final = 4.0


class FootageRefused(DanceError):
    """Training on this footage would be wasted time; the message says why, and what to film again."""

    code = StatusCode.FAILED_PRECONDITION


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedFootage:
    """What training reads; `F` frames, `[H, W]` the size of the network's picture.

    pictures: `[F, H, W, 3]` uint8 RGB, the crop of every frame. targets: the same with props painted over.
    labels: the same shape, the drawn poses.
    masks: `[F, H, W]` uint8, 255 on the person. props: the same shape, 255 where something is, or may be, that is
    neither the person nor the place nor a shadow.
    poses: in pixels of the footage, None where nobody was found. plate: at the footage's size.
    folder: where the arrays are kept; its name says how the crop was cut. report: facts about the footage for people.
    starts: frames that do not follow the frame before them: beginnings of files, and what comes behind a cut.
    """

    folder: Path
    pictures: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    props: NDArray[np.uint8]
    poses: Sequence[Pose | None]
    plate: Picture
    crop: Crop
    frame_size: FrameSize
    frame_rate_hz: float
    body: BodyStats
    report: dict[str, Any]
    starts: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def crop_plate(self) -> Picture:
        """`[H, W, 3]` uint8 RGB: the plate as the network sees it."""
        return self.crop.cut(self.plate)

    def stage_pose(self, frame: int) -> Pose:
        """The pose in pixels of the network's picture. Raises ValueError where nobody was found."""
        pose = self.poses[frame]
        if pose is None:
            raise ValueError(f"nobody was found in frame {frame}")
        return self.crop.to_crop(pose)

    def split(self) -> Split:
        """Which frames are held out for scores. Raises NoBody for too few."""
        return split_by_length([pose is not None for pose in self.poses], self.frame_rate_hz)


def preparation_name(footage: Footage | Path) -> str:
    """The folder of this footage among others: its fingerprint and how it is prepared. Raises UnreadableVideo."""
    return f"{Footage.of(footage).fingerprint()}-preparation{PREPARATION_VERSION}"


def crop_name(crop: Crop) -> str:
    """The folder of this crop's arrays: another rule for the crop, or another label map, must not meet them."""
    cut = f"{crop.width_px}x{crop.height_px}+{crop.x_px}+{crop.y_px}"
    return f"{crop.out_width_px}x{crop.out_height_px}-from-{cut}-map{LABEL_MAP_VERSION}"


def prepare(
    footage: Footage | Path,
    folder: Path,
    width_px: int,
    height_px: int,
    on_progress: Progress = lambda what, done, of: None,
    *,
    whole_frame: bool = False,
    onto_plate: bool = True,
    anyway: bool = False,
    say: Callable[[str], None] = lambda note: None,
) -> PreparedFootage:
    """Poses, masks, body, crop, plate and label maps of the footage for pictures of this size, and a report.

    whole_frame: the crop is all of the frame, else the part of it that holds every pose. onto_plate: the network will
    draw onto a plate, so that the camera must stand still. anyway: footage that is not worth training on is prepared
    all the same. say: told what people should know.

    What an earlier call left in `folder` for the same footage is used, also after a kill. Raises UnreadableVideo for
    footage that cannot be read, BadInput for files or poses that do not belong together, NoBody where too few frames
    show a person, FootageRefused where training would be wasted, and DiskFull.
    """
    footage = Footage.of(footage)
    home = folder / preparation_name(footage)
    return _Preparation(footage, home, on_progress, say).run(width_px, height_px, whole_frame, onto_plate, anyway)


def load_prepared(home: Path, crop: Crop) -> PreparedFootage:
    """What `prepare` left in the folder `home` of one footage for this crop. Raises FileNotFoundError."""
    staged = home / crop_name(crop)
    facts = json.loads((staged / _COMPLETE_FILE).read_text())
    return _loaded(staged, _known_sightings(home, facts["files"]), read_picture(home / "plate.png"), facts)


class _Preparation:
    def __init__(self, footage: Footage, home: Path, on_progress: Progress, say: Callable[[str], None]) -> None:
        self.footage = footage
        self.home = home
        self.on_progress = on_progress
        self.say = say
        self.rate_hz = footage.facts().frame_rate_hz

    def run(self, width_px: int, height_px: int, whole_frame: bool, onto_plate: bool, anyway: bool) -> PreparedFootage:
        home = self.home
        with full_disk_told(home):
            _sweep(home)
            self._state_disk(width_px, height_px)
            seen = self._seen()
            table = frame_table(seen, self.rate_hz)
            report_path = home / f"report-{width_px}x{height_px}.html"
            footing = Footing(
                table=table,
                frame_size=seen.frame_size,
                crop=self._crop(seen, table, width_px, height_px, whole_frame),
                onto_plate=onto_plate,
                lost_frames=seen.lost_frames,
                notes=seen.notes,
                drawn_masks=seen.drawn_masks,
                rates_hz=[self.footage.facts_of(file).frame_rate_hz for file in range(len(self.footage.files))],
            )
            if footing.crop is None or table.seen.sum() < FEWEST_FRAMES or not table.measures:
                self._write_report(report_path, footing, None)
                raise NoBody(self._too_little(table, report_path))
            plate, never_seen, others = self._plate(seen)
            footing = replace(
                footing,
                never_seen=never_seen,
                looked_for_others=None if self.footage.keypoints else others["looked"],
                others_found=others["found"],
            )
            assert footing.crop is not None
            staged = home / crop_name(footing.crop)
            if (staged / _COMPLETE_FILE).is_file():
                facts = json.loads((staged / _COMPLETE_FILE).read_text())
                footing = replace(footing, props=facts["report"]["frames_with_props"])
            findings = self._write_report(report_path, footing, self._split(table))
            if refusals(findings) and not anyway:
                raise FootageRefused(self._refusal(refusals(findings), report_path))
            if not (staged / _COMPLETE_FILE).is_file():
                findings = self._write_stage(seen, table, footing, plate, staged, report_path)
            shutil.rmtree(home / "kept", ignore_errors=True)
            for note in seen.notes:
                self.say(note)
            for finding in findings:
                if finding.level in ("warning", "refused"):
                    self.say(f"{finding.what}: {finding.measured}; {finding.advice}")
            self.say(f"report: {report_path}")
            facts = json.loads((staged / _COMPLETE_FILE).read_text())
        return _loaded(staged, seen, plate, facts)

    def _state_disk(self, width_px: int, height_px: int) -> None:
        expected = self.footage.facts().expected_frames
        # What is kept of another size, or of another label map, is of no use here.
        staged = list(self.home.glob(f"{width_px}x{height_px}-from-*-map{LABEL_MAP_VERSION}"))
        if any((folder / _COMPLETE_FILE).is_file() for folder in staged):
            return
        if expected is None:
            self.say("how much disk is needed cannot be said: the footage does not say how long it is")
            return
        first = next(iter(self.footage.frames_of(0)))
        size = FrameSize(first.shape[1], first.shape[0])
        needed = bytes_needed(expected, size, width_px, height_px)
        there = bytes_in([self.home / "seen", self.home / "kept", *staged])
        ways_out = "free some, choose another --work folder, a smaller --preset, or fewer frames with --frame-rate"
        self.say(check_room(self.home, needed - there, "what is prepared", ways_out))

    def _seen(self) -> Sightings:
        expected = self.footage.facts().expected_frames
        kept = None
        if expected is not None:
            kept = set(np.linspace(0, expected - 1, min(PLATE_FRAMES, expected)).round().astype(int).tolist())
        plate_known = (self.home / "plate.json").is_file()
        parts: list[Sightings] = []
        for file, path in enumerate(self.footage.files):
            before = sum(len(part.poses) for part in parts)
            lost: list[int] = []
            notes: list[str] = []

            def on_end(
                lost_frames: int,
                told: Sequence[str],
                path: Path = path,
                lost: list[int] = lost,
                notes: list[str] = notes,
            ) -> None:
                lost.append(lost_frames)
                notes += [f"{path.name}: {note}" for note in told]

            def keep(frame: int, picture: Picture, before: int = before) -> None:
                number = before + frame
                wanted = number in kept if kept is not None else number % _KEPT_OF_UNKNOWN == 0
                if wanted and not plate_known:
                    self._keep(number, picture)

            meter = QualityMeter(self.home / "reference.npz", round(self.rate_hz / _SHIFTS_PER_SECOND))
            part = find_person(
                lambda file=file, on_end=on_end: self.footage.frames_of(file, on_end),  # type: ignore[misc]
                self.home / "seen" / f"{file:03d}",
                lambda done, before=before: self.on_progress("looking for poses", before + done, expected),  # type: ignore[misc]
                meter=meter,
                imported=self._imported(file),
                keep=keep,
                on_known=lambda done, before=before: self.on_progress(  # type: ignore[misc]
                    "passing over what is known", before + done, expected
                ),
                more_facts=lambda lost=lost, notes=notes: {"frames_lost": sum(lost), "notes": notes},  # type: ignore[misc]
            )
            if parts and part.frame_size != parts[0].frame_size:
                one, other = parts[0].frame_size, part.frame_size
                raise BadInput(
                    "footage",
                    f"{path} is {other.width_px}x{other.height_px}, {self.footage.files[0]} is "
                    f"{one.width_px}x{one.height_px}: files of one footage are of one size",
                )
            parts.append(part)
        return Sightings.joined(parts)

    def _imported(self, file: int) -> ImportedPoses | None:
        if not self.footage.keypoints:
            return None
        expected = self.footage.facts_of(file).expected_frames
        return ImportedPoses(self.footage.keypoints[file], self.footage.every_of(file), expected)

    def _keep(self, number: int, picture: Picture) -> None:
        path = self.home / "kept" / f"{number:07d}.npy"
        if not path.is_file():
            # NumPy's own `save` does not say that a disk is full.
            write_array(path, picture.shape, picture.dtype, [picture])

    def _crop(
        self, seen: Sightings, table: FrameTable, width_px: int, height_px: int, whole_frame: bool
    ) -> Crop | None:
        if not table.seen.any():
            return None
        if whole_frame:
            return whole_frame_crop(seen.frame_size, width_px, height_px)
        return fit_crop((pose for pose in seen.poses if pose is not None), seen.frame_size, width_px, height_px)

    def _plate(self, seen: Sightings) -> tuple[Picture, float, dict[str, int]]:
        """The plate, the share of it that was never seen, and where somebody else was found; all kept."""
        picture_path, facts_path = self.home / "plate.png", self.home / "plate.json"
        if not facts_path.is_file():
            paths = sorted((self.home / "kept").glob("*.npy"))
            paths = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, PLATE_FRAMES).round().astype(int))]
            frames = [int(path.stem) for path in paths]
            pictures, masks = _Lazy(len(paths), lambda i: np.load(paths[i], mmap_mode="r")), _masks(seen, frames)
            self.on_progress("making the plate", 0, 1)
            plate = fit_plate(pictures, masks)
            self.on_progress("making the plate", 1, 1)
            write_picture(picture_path, plate.picture)
            others: list[Pose | None] = [None] * len(frames)
            if not self.footage.keypoints:  # those tell of everybody themselves
                others = somebody_else(
                    pictures,
                    masks,
                    plate.picture,
                    lambda done: self.on_progress("looking for other people", done, len(frames)),
                )
            found = {frame: other for frame, other in zip(frames, others, strict=True) if other is not None}
            ReportPictures(self.home / "pictures").write(seen, frames, pictures, found)
            facts = {"never_seen": plate.never_seen, "looked": len(frames), "others": sorted(found)}
            with written_whole(facts_path) as partial:
                partial.write_text(json.dumps(facts))
        facts = json.loads(facts_path.read_text())
        return (
            read_picture(picture_path),
            float(facts["never_seen"]),
            {"looked": int(facts["looked"]), "found": len(facts["others"])},
        )

    def _split(self, table: FrameTable) -> Split:
        return split_by_length(table.seen.tolist(), self.rate_hz)

    def _write_report(self, path: Path, footing: Footing, split: Split | None) -> list[Finding]:
        findings = judge(footing)
        footing.table.write_csv(self.home / "frames.csv", split)
        write_report(path, self.footage.title, footing, findings, split, ReportPictures(self.home / "pictures"))
        return findings

    def _write_stage(
        self, seen: Sightings, table: FrameTable, footing: Footing, plate: Picture, staged: Path, report_path: Path
    ) -> list[Finding]:
        assert footing.crop is not None
        beside = write_crops(self.footage, seen, footing.crop, plate, staged, self.on_progress)
        findings = self._write_report(report_path, replace(footing, props=beside.frames_with_props), self._split(table))
        facts = {
            "files": len(self.footage.files),
            "title": self.footage.title,
            "stage": footing.crop.to_dict(),
            "frame_rate_hz": self.rate_hz,
            "body": fit_body(table.measures).to_dict(),
            "starts": sorted(table.starts),
            "report": {
                "frames": len(table),
                "frames_with_a_person": int(table.seen.sum()),
                "frames_with_a_whole_body": len(table.measures),
                "frames_with_props": beside.frames_with_props,
                "frames_with_shadows": beside.frames_with_shadows,
                "frames_with_either": beside.frames_with_either,
                "frames_lost": seen.lost_frames,
                "notes": list(seen.notes),
                "plate_never_seen": round(footing.never_seen or 0.0, 4),
                "findings": [finding.to_dict() for finding in findings],
            },
        }
        with written_whole(staged / _COMPLETE_FILE) as partial:
            partial.write_text(json.dumps(facts))
        return findings

    def _too_little(self, table: FrameTable, report_path: Path) -> str:
        title, seen = self.footage.title, int(table.seen.sum())
        if seen >= FEWEST_FRAMES:
            why = "no frame shows a head and both ankles; the whole body must be in the picture"
        else:
            why = f"a person was found in only {seen} of {len(table)} frames"
        return f"{title}: {why} (report: {report_path})"

    def _refusal(self, refused: Sequence[Finding], report_path: Path) -> str:
        reasons = "; ".join(f"{finding.what}: {finding.measured} ({finding.advice})" for finding in refused)
        return (
            f"{self.footage.title} is not worth training on: {reasons}. Report: {report_path}; --anyway goes on all "
            "the same"
        )


class _Lazy(Sequence[NDArray[np.uint8]]):
    """Pictures that are read when they are asked for, and kept by nobody."""

    def __init__(self, length: int, read: Callable[[int], NDArray[np.uint8]]) -> None:
        self._length, self._read = length, read

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> NDArray[np.uint8]:  # type: ignore[override]
        if index >= self._length:
            raise IndexError(index)
        return self._read(index)


def _masks(seen: Sightings, frames: Sequence[int]) -> _Lazy:
    return _Lazy(len(frames), lambda index: seen.mask(frames[index]))


def _known_sightings(home: Path, files: int) -> Sightings:
    def never() -> list[Picture]:
        raise FileNotFoundError(f"{home} is not prepared to its end")

    return Sightings.joined([find_person(never, home / "seen" / f"{i:03d}", lambda done: None) for i in range(files)])


def _loaded(staged: Path, seen: Sightings, plate: Picture, facts: dict[str, Any]) -> PreparedFootage:
    return PreparedFootage(
        folder=staged,
        **{name: np.load(staged / f"{name}.npy", mmap_mode="r") for name in ARRAYS},
        poses=seen.poses,
        plate=plate,
        crop=Crop.from_dict(facts["stage"]),
        frame_size=seen.frame_size,
        frame_rate_hz=facts["frame_rate_hz"],
        body=BodyStats.from_dict(facts["body"]),
        report=facts["report"],
        starts=frozenset(facts["starts"]),
    )


def _sweep(home: Path) -> None:
    """Removes what writers left that were killed; one preparation at a time works in a folder."""
    for path in home.rglob(".*.partial*"):
        path.unlink(missing_ok=True)
