"""Is the footage worth training on? What was measured, judged, with what to film again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from motion.crop import Crop
from motion.frame import FrameSize
from training.data.split import FEWEST_FRAMES
from training.preparation.frame_table import FrameTable

Level = Literal["good", "warning", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the footage. measured: in words, with numbers. advice: what to do; empty where all is well."""

    level: Level
    what: str
    measured: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """Its words by name."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Footing:
    """What `judge` judges beside the table.

    onto_plate: whether the network draws onto a plate, which wants a camera that stands still. crop: None where
    nobody was found. lost_frames: that do not decode. notes: how the files were read, where that is not plain.
    looked_for_others: in how many frames somebody else was looked for, and others_found in how many of them there was
    somebody; None where the source of the poses tells for every frame. never_seen: the share of the place that the
    person always hid; None before that is known.
    props: in how many frames something is beside the person; None before that is known.
    rates_hz: of the files, in their order, as they are read; all are timed by the first one's.
    """

    table: FrameTable
    frame_size: FrameSize
    crop: Crop | None
    onto_plate: bool
    lost_frames: int = 0
    notes: Sequence[str] = ()
    looked_for_others: int | None = None
    others_found: int = 0
    drawn_masks: int = 0
    never_seen: float | None = None
    props: int | None = None
    rates_hz: Sequence[float] = ()


_MUCH: Final = 98.0
"""Percentile that stands for "as much as": single wrong measures do not count."""
_RATES_DIFFER: Final = 0.03
"""Part of the first file's rate; cameras say 29.97 and mean 30."""


def judge(footing: Footing) -> list[Finding]:
    """All findings, in the order in which people should read them."""
    table = footing.table
    found = [_people(table)]
    if table.seen.any():
        found += [_length(table), _whole_body(table), _size(footing), _faces(table), _hands(table)]
        found += [_others(footing), _movement(table)]
    found += [_camera(footing), _light(footing), _cuts(table), _leaps(table), _rate(table), _sharpness(table)]
    if any(abs(rate_hz / table.frame_rate_hz - 1) > _RATES_DIFFER for rate_hz in footing.rates_hz):
        found.append(_rates(footing.rates_hz))
    if footing.lost_frames:
        count = f"{footing.lost_frames} frames of the footage could not be decoded"
        found.append(Finding("warning", "damage", count, "copy the files from the camera again"))
    if footing.drawn_masks:
        said = f"in {footing.drawn_masks} of {len(table)} frames the person was cut out around the joints"
        found.append(Finding("warning", "outlines", said, "clothes wider than that are learned as part of the place"))
    if footing.never_seen is not None and footing.onto_plate:
        found.append(_plate(footing.never_seen))
    if footing.props is not None:
        found.append(_props(footing.props, len(table)))
    return found


def refusals(findings: Sequence[Finding]) -> list[Finding]:
    """Those that make training a waste of time."""
    return [finding for finding in findings if finding.level == "refused"]


def _level(value: float, warn_from: float, refuse_from: float = float("inf")) -> Level:
    """More is worse."""
    return "refused" if value >= refuse_from else "warning" if value >= warn_from else "good"


def _people(table: FrameTable) -> Finding:
    frames, seen = len(table), int(table.seen.sum())
    missed = 1 - seen / frames
    level = "refused" if seen < FEWEST_FRAMES else _level(missed, 0.05, 0.5)
    advice = "film one person, all of them in the picture all the time, in even light and before a plain place"
    return Finding(level, "poses", f"a person in {seen} of {frames} frames", "" if level == "good" else advice)


def _length(table: FrameTable) -> Finding:
    seconds = float(table.seen.sum()) / table.frame_rate_hz
    short = seconds < 60
    said = f"{seconds:.0f} seconds of the person" if seconds < 120 else f"{seconds / 60:.1f} minutes of the person"
    advice = "a minute or more makes a dancer; the paper films 8 to 17 minutes" if short else ""
    return Finding("warning" if short else "good", "length", said, advice)


def _whole_body(table: FrameTable) -> Finding:
    share = float(table.whole_body.sum() / table.seen.sum())
    level = _level(1 - share, 0.1, 0.5)
    advice = "" if level == "good" else "keep head and both feet in the picture: step back, or turn the camera upright"
    return Finding(level, "whole body", f"head and both ankles in {share:.0%} of the frames with a person", advice)


def _size(footing: Footing) -> Finding:
    table, crop = footing.table, footing.crop
    if crop is None or not table.whole_body.any():
        return Finding("unknown", "size", "not measured: no whole body", "")
    height_px = float(np.nanmedian(table.body_height_px))
    drawn_px = height_px * crop.out_height_px / crop.height_px
    share = drawn_px / crop.out_height_px
    said = f"nose to ankles {height_px:.0f} pixels in the footage, {drawn_px:.0f} of {crop.out_height_px} as drawn"
    if share < 0.35:
        advice = "come nearer, or walk about less: the network's picture must hold every place where you stood"
        return Finding(_level(-share, -0.35, -0.15), "size", said, advice)
    if drawn_px > height_px * 1.1:
        return Finding(
            "warning", "size", said, "the footage has fewer pixels than the network draws: film nearer or in more"
        )
    return Finding("good", "size", said)


def _faces(table: FrameTable) -> Finding:
    share = float(table.face.sum() / table.seen.sum())
    level = _level(1 - share, 0.4)
    sides_px = table.face_box_px[table.face, 2]
    size = f", {np.median(sides_px) / 2:.0f} pixels large" if len(sides_px) else ""
    advice = "" if level == "good" else "without faces there is nothing to learn a face from: look at the camera more"
    return Finding(level, "faces", f"seen in {share:.0%} of the frames with a person{size}", advice)


def _hands(table: FrameTable) -> Finding:
    left, right = (float(hand.sum() / table.seen.sum()) for hand in (table.left_hand, table.right_hand))
    level = _level(1 - max(left, right), 0.5)
    advice = "" if level == "good" else "hands stay soft: show them, film nearer, in more light or with less blur"
    return Finding(level, "hands", f"left in {left:.0%}, right in {right:.0%} of the frames with a person", advice)


def _others(footing: Footing) -> Finding:
    advice = "film alone: whoever else is in the picture is learned as part of the place or of you"
    if footing.looked_for_others is None:
        several = int((footing.table.people > 1).sum())
        share, said = several / len(footing.table), f"more than one person in {several} of {len(footing.table)} frames"
    elif footing.looked_for_others == 0:
        return Finding("unknown", "other people", "not checked")
    else:
        share = footing.others_found / footing.looked_for_others
        said = (
            f"somebody else in {footing.others_found} of {footing.looked_for_others} frames that were looked at again "
            "with the person painted over"
        )
    level = _level(share, 1e-9, 0.5)
    return Finding(level, "other people", said, "" if level == "good" else advice)


def _movement(table: FrameTable) -> Finding:
    up, turned = (float(part.sum() / table.seen.sum()) for part in (table.arms_up, table.turned_away))
    said = f"arms above the head in {up:.0%}, turned away in {turned:.0%} of the frames with a person"
    advice = "move as the dances will: what the footage never shows is guessed (raise your arms)" if up < 0.02 else ""
    return Finding("warning" if advice else "good", "movement", said, advice)


def _camera(footing: Footing) -> Finding:
    table = footing.table
    looked = table.camera_shift_px[np.isfinite(table.camera_shift_px)]
    if not len(looked):
        return Finding("unknown", "camera", "not measured: too little of the place can be followed")
    shift_px, farthest_px = float(np.percentile(looked, _MUCH)), float(looked.max())
    crop = footing.crop
    scale = crop.out_height_px / crop.height_px if crop else 256 / footing.frame_size.height_px
    said = f"moved by {shift_px:.1f} pixels ({shift_px * scale:.1f} as drawn), once by {farthest_px:.1f}"
    level = _level(shift_px * scale, 1.0, 4.0) if footing.onto_plate else "good"
    advice = "" if level == "good" else "put the camera on a tripod or a shelf, and do not touch it between recordings"
    return Finding(level, "camera", said, advice)


def _light(footing: Footing) -> Finding:
    levels = footing.table.light_levels[np.isfinite(footing.table.light_levels)]
    if not len(levels):
        return Finding("unknown", "light", "not measured")
    change = _spread(levels)
    level = _level(change, 10.0, 50.0) if footing.onto_plate else _level(change, 10.0)
    advice = "" if level == "good" else "film in even light: no clouds at a window, no automatic exposure"
    return Finding(level, "light", f"changes by {change:.0f} of 255 levels", advice)


def _spread(values: NDArray[np.float32]) -> float:
    low, high = np.percentile(values, [100 - _MUCH, _MUCH])
    return float(high - low)


def _cuts(table: FrameTable) -> Finding:
    advice = "take the recording as the camera made it, not an edited one, in light that does not jump"
    return _breaks("cuts", table.cuts, table, advice)


def _leaps(table: FrameTable) -> Finding:
    advice = "film alone, and do not edit: the detector goes to somebody else, or the recording jumps"
    return _breaks("leaps", len(table.leaps), table, advice)


def _breaks(name: str, count: int, table: FrameTable, advice: str) -> Finding:
    """Frames that do not follow the one before them: any is a warning, one in two seconds too many; one alone never."""
    level = _level(count * table.frame_rate_hz / len(table), 1e-9, 0.5) if count > 1 else _level(count, 1)
    said = f"{count} within the files" if count else "none"
    return Finding(level, name, said, "" if level == "good" else advice)


def _rate(table: FrameTable) -> Finding:
    slow = table.frame_rate_hz < 14.5
    advice = "film at 25 frames a second or more: in between the body moves too far" if slow else ""
    said = f"{table.frame_rate_hz:.4g} frames a second"
    return Finding("warning" if slow else "good", "frame rate", said, advice)


def _rates(rates_hz: Sequence[float]) -> Finding:
    said = f"the files have {', '.join(f'{rate_hz:.4g}' for rate_hz in rates_hz)} frames a second"
    advice = "film all of them at one rate, or thin the faster ones with --frame-rate: all are timed as the first one"
    return Finding("warning", "frame rates", said, advice)


def _sharpness(table: FrameTable) -> Finding:
    values = table.sharpness[np.isfinite(table.sharpness)]
    if not len(values):
        return Finding("unknown", "sharpness", "not measured")
    blurred = float((values < 0.35 * np.median(values)).mean())
    level = _level(blurred, 0.1)
    advice = "" if level == "good" else "more light, or a shorter exposure: blurred limbs are learned blurred"
    return Finding(level, "sharpness", f"{blurred:.0%} of the frames are much less sharp than the others", advice)


def _plate(never_seen: float) -> Finding:
    level = _level(never_seen, 0.01)
    advice = "" if level == "good" else "walk through the picture once, or leave it for a second: the rest is guessed"
    return Finding(level, "place", f"{never_seen:.1%} of it is always hidden by the person", advice)


def _props(frames_with_props: int, frames: int) -> Finding:
    level = _level(frames_with_props / frames, 0.05)
    advice = "" if level == "good" else "nothing in the hands, nothing that moves beside you; it is painted over"
    return Finding(
        level, "props", f"something moves beside the person in {frames_with_props} of {frames} frames", advice
    )


def summary(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """For JSON."""
    return [finding.to_dict() for finding in findings]
