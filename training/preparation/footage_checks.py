"""Checks whether the footage is worth training on: findings from its measurements, with advice for filming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from motion.crop import Crop
from motion.frame import FrameSize
from training.data.split import FEWEST_FRAMES
from training.footage_report.coverage import Flags
from training.footage_report.coverage_checks import check_coverage
from training.footage_report.findings import Finding, Level
from training.place.steady_camera import SteadyCamera
from training.preparation.frame_table import FrameTable


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedFootage:
    """The input of `check_footage`: the table and facts about the footage.

    onto_plate: whether the network draws onto a plate, which needs frames that are held still. camera: how that was
    done; None if the camera stands still. crop: None if no person was found. lost_frames: frames that do not decode.
    notes: the reader's decisions about the files. looked_for_others: the number of frames searched for other people,
    None if the poses' source lists everyone; others_found: the number of those with another person. never_seen: the
    fraction of the place that the person always hid; None while unknown. props: the number of frames with something
    beside the person; None while unknown. rates_hz: of the files, in order, as they are read; all are timed with the
    first one's.
    """

    table: FrameTable
    frame_size: FrameSize
    crop: Crop | None
    onto_plate: bool
    camera: SteadyCamera | None = None
    lost_frames: int = 0
    notes: Sequence[str] = ()
    looked_for_others: int | None = None
    others_found: int = 0
    drawn_masks: int = 0
    never_seen: float | None = None
    props: int | None = None
    rates_hz: Sequence[float] = ()


_LARGEST_BODY: Final = 0.63
"""Nose to ankles in heights of the picture. Raised arms reach 1.3 body heights, and this is 0.82 of one."""
_MUCH: Final = 98.0
"""The percentile used as the maximum, so that single wrong measures do not count."""
_SHAKES: Final = 0.03
_PANS: Final = 0.1
"""Movements of the camera as fractions of the frame's width: what shakes is warned of, what pans is refused."""
_MOST_UNKNOWN: Final = 0.25
_RATES_DIFFER: Final = 0.03
"""As a fraction of the first file's rate; cameras report 29.97 for 30."""


def check_footage(checked: CheckedFootage) -> list[Finding]:
    """All findings, in reading order."""
    table = checked.table
    found = [_people(table)]
    if table.seen.any():
        found += [_length(table), _whole_body(table), _size(checked), _faces(table), _hands(table)]
        found += check_coverage(table.views, table.frame_rate_hz)
        found.append(_others(checked))
    found += [_camera(checked), _light(checked)]
    advice = "use the camera's own recording, not an edited one, in light that does not jump"
    found.append(_breaks("cuts", table.cuts, table, advice))
    advice = "film alone, and do not edit: the detector switches to another person, or the recording jumps"
    found += [_breaks("leaps", len(table.leaps), table, advice), _rate(table), _sharpness(table)]
    if any(abs(rate_hz / table.frame_rate_hz - 1) > _RATES_DIFFER for rate_hz in checked.rates_hz):
        rates = ", ".join(f"{rate_hz:.4g}" for rate_hz in checked.rates_hz)
        advice = "film all of them at one rate, or thin faster ones with --frame-rate: all are timed like the first one"
        found.append(Finding("warning", "frame rates", f"the files have {rates} frames per second", advice))
    if checked.lost_frames:
        count = f"{checked.lost_frames} frames of the footage could not be decoded"
        found.append(Finding("warning", "damage", count, "copy the files from the camera again"))
    if checked.drawn_masks:
        said = f"in {checked.drawn_masks} of {len(table)} frames the person was cut out around the joints"
        found.append(Finding("warning", "outlines", said, "clothes wider than that are learned as part of the place"))
    if checked.never_seen is not None and checked.onto_plate:
        said = f"{checked.never_seen:.1%} of it is always hidden by the person"
        advice = "walk across the picture once, or leave it for a second: the rest is guessed"
        found.append(_finding(_level(checked.never_seen, 0.01), "place", said, advice))
    if checked.props is not None:
        said = f"something moves beside the person in {checked.props} of {len(table)} frames"
        advice = "hold nothing, and let nothing move beside you: it is painted over"
        found.append(_finding(_level(checked.props / len(table), 0.05), "props", said, advice))
    return found


def refusals(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that make training a waste of time."""
    return [finding for finding in findings if finding.level == "refused"]


def _level(value: float, warn_from: float, refuse_from: float = float("inf")) -> Level:
    """The level of a value of which more is worse."""
    return "refused" if value >= refuse_from else "warning" if value >= warn_from else "good"


def _finding(level: Level, what: str, measured: str, advice: str) -> Finding:
    """A finding that drops its advice if all is well."""
    return Finding(level, what, measured, "" if level == "good" else advice)


def _share(flags: Flags, table: FrameTable) -> float:
    """The fraction of the frames with a person that have this flag."""
    return float(flags.sum() / table.seen.sum())


def _people(table: FrameTable) -> Finding:
    frames, seen = len(table), int(table.seen.sum())
    level = "refused" if seen < FEWEST_FRAMES else _level(1 - seen / frames, 0.05, 0.5)
    advice = "film one person, whole and always in the picture, in even light in front of a plain background"
    return _finding(level, "poses", f"a person in {seen} of {frames} frames", advice)


def _length(table: FrameTable) -> Finding:
    seconds = float(table.seen.sum()) / table.frame_rate_hz
    said = f"{seconds:.0f} seconds of the person" if seconds < 120 else f"{seconds / 60:.1f} minutes of the person"
    advice = "film for twenty seconds or more: every second adds limbs in other positions"
    return _finding("warning" if seconds < 15 else "good", "length", said, advice)


def _whole_body(table: FrameTable) -> Finding:
    share = _share(table.whole_body, table)
    said = f"head and both ankles in {share:.0%} of the frames with a person"
    advice = "keep head and both feet in the picture: step back, or turn the camera upright"
    return _finding(_level(1 - share, 0.1, 0.5), "whole body", said, advice)


def _size(checked: CheckedFootage) -> Finding:
    table, crop = checked.table, checked.crop
    if crop is None or not table.whole_body.any():
        return Finding("unknown", "size", "not measured: no whole body")
    height_px = float(np.nanmedian(table.body_height_px))
    drawn_px = height_px * crop.out_height_px / crop.height_px
    share = drawn_px / crop.out_height_px
    said = f"nose to ankles {height_px:.0f} pixels in the footage, {drawn_px:.0f} of {crop.out_height_px} as drawn"
    if share < 0.35:
        advice = "come closer, or move around less: the network's picture must contain every place where you stood"
        return Finding(_level(-share, -0.35, -0.15), "size", said, advice)
    if share > _LARGEST_BODY:
        advice = "raised arms would leave the picture: raise and stretch them in the footage, or step back"
        return Finding("warning", "size", said, advice)
    advice = "the footage has fewer pixels than the network draws: film closer or in more pixels"
    return _finding("warning" if drawn_px > height_px * 1.1 else "good", "size", said, advice)


def _faces(table: FrameTable) -> Finding:
    share = _share(table.face, table)
    sides_px = table.face_box_px[table.face, 2]
    size = f", {np.median(sides_px) / 2:.0f} pixels large" if len(sides_px) else ""
    said = f"seen in {share:.0%} of the frames with a person{size}"
    return _finding(_level(1 - share, 0.4), "faces", said, "a face is learned only from faces: look at the camera more")


def _hands(table: FrameTable) -> Finding:
    left, right = (_share(hand, table) for hand in (table.left_hand, table.right_hand))
    said = f"left in {left:.0%}, right in {right:.0%} of the frames with a person"
    advice = "hands stay soft: show them, film closer, in more light or with less blur"
    return _finding(_level(1 - max(left, right), 0.5), "hands", said, advice)


def _others(checked: CheckedFootage) -> Finding:
    found, of = checked.others_found, checked.looked_for_others
    if of is None:
        found, of = int((checked.table.people > 1).sum()), len(checked.table)
        said = f"more than one person in {found} of {of} frames"
    elif of == 0:
        return Finding("unknown", "other people", "not checked")
    else:
        said = f"another person in {found} of {of} frames that were searched again with the person painted over"
    advice = "film alone: other people in the picture are learned as part of the place or of you"
    return _finding(_level(found / of, 1e-9, 0.2), "other people", said, advice)


def _camera(checked: CheckedFootage) -> Finding:
    camera, shifts_px = checked.camera, checked.table.camera_shift_px[np.isfinite(checked.table.camera_shift_px)]
    if not len(shifts_px):
        return Finding("unknown", "camera", "not measured: too little of the place can be tracked")
    if camera is None:
        said = f"stands still: moved by {np.percentile(shifts_px, _MUCH):.1f} pixels"
        return Finding("good", "camera", said)
    share = camera.shift_px / checked.frame_size.width_px
    said = f"moved by {camera.shift_px:.0f} pixels, {share:.1%} of the frame's width"
    if not checked.onto_plate:
        return Finding("good", "camera", said)
    lost = f"in {camera.unknown:.0%} of the frames it could not be followed"
    advice = (
        "do not turn after the person: put the camera on a tripod or a shelf, where the whole dance is in the picture"
    )
    if camera.unknown >= _MOST_UNKNOWN:
        if share < _SHAKES:
            advice = "stand farther away, so that the picture shows more of a place with corners"
        return Finding("refused", "camera", f"{said}; {lost}", advice)
    if share >= _PANS:
        return Finding("refused", "camera", said, advice)
    said += "; every frame was held still" + (f"; {lost}" if camera.unknown else "")
    advice = "a tripod or a shelf keeps the place sharper"
    return _finding(_level(share, _SHAKES), "camera", said, advice)


def _light(checked: CheckedFootage) -> Finding:
    levels = checked.table.light_levels[np.isfinite(checked.table.light_levels)]
    if not len(levels):
        return Finding("unknown", "light", "not measured")
    low, high = np.percentile(levels, [100 - _MUCH, _MUCH])
    change = float(high - low)
    level = _level(change, 10.0, 50.0) if checked.onto_plate else _level(change, 10.0)
    advice = "film in even light: no clouds at a window, no automatic exposure"
    return _finding(level, "light", f"changes by {change:.0f} of 255 levels", advice)


def _breaks(name: str, count: int, table: FrameTable, advice: str) -> Finding:
    """Frames that do not follow the one before: any is a warning, one in two seconds is refused; a single one never."""
    level = _level(count * table.frame_rate_hz / len(table), 1e-9, 0.5) if count > 1 else _level(count, 1)
    return _finding(level, name, f"{count} within the files" if count else "none", advice)


def _rate(table: FrameTable) -> Finding:
    slow = table.frame_rate_hz < 14.5
    said = f"{table.frame_rate_hz:.4g} frames per second"
    advice = "film at 25 frames per second or more: at this rate the body moves too far between frames"
    return _finding("warning" if slow else "good", "frame rate", said, advice)


def _sharpness(table: FrameTable) -> Finding:
    values = table.sharpness[np.isfinite(table.sharpness)]
    if not len(values):
        return Finding("unknown", "sharpness", "not measured")
    blurred = float((values < 0.35 * np.median(values)).mean())
    said = f"{blurred:.0%} of the frames are much less sharp than the others"
    advice = "use more light or a shorter exposure: blurred limbs are learned blurred"
    return _finding(_level(blurred, 0.1), "sharpness", said, advice)
