"""Preparation: turn footage into the arrays that training reads, and keep them in a folder so that it is done once.

The footage is read twice from end to end: for poses, and for the crop that follows from all of them. Everything is
written as it is found, so memory use does not grow with the footage, and a killed job continues where it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from grpc import StatusCode

from motion.body import fit_body
from motion.crop import Crop, fit_crop, whole_frame_crop
from motion.frame import FrameSize, Picture
from motion.labelmap import LABEL_MAP_VERSION
from motion.pose import Pose
from serving.errors import BadInput, DanceError, NoBody
from serving.process.atomic_files import read_picture, write_picture, written_whole
from training.data.footage import Footage
from training.data.lazy import Lazy, mapped_arrays
from training.data.plate import Mask
from training.data.prepared_footage import (
    CAMERA_FILE,
    COMPLETE_FILE,
    PreparedFootage,
    crop_name,
    detections_folder,
    load_prepared,
    preparation_name,
)
from training.data.references import training_wardrobe
from training.data.resumable_array import write_array
from training.data.shadows import plate_without_shadow
from training.data.split import FEWEST_FRAMES, Split, split_by_length
from training.footage_report.contact_sheet import ContactSheet, contact_sheet, seen_from
from training.footage_report.findings import Finding, finding_line
from training.preparation.crop_arrays import Progress, write_crops
from training.preparation.detections import Detections, find_person
from training.preparation.footage_checks import CheckedFootage, check_footage, refusals
from training.preparation.frame_quality import QualityMeter
from training.preparation.frame_table import FrameTable, frame_table
from training.preparation.imported_poses import ImportedPoses
from training.preparation.other_people import other_people
from training.preparation.report import ReportPictures, write_report
from training.process.work_folder import PLATE_FRAMES, bytes_in, bytes_needed, check_room, full_disk_told

_KEEP_EVERY: Final = 25
"""Every n-th frame is kept for the plate if the footage does not state its length."""


class FootageRefused(DanceError):
    """Training on this footage would waste time; the message gives the reasons and what to film again."""

    code = StatusCode.FAILED_PRECONDITION


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
    """Find poses, masks, body, crop and plate, draw the label maps for pictures of this size, and write a report.

    whole_frame: crop nothing; otherwise the crop is the part of the frame that holds every pose. onto_plate: the
    network will draw onto a plate, so the camera must stand still. anyway: prepare footage that is not worth training
    on too. say: receives notes for the user.

    Reuses what an earlier call, even a killed one, left in `folder` for the same footage. Raises UnreadableVideo if the
    footage cannot be read, BadInput for files or poses that do not belong together, NoBody if too few frames show a
    person, FootageRefused if training would be wasted, and DiskFull.
    """
    footage = Footage.of(footage)
    home = folder / preparation_name(footage)
    return _Preparation(footage, home, on_progress, say).run(width_px, height_px, whole_frame, onto_plate, anyway)


@dataclass(slots=True)
class _FileNotes:
    """What the reader reports at the end of one file."""

    name: str
    frames_lost: int = 0
    notes: list[str] = field(default_factory=list)

    def on_end(self, lost_frames: int, notes: Sequence[str]) -> None:
        self.frames_lost += lost_frames
        self.notes += [f"{self.name}: {note}" for note in notes]

    def facts(self) -> dict[str, Any]:
        return {"frames_lost": self.frames_lost, "notes": self.notes}


class _Preparation:
    def __init__(self, footage: Footage, home: Path, on_progress: Progress, say: Callable[[str], None]) -> None:
        self.footage = footage
        self.home = home
        self.on_progress = on_progress
        self.say = say
        facts = footage.facts()
        self.rate_hz, self.expected_frames = facts.frame_rate_hz, facts.expected_frames

    def run(self, width_px: int, height_px: int, whole_frame: bool, onto_plate: bool, anyway: bool) -> PreparedFootage:
        home = self.home
        with full_disk_told(home):
            _remove_partial_files(home)
            self._state_disk(width_px, height_px)
            seen = self._detections()
            if seen.camera is not None:
                moves = seen.camera.moves_F33
                write_array(home / CAMERA_FILE, moves.shape, moves.dtype, [moves])
            table = frame_table(seen, self.rate_hz)
            report_path = home / f"report-{width_px}x{height_px}.html"
            crop = self._crop(seen, table, width_px, height_px, whole_frame)
            checked = CheckedFootage(
                table=table,
                frame_size=seen.frame_size,
                crop=crop,
                onto_plate=onto_plate,
                camera=seen.camera,
                lost_frames=seen.lost_frames,
                notes=seen.notes,
                drawn_masks=seen.drawn_masks,
                rates_hz=[self.footage.facts_of(file).frame_rate_hz for file in range(len(self.footage.files))],
            )
            if crop is None or table.seen.sum() < FEWEST_FRAMES or not table.measures:
                self._say(refusals(self._write_report(report_path, checked, None)))
                raise NoBody(self._too_little(table, report_path))
            plate, plate_facts = self._plate(seen)
            checked = replace(
                checked,
                never_seen=float(plate_facts["never_seen"]),
                looked_for_others=None if self.footage.keypoints else int(plate_facts["looked"]),
                others_found=len(plate_facts["others"]),
            )
            folder = home / crop_name(crop)
            complete = folder / COMPLETE_FILE
            if complete.is_file():
                facts = json.loads(complete.read_text())
                checked = replace(checked, props=facts["report"]["frames_with_props"])
            findings = self._write_report(report_path, checked, self._split(table))
            if refusals(findings) and not anyway:
                self._say(findings)
                raise FootageRefused(self._refusal(refusals(findings), report_path))
            if not complete.is_file():
                findings = self._write_crops(seen, table, checked, crop, plate, folder, report_path)
            shutil.rmtree(home / "kept", ignore_errors=True)
            prepared = load_prepared(home, crop)
            if onto_plate:
                checked = replace(checked, props=prepared.report["frames_with_props"])
                findings = self._write_report(report_path, checked, prepared.split(), self._sheet(prepared))
            for note in seen.notes:
                self.say(note)
            self._say(findings)
            self.say(f"report: {report_path}")
        return prepared

    def _say(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            if finding.level in ("warning", "refused"):
                self.say(finding_line(finding))

    def _state_disk(self, width_px: int, height_px: int) -> None:
        # Arrays of another size or label-map version cannot be reused.
        crops = list(self.home.glob(f"{width_px}x{height_px}-from-*-map{LABEL_MAP_VERSION}"))
        if any((folder / COMPLETE_FILE).is_file() for folder in crops):
            return
        if self.expected_frames is None:
            self.say("the disk space needed is unknown: the footage does not state its length")
            return
        first = next(iter(self.footage.frames_of(0)))
        size = FrameSize(first.shape[1], first.shape[0])
        needed = bytes_needed(self.expected_frames, size, width_px, height_px)
        there = bytes_in([self.home / "seen", self.home / "kept", *crops])
        ways_out = "free some, choose another --work folder, a smaller --preset, or fewer frames with --frame-rate"
        self.say(check_room(self.home, needed - there, "preparation needs", ways_out))

    def _detections(self) -> Detections:
        wanted = self._plate_frames()
        parts: list[Detections] = []
        first = 0
        for file, path in enumerate(self.footage.files):
            part = self._detections_in(file, first, wanted)
            if parts and part.frame_size != parts[0].frame_size:
                one, other = parts[0].frame_size, part.frame_size
                raise BadInput(
                    "footage",
                    f"{path} is {other.width_px}x{other.height_px}, {self.footage.files[0]} is "
                    f"{one.width_px}x{one.height_px}: all files of the footage must have one size",
                )
            parts.append(part)
            first += len(part.poses)
        return Detections.joined(parts)

    def _plate_frames(self) -> Callable[[int], bool]:
        """Which frames of the footage are kept, by their numbers, to make the plate from."""
        if (self.home / "plate.json").is_file():
            return lambda number: False
        if self.expected_frames is None:
            return lambda number: number % _KEEP_EVERY == 0
        spread = np.linspace(0, self.expected_frames - 1, min(PLATE_FRAMES, self.expected_frames))
        return set(spread.round().astype(int).tolist()).__contains__

    def _detections_in(self, file: int, first: int, wanted: Callable[[int], bool]) -> Detections:
        """The detections in one file, whose first frame has the number `first` in the footage."""

        def counting(what: str) -> Callable[[int], None]:
            return lambda done: self.on_progress(what, first + done, self.expected_frames)

        def keep(frame: int, picture: Picture) -> None:
            path = self.home / "kept" / f"{first + frame:07d}.npy"
            if wanted(first + frame) and not path.is_file():
                # NumPy's own `save` does not report a full disk.
                write_array(path, picture.shape, picture.dtype, [picture])

        notes = _FileNotes(self.footage.files[file].name)
        return find_person(
            lambda: self.footage.frames_of(file, notes.on_end),
            detections_folder(self.home, file),
            counting("looking for poses"),
            meter=QualityMeter(self.home / "reference.npz"),
            imported=self._imported(file),
            keep=keep,
            on_known=counting("passing over what is known"),
            more_facts=notes.facts,
            rate_hz=self.rate_hz,
        )

    def _imported(self, file: int) -> ImportedPoses | None:
        if not self.footage.keypoints:
            return None
        expected = self.footage.facts_of(file).expected_frames
        return ImportedPoses(self.footage.keypoints[file], self.footage.every_of(file), expected)

    def _crop(
        self, seen: Detections, table: FrameTable, width_px: int, height_px: int, whole_frame: bool
    ) -> Crop | None:
        if not table.seen.any():
            return None
        if whole_frame:
            return whole_frame_crop(seen.frame_size, width_px, height_px)
        return fit_crop((pose for pose in seen.poses if pose is not None), seen.frame_size, width_px, height_px)

    def _plate(self, seen: Detections) -> tuple[Picture, dict[str, Any]]:
        """The plate, the fraction of it that was never seen, and where other people were found; all kept."""
        picture_path, facts_path = self.home / "plate.png", self.home / "plate.json"
        if not facts_path.is_file():
            paths = self._kept(seen)
            paths = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, PLATE_FRAMES).round().astype(int))]
            frames = [int(path.stem) for path in paths]
            pictures = mapped_arrays(paths)
            masks = Lazy(len(frames), lambda i: seen.mask(frames[i]))

            def mask(index: int) -> Mask:
                self.on_progress("making the plate", 0, 1)  # an exception in it stops the work, which takes seconds
                return masks[index]

            poses = [seen.poses[frame] for frame in frames]
            shown = Lazy(len(frames), lambda i: seen.shown(frames[i]))
            plate = plate_without_shadow(pictures, Lazy(len(frames), mask), poses, shown)
            self.on_progress("making the plate", 1, 1)
            write_picture(picture_path, plate.picture)
            others: list[Pose | None] = [None] * len(frames)
            if not self.footage.keypoints:  # keypoint files already list everyone
                others = other_people(
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
        return read_picture(picture_path), json.loads(facts_path.read_text())

    def _kept(self, seen: Detections) -> list[Path]:
        """The files of the frames kept for the plate, which reads each of them many times; held still."""
        kept = self.home / "kept"
        if seen.camera is not None:
            steady = kept / "steady"
            for path in sorted(kept.glob("*.npy")):
                picture = seen.steadied(int(path.stem), np.load(path))
                write_array(steady / path.name, picture.shape, picture.dtype, [picture])
                path.unlink()
            kept = steady
        return sorted(kept.glob("*.npy"))

    def _split(self, table: FrameTable) -> Split:
        return split_by_length(table.seen.tolist(), self.rate_hz)

    def _sheet(self, prepared: PreparedFootage) -> ContactSheet | None:
        """The contact sheet of the wardrobe that training uses, which is made here; None if no limb can be cut."""
        try:
            wardrobe = training_wardrobe(prepared, prepared.split(), partial(self.on_progress, "making the wardrobe"))
        except ValueError as error:
            self.say(f"warning: wardrobe: {error}")
            return None
        facings = wardrobe.facings()
        shown = f"it shows the {seen_from(facings)}" if facings else "it shows no torso"
        self.say(f"wardrobe: limbs from {wardrobe.key_frames} frames; {shown}")
        return contact_sheet(wardrobe)

    def _write_report(
        self, path: Path, checked: CheckedFootage, split: Split | None, sheet: ContactSheet | None = None
    ) -> list[Finding]:
        findings = check_footage(checked)
        checked.table.write_csv(self.home / "frames.csv", split)
        write_report(path, self.footage.title, checked, findings, split, ReportPictures(self.home / "pictures"), sheet)
        return findings

    def _write_crops(
        self,
        seen: Detections,
        table: FrameTable,
        checked: CheckedFootage,
        crop: Crop,
        plate: Picture,
        folder: Path,
        report_path: Path,
    ) -> list[Finding]:
        beside = write_crops(self.footage, seen, crop, plate, folder, self.on_progress)
        findings = self._write_report(report_path, replace(checked, props=beside.frames_with_props), self._split(table))
        facts = {
            "files": len(self.footage.files),
            "title": self.footage.title,
            "stage": crop.to_dict(),
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
                "plate_never_seen": round(checked.never_seen or 0.0, 4),
                "findings": [asdict(finding) for finding in findings],
            },
        }
        with written_whole(folder / COMPLETE_FILE) as partial:
            partial.write_text(json.dumps(facts))
        return findings

    def _too_little(self, table: FrameTable, report_path: Path) -> str:
        title, seen = self.footage.title, int(table.seen.sum())
        if seen >= FEWEST_FRAMES:
            why = "no frame shows a head and both ankles; the whole body must be in the picture"
        else:
            why = f"a person was found in {seen} of {len(table)} frames; film one person, whole body in the picture"
        return f"{title}: {why} (report: {report_path})"

    def _refusal(self, refused: Sequence[Finding], report_path: Path) -> str:
        reasons = "; ".join(f"{finding.what}: {finding.measured} ({finding.advice})" for finding in refused)
        return (
            f"{self.footage.title} is not worth training on: {reasons}. Report: {report_path}; --anyway trains on it "
            "all the same"
        )


def _remove_partial_files(home: Path) -> None:
    """Remove what killed writers left; only one preparation at a time works in a folder."""
    for path in home.rglob(".*.partial*"):
        path.unlink(missing_ok=True)
