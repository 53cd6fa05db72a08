"""Ways to damage a stored actor, each with the expected error message."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEEP = "[" * 100_000 + "]" * 100_000


def field(path: str, literal: str) -> Callable[[Path], None]:
    """Replace a field of version 1's actor.json, given as a dotted path, with the JSON text `literal`."""

    def damage(home: Path) -> None:
        file = home / "1" / "actor.json"
        document = json.loads(file.read_text())
        *parts, name = path.split(".")
        inner: Any = document
        for part in parts:
            inner = inner[part]
        inner[name] = "HERE"
        file.write_text(json.dumps(document).replace('"HERE"', literal))

    return damage


def text(name: str, content: str | bytes) -> Callable[[Path], None]:
    """Overwrite a file in the actor's folder."""

    def damage(home: Path) -> None:
        (home / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return damage


def other_kind(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Replace a file with something that is not a file."""

    def damage(home: Path) -> None:
        (home / name).unlink(missing_ok=True)
        make(home / name)

    return damage


def grown(name: str, size_bytes: int) -> Callable[[Path], None]:
    """Change a file's size; a sparse file takes no disk space."""
    return lambda home: os.truncate(home / name, size_bytes)


def endless(path: Path) -> None:
    """Create a sparse file of one gigabyte."""
    path.touch()
    os.truncate(path, 2**30)


def renamed(name: str) -> Callable[[Path], None]:
    """Rename the folder of version 1."""

    def damage(home: Path) -> None:
        (home / "1").rename(home / name)

    return damage


def loop(path: Path) -> None:
    """Create a link to itself."""
    path.symlink_to(path.name)


METADATA = "1/actor.json"
STAGE = {"x_px": 0, "y_px": 0, "out_width_px": 32, "out_height_px": 32}
DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "infinity": (field("frame_rate_hz", "Infinity"), "frame_rate_hz: expected a number, got inf"),
    "overflow": (field("frame_rate_hz", "1e400"), "frame_rate_hz: expected a number, got inf"),
    "nan": (field("face_rule.side_per_face_size", "NaN"), "face_rule.side_per_face_size: expected a number, got nan"),
    "frames-infinite": (field("body.frames", "Infinity"), "body.frames: expected a number"),
    "frames-many": (field("body.frames", "4294967296"), "body: frames of body stats must be a number, got 4294967296"),
    "body-huge": (field("body.hip_x", "1" + "0" * 400), "body.hip_x: expected a number, got 1000"),
    "endless-number": (field("stage.x_px", "1" * 5000), "actor.json: contains a number with thousands of digits"),
    "deep": (field("scores", DEEP), "is nested more than 64 levels deep"),
    "deep-known": (field("stage", DEEP), "is nested more than 64 levels deep"),
    "fraction": (field("stage.out_width_px", "63.5"), "stage.out_width_px: expected a whole number"),
    "huge-size": (field("stage.width_px", "100000000000"), "stage.width_px: expected a whole number from 1 to 16384"),
    "huge-area": (
        field("stage", json.dumps(dict.fromkeys(("width_px", "height_px"), 16384) | STAGE)),
        "stage: expected at most 134217728 pixels of the footage, got 16384x16384",
    ),
    "frame-huge": (
        field("frame_size.width_px", "65536"),
        "frame_size.width_px: expected a whole number from 1 to 8192",
    ),
    "frame-zero": (field("frame_size.height_px", "0"), "frame_size.height_px: expected a whole number from 1"),
    "frame-true": (field("frame_size.height_px", "true"), "frame_size.height_px: expected a whole number"),
    "frame-text": (field("frame_size", '"64x64"'), "frame_size: expected an object, got '64x64'"),
    "frame-more": (field("frame_size.depth_px", "3"), "frame_size.depth_px: no such field"),
    "crop-huge": (field("face_rule.crop_px", "1000000"), "face_rule.crop_px: expected a whole number"),
    "network-huge": (field("generator.blocks", "1000000000"), "generator.blocks: expected a whole number"),
    "map-version-huge": (field("label_map_version", "4294967296"), "label_map_version: expected a whole number"),
    "map-version-text": (field("label_map_version", '"1"'), "label_map_version: expected a whole number"),
    "surrogate": (field("preset", '"\\ud800"'), "preset: expected a string, got half a surrogate pair"),
    "surrogate-name": (field("scores", '{"\\udc00": 1}'), "scores.'\\udc00': expected a string, got half"),
    "preset-long": (field("preset", f'"{"x" * 100_000}"'), "preset: expected a string of at most 200 characters"),
    "preset-list": (field("preset", "[]"), "preset: expected a string of at most 200 characters, got a list"),
    "id-path": (field("id", '"../other"'), "id: expected an actor's id, got '../other'"),
    "double": (text(METADATA, '{"format": 1, "format": 1}'), "has two fields format in one object"),
    "other-format": (field("format", "3"), "is stored in format 3, this server reads formats 1 and 2"),
    "format-huge": (field("format", "9" * 100), "format: expected a number"),
    "reference-alone": (
        field("generator.reference", "true"),
        "wardrobe: is missing, and the network takes a reference",
    ),
    "wardrobe-alone": (
        field("wardrobe", '{"version": 1, "key_frames": 1, "facings": []}'),
        "wardrobe: expected null, because the network takes no reference",
    ),
    "wardrobe-huge": (
        field("wardrobe", '{"version": 1, "key_frames": 1025, "facings": []}'),
        "wardrobe.key_frames: expected a whole number from 1 to 1024, got 1025",
    ),
    "wardrobe-facing": (
        field("wardrobe", '{"version": 1, "key_frames": 1, "facings": ["above"]}'),
        "wardrobe.facings[0]: expected one of front, left, right, back, got 'above'",
    ),
    "missing-field": (text(METADATA, '{"format": 1}'), "id: is missing, expected a string"),
    "list": (text(METADATA, "[]"), "expected an object, got a list"),
    "empty": (text(METADATA, ""), "is not JSON"),
    "no-text": (text(METADATA, b"\xff\xfe\x00"), "is not JSON: byte 0 is not UTF-8"),
    "endless": (grown(METADATA, 2**30), "actor.json: has 1073741824 bytes, at most 1048576 are read"),
    "fifo": (other_kind(METADATA, os.mkfifo), "actor.json: is not a regular file"),
    "device": (other_kind(METADATA, lambda path: path.symlink_to("/dev/zero")), "actor.json: is not a regular file"),
    "loop": (other_kind(METADATA, loop), "actor.json cannot be read: Too many levels of symbolic links"),
    "folder": (other_kind(METADATA, Path.mkdir), "actor.json: is not a regular file"),
    "plate-huge": (grown("1/plate.png", 2**40), "plate.png: has 1099511627776 bytes, at most 268435456 are read"),
    "plate-fifo": (other_kind("1/plate.png", os.mkfifo), "plate.png: is not a regular file"),
    "network-file-huge": (grown("1/generator.onnx", 2**31), "generator.onnx: has 2147483648 bytes, at most 2147483647"),
    "network-loop": (other_kind("1/generator.onnx", loop), "generator.onnx cannot be read: Too many levels"),
    "network-empty": (grown("1/generator.onnx", 0), "generator.onnx: is empty"),
    "network-gone": (lambda home: (home / "1" / "generator.onnx").unlink(), "lacks generator.onnx"),
    "served-infinite": (text("serving.json", '{"version": Infinity}'), "serving.json: version: expected a number"),
    "served-fraction": (text("serving.json", '{"version": 1.0}'), "serving.json: version: expected a whole number"),
    "served-huge": (text("serving.json", '{"version": 4294967296}'), "serving.json: version: expected a whole number"),
    "served-deep": (text("serving.json", DEEP), "serving.json: is nested more than 64 levels deep"),
    "served-share": (
        text("serving.json", '{"version": 1, "canary": {"version": 2, "percent": 1e400}}'),
        "serving.json: canary.percent: expected a number, got inf",
    ),
    "served-fifo": (other_kind("serving.json", os.mkfifo), "serving.json: is not a regular file"),
    "served-endless": (
        other_kind("serving.json", endless),
        "serving.json: has 1073741824 bytes",
    ),
    "served-nowhere": (
        other_kind("serving.json", lambda path: path.symlink_to("gone")),
        "serving.json is a broken link",
    ),
    "version-huge": (renamed(str(2**32)), "folder 4294967296: versions are whole"),
    "version-endless": (renamed("9" * 200), "versions are whole numbers from 1 to"),
}
