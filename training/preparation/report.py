"""The report on the footage: one self-contained HTML file with findings, curves over time and pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from motion import skeleton
from motion.crop import resized
from motion.face_region import face_region
from motion.frame import Picture
from motion.pose import Pose
from serving.process.atomic_files import read_picture, written_whole
from training.data.figure import pixel
from training.data.plate import grown
from training.data.split import Split
from training.footage_report.contact_sheet import ContactSheet, seen_from
from training.footage_report.findings import Finding
from training.preparation.detections import Detections
from training.preparation.footage_checks import CheckedFootage
from training.preparation.frame_table import FACE_BOX

_PICTURES: Final = 12
_PICTURE_WIDTH_PX: Final = 360
_CURVE_WIDTH, _CURVE_HEIGHT = 900, 70
_LIMBS_RGB, _FACE_RGB, _OTHER_RGB = (40, 200, 80), (255, 170, 0), (230, 30, 30)
_ON_PERSON: Final = 128

_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 960px; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .35em .6em; vertical-align: top }
tr { border-bottom: 1px solid #ddd } .good { color: #1a7f37 } .warning { color: #9a6700 } .refused { color: #cf222e }
.unknown { color: #666 } .level { font-weight: 600; white-space: nowrap } svg { background: #fafafa; display: block }
figure { display: inline-block; margin: .4em; } figcaption { font-size: 12px; color: #444; max-width: 360px }
"""
_WORDS: Final = {"good": "good", "warning": "warning", "refused": "not usable", "unknown": "not known"}


class ReportPictures:
    """Small pictures of some frames, with their detections drawn in, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._captions = folder / "captions.json"

    def write(
        self,
        seen: Detections,
        frames: Sequence[int],
        pictures: Sequence[Picture],
        others: dict[int, Pose],
    ) -> None:
        """Draw the pose, the outline and the face's box into at most twelve frames, preferring unusual ones.

        frames: the frame numbers. pictures: the same frames, `[H, W, 3]` uint8 RGB. others: second people by frame.
        """
        odd = [frame for frame in frames if frame in others or seen.poses[frame] is None]
        odd = odd[:: max(1, -(-len(odd) // (_PICTURES // 2)))]
        spread = [frames[i] for i in np.linspace(0, len(frames) - 1, _PICTURES - len(odd)).round().astype(int)]
        captions = {}
        for frame in sorted({*odd, *spread}):
            pose = seen.poses[frame]
            drawn = _annotated(pictures[list(frames).index(frame)], pose, seen.mask(frame), others.get(frame))
            with written_whole(self._folder / f"{frame:07d}.jpg") as partial:
                partial.write_bytes(_jpeg(drawn))
            words = "no person found" if pose is None else "another person too" if frame in others else ""
            captions[f"{frame:07d}.jpg"] = f"frame {frame}" + (f": {words}" if words else "")
        with written_whole(self._captions) as partial:
            partial.write_text(json.dumps(captions))

    def figures(self) -> list[tuple[str, bytes]]:
        """The captions and JPEG files, in order; empty if none were written."""
        if not self._captions.is_file():
            return []
        captions = json.loads(self._captions.read_text())
        return [(caption, (self._folder / name).read_bytes()) for name, caption in sorted(captions.items())]


def write_report(
    path: Path,
    title: str,
    checked: CheckedFootage,
    findings: Sequence[Finding],
    split: Split | None,
    pictures: ReportPictures,
    sheet: ContactSheet | None = None,
) -> None:
    """Write the HTML file. sheet: of the wardrobe, None while it is not made. Raises OSError."""
    table = checked.table
    parts = [f"<h1>{escape(title)}</h1>", f"<p>{_verdict(findings)}</p>", _findings_table(findings)]
    if checked.notes:
        parts.append("<h2>How the files were read</h2>")
        parts.append("<ul>" + "".join(f"<li>{escape(note)}" for note in checked.notes) + "</ul>")
    if split is not None:
        held = sum(len(block) for block in split.blocks)
        parts.append(
            f"<p>{int(split.trained.sum())} frames to train on, {held} held out for scores in {len(split.blocks)} "
            "blocks; the rest are the gaps between them.</p>"
        )
    if sheet is not None:
        parts += _wardrobe(sheet)
    parts.append("<h2>Over the footage</h2>")
    parts.append(_strip(table.seen, table.starts, split))
    for name, values in (
        ("body, nose to ankles, pixels", table.body_height_px),
        ("camera movement, pixels", table.camera_shift_px),
        ("light relative to the first frame, levels of 255", table.light_levels),
        ("sharpness around the body", table.sharpness),
    ):
        parts.append(_curve(name, values, table.frame_rate_hz))
    figures = list(pictures.figures())
    plate_path = path.parent / "plate.png"
    if plate_path.is_file():
        figures.append(("the place without the person", _jpeg(_small(read_picture(plate_path)))))
    if figures:
        parts.append("<h2>Pictures</h2><p>Green: joints and outline of the person. Orange: the face. Red: others.</p>")
        parts += [_figure(caption, data) for caption, data in figures]
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    with written_whole(path) as partial:
        partial.write_text(page + "\n".join(parts) + "</html>\n")


def _verdict(findings: Sequence[Finding]) -> str:
    refused = [finding.what for finding in findings if finding.level == "refused"]
    warned = [finding.what for finding in findings if finding.level == "warning"]
    if refused:
        return f"<b class=refused>Not worth training on</b>: {escape(', '.join(refused))}."
    if warned:
        return f"<b class=warning>Usable, but could be better</b>: {escape(', '.join(warned))}."
    return "<b class=good>Good footage.</b>"


def _findings_table(findings: Sequence[Finding]) -> str:
    rows = "".join(
        f"<tr><td class='level {finding.level}'>{_WORDS[finding.level]}<td>{escape(finding.what)}"
        f"<td>{escape(finding.measured)}<td>{escape(finding.advice)}"
        for finding in findings
    )
    return f"<table><tr><th><th>what<th>measured<th>what to do{rows}</table>"


def _wardrobe(sheet: ContactSheet) -> list[str]:
    """The person from each side, and the limbs that were cut from the footage."""
    missing = [facing for facing, picture in sheet.facings.items() if picture is None]
    lacks = f" It does not show the {seen_from(missing, 'or')}." if missing else ""
    parts = [
        "<h2>Wardrobe</h2>",
        f"<p>Limbs from {sheet.key_frames} frames of the footage, {sheet.memory_bytes / 1e6:.0f} MB in memory. "
        f"A dance is drawn with them, so what is not here is guessed.{escape(lacks)}</p>",
    ]
    for facing, picture in sheet.facings.items():
        if picture is not None:
            parts.append(_figure(seen_from([facing]), _jpeg(picture)))
    rows = "".join(
        f"<tr><td>{escape(row.limb.name.lower().replace('_', ' '))}<td>{row.key_frames}<td>"
        + ("not shown" if row.picture is None else _image(_jpeg(row.picture)))
        for row in sheet.limbs
    )
    parts.append(f"<table><tr><th>limb<th>frames that show it<th>the most different ones{rows}</table>")
    return parts


def _strip(seen: NDArray[np.bool_], starts: frozenset[int], split: Split | None) -> str:
    """A strip that shows missing people, the starts of files, cuts and leaps, and held-out blocks."""
    scale = _CURVE_WIDTH / len(seen)
    shapes = [f"<rect width={_CURVE_WIDTH} height=18 fill='#b7e1c0'/>"]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ~seen, [0]]).astype(int)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        width = max(0.5, (end - start) * scale)
        shapes.append(f"<rect x={start * scale:.1f} width={width:.1f} height=18 fill='#cf222e'/>")
    if split is not None:
        shapes += [
            f"<rect x={b.start * scale:.1f} y=20 width={max(1, len(b) * scale):.1f} height=6 fill='#0969da'/>"
            for b in split.blocks
        ]
    shapes += [f"<rect x={start * scale:.1f} width=1 height=18 fill='#000'/>" for start in sorted(starts - {0})]
    words = "person seen (green) or not (red); cuts, leaps and starts of files (black); held out for scores (blue)"
    return f"<p>{words}</p><svg width={_CURVE_WIDTH} height=28>{''.join(shapes)}</svg>"


def _curve(name: str, values: NDArray[np.float32], frame_rate_hz: float) -> str:
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 2:
        return f"<p>{escape(name)}: not measured</p>"
    low, high = float(values[known].min()), float(values[known].max())
    shown = known[np.unique(np.linspace(0, len(known) - 1, 2 * _CURVE_WIDTH).astype(int))]
    x = shown / max(1, len(values) - 1) * _CURVE_WIDTH
    y = _CURVE_HEIGHT - 2 - (values[shown] - low) / max(high - low, 1e-6) * (_CURVE_HEIGHT - 4)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    words = f"{name}: {low:.1f} to {high:.1f}, over {len(values) / frame_rate_hz:.0f} s"
    line = f"<polyline points='{points}' fill=none stroke='#0969da'/>"
    return f"<p>{escape(words)}</p><svg width={_CURVE_WIDTH} height={_CURVE_HEIGHT}>{line}</svg>"


def _figure(caption: str, data: bytes) -> str:
    return f"<figure>{_image(data)}<figcaption>{escape(caption)}</figcaption></figure>"


def _image(data: bytes) -> str:
    return f"<img src='data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}'>"


def _annotated(picture: Picture, pose: Pose | None, mask: NDArray[np.uint8], other: Pose | None) -> Picture:
    drawn = np.array(picture)
    thickness_px = max(1, round(picture.shape[1] / 320))
    inside = np.where(mask >= _ON_PERSON, 255, 0).astype(np.uint8)
    drawn[(grown(inside, thickness_px) > 0) & (inside == 0)] = _LIMBS_RGB
    for person, colour in ((pose, _LIMBS_RGB), (other, _OTHER_RGB)):
        if person is None:
            continue
        for start, end in skeleton.BODY_LIMBS:
            a, b = person.joint(start), person.joint(end)
            if a is not None and b is not None:
                cv2.line(drawn, pixel(a), pixel(b), colour, thickness_px, cv2.LINE_AA)
    region = None if pose is None else face_region(pose, FACE_BOX, picture.shape[1], picture.shape[0])
    if region is not None:
        corner = (region.x_px + region.side_px, region.y_px + region.side_px)
        cv2.rectangle(drawn, (region.x_px, region.y_px), corner, _FACE_RGB, thickness_px)
    return _small(drawn)


def _small(picture: Picture) -> Picture:
    height_px, width_px = picture.shape[:2]
    scale = _PICTURE_WIDTH_PX / max(width_px, height_px)
    return resized(picture, max(1, round(width_px * scale)), max(1, round(height_px * scale)))


def _jpeg(picture: Picture) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality=88))
