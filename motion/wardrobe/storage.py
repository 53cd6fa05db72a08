"""The file of a wardrobe: plain arrays in NumPy's npz format, whose sizes are checked before anything is read."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.documents import BadDocument, read_bounded
from motion.floor_shadow import STRENGTH_SIDE, Shadow
from motion.pose import MAX_POSITION_PX, Pose
from motion.wardrobe.limbs import LAYER_COUNT, LIMB_COUNT
from motion.wardrobe.pieces import WARDROBE_VERSION, Wardrobe
from motion.wardrobe.placing import MEASURED_LIMBS

WARDROBE_FILE: Final = "wardrobe.npz"
"""The name of a wardrobe's file in an actor's folder."""
MOST_WARDROBE_BYTES: Final = 64 * 2**20
"""The size limit of the file."""
MOST_KEY_FRAMES_READ: Final = 1024
MOST_SIDE_PX: Final = 4096
MOST_PIXELS: Final = 64 * 2**20
"""The size limit of the pieces in memory is four times as many bytes."""

_MOST_SHADOW: Final = 8
_MOST_SOFTNESS: Final = 0.2
"""The time to draw a shadow grows with its softness. Those fitted to footage have 0.03 at most."""
_HEADER_BYTES: Final = 1024
_DIRECTORY_ENTRY: Final = b"PK\x01\x02"
_MOST_DIRECTORY_ENTRIES: Final = 64
"""A directory may fill the whole file: it took half a minute to list 1.4 million names. Compressed pixels may contain
the signature too, by chance."""
_COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENTRIES: Final = {
    "version": ("<i8", ()),
    "size_px": ("<i8", (2,)),
    "frames": ("<i8", (None,)),
    "joints": ("<f4", (None, skeleton.JOINT_COUNT, 3)),
    "limb_lengths_px": ("<f8", (len(MEASURED_LIMBS),)),
    "corners_px": ("<i4", (None, LAYER_COUNT, 4)),
    "hidden": ("<f4", (None, LIMB_COUNT)),
    "flaws": ("<f4", (None, LIMB_COUNT)),
    "shadow": ("<f8", (4,)),
    "shadow_strength": ("|u1", (STRENGTH_SIDE, STRENGTH_SIDE)),
    "pixels": ("|u1", (None, 4)),
}
"""Name, type and shape of every array; None for any number. Joints are x, y and confidence. The shadow is its lean,
rise, softness and highest ground; a softness of 0 stands for no shadow. Pixels are stored as differences from the pixel
before, modulo 256, which compress better."""


class OtherWardrobeVersion(BadDocument):
    """A wardrobe of a version that this code does not draw."""


def write_wardrobe(path: Path, wardrobe: Wardrobe) -> None:
    """Write a wardrobe's file. The same wardrobe always becomes the same bytes. Raises OSError."""
    arrays: dict[str, Any] = {
        "version": np.array(WARDROBE_VERSION, np.int64),
        "size_px": np.array([wardrobe.width_px, wardrobe.height_px], np.int64),
        "frames": wardrobe.frames,
        "joints": np.stack([np.column_stack([pose.joints_px, pose.confidence]) for pose in wardrobe.poses]),
        "limb_lengths_px": wardrobe.limb_lengths_px,
        "corners_px": wardrobe.corners_px,
        "hidden": wardrobe.hidden,
        "flaws": wardrobe.flaws,
        "pixels": np.diff(wardrobe.pixels, axis=0, prepend=np.zeros((1, 4), np.uint8)),
    }
    shadow = wardrobe.shadow
    numbers = (0, 0, 0, 0) if shadow is None else (shadow.lean, shadow.rise, shadow.softness, shadow.highest_ground)
    arrays["shadow"] = np.array(numbers, np.float64)
    arrays["shadow_strength"] = np.zeros((STRENGTH_SIDE,) * 2, np.uint8) if shadow is None else shadow.strength
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_wardrobe(path: Path) -> Wardrobe:
    """Read a wardrobe's file.

    Raises OSError, OtherWardrobeVersion, and BadDocument for a file that is too large or damaged; the message names the
    damaged array.
    """
    data = read_bounded(path, MOST_WARDROBE_BYTES)
    if data.count(_DIRECTORY_ENTRY) > _MOST_DIRECTORY_ENTRIES:
        raise BadDocument(f"is not a wardrobe: expected {len(_ENTRIES)} arrays")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            version = int(_read_array(archive, "version", 0))
            if version != WARDROBE_VERSION:
                raise OtherWardrobeVersion(
                    f"version: expected wardrobe version {WARDROBE_VERSION}, got {version}; train the actor again"
                )
            frames = _read_array(archive, "frames", MOST_KEY_FRAMES_READ)
            arrays = {
                name: _read_array(archive, name, MOST_PIXELS if name == "pixels" else len(frames))
                for name in _ENTRIES
                if name not in ("version", "frames")
            }
    except BadDocument:
        raise
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OverflowError, ValueError) as error:
        raise BadDocument(f"is not an npz file: {error}") from None
    return _checked(frames, **arrays)


def _read_array(archive: zipfile.ZipFile, name: str, most_rows: int) -> NDArray[Any]:
    """Read one array of the type and shape in `_ENTRIES`, of at most `most_rows` rows. Raises BadDocument."""
    dtype, shape = _ENTRIES[name]
    row_bytes = np.dtype(dtype).itemsize * int(np.prod([side for side in shape if side is not None], dtype=np.int64))
    most_bytes = _HEADER_BYTES + row_bytes * (max(most_rows, 1) if None in shape else 1)
    try:
        entry = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise BadDocument(f"{name}: is missing") from None
    if entry.compress_type not in _COMPRESSIONS:  # others may ask for gigabytes before their first byte
        raise BadDocument(f"{name}: expected deflated bytes, got compression {entry.compress_type}")
    if entry.file_size > most_bytes:
        raise BadDocument(f"{name}: expected at most {most_bytes} bytes, got {entry.file_size}")
    try:
        with archive.open(entry) as file:
            data = file.read(most_bytes + 1)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BadDocument(f"{name}: cannot be read: {error}") from None
    return _parsed(name, data)


def _parsed(name: str, data: bytes) -> NDArray[Any]:
    """Read an npy file from memory. Its shape must agree with the number of its bytes."""
    dtype, shape = _ENTRIES[name]
    stream = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):  # type: ignore[no-untyped-call]
            raise BadDocument(f"{name}: expected format 1.0 of NumPy's arrays")
        header = np.lib.format.read_array_header_1_0(stream)  # type: ignore[no-untyped-call]
        found_shape, fortran, found_dtype = header
    except BadDocument:
        raise
    except (ValueError, SyntaxError, tokenize.TokenError, TypeError, RecursionError, MemoryError):
        raise BadDocument(f"{name}: is not one of NumPy's arrays") from None
    fits = len(found_shape) == len(shape) and all(
        expected in (None, side) for expected, side in zip(shape, found_shape, strict=False)
    )
    if found_dtype != np.dtype(dtype) or fortran or not fits:
        expected = f"{np.dtype(dtype)} {[side or 'any' for side in shape]}"
        raise BadDocument(f"{name}: expected {expected}, got {found_dtype} {list(found_shape)}")
    body = stream.read()
    if len(body) != int(np.prod(found_shape, dtype=np.float64)) * np.dtype(dtype).itemsize:
        raise BadDocument(f"{name}: expected {list(found_shape)} values, got {len(body)} bytes")
    return np.frombuffer(body, np.dtype(dtype)).reshape(found_shape)


def _checked(
    frames: NDArray[np.int64],
    *,
    size_px: NDArray[np.int64],
    joints: NDArray[np.float32],
    limb_lengths_px: NDArray[np.float64],
    corners_px: NDArray[np.int32],
    hidden: NDArray[np.float32],
    flaws: NDArray[np.float32],
    shadow: NDArray[np.float64],
    shadow_strength: NDArray[np.uint8],
    pixels: NDArray[np.uint8],
) -> Wardrobe:
    """Return a wardrobe whose values make sense together. Raises BadDocument."""
    if not len(frames) or (np.diff(frames) <= 0).any() or frames[0] < 0:
        raise BadDocument("frames: expected at least one number, ascending from 0")
    for name, rows in (("joints", joints), ("corners_px", corners_px), ("hidden", hidden), ("flaws", flaws)):
        if len(rows) != len(frames):
            raise BadDocument(f"{name}: expected {len(frames)} rows, one for each key frame, got {len(rows)}")
    width_px, height_px = size_px.tolist()
    if not (1 <= width_px <= MOST_SIDE_PX and 1 <= height_px <= MOST_SIDE_PX):
        raise BadDocument(f"size_px: expected sides of 1 to {MOST_SIDE_PX} pixels, got {width_px}x{height_px}")
    if not ((limb_lengths_px >= 1) & (limb_lengths_px <= MAX_POSITION_PX)).all():
        raise BadDocument("limb_lengths_px: expected lengths of at least a pixel")
    for name, values, most in (("hidden", hidden, 1.0), ("flaws", flaws, 100.0)):
        if not ((values >= 0) & (values <= most)).all():
            raise BadDocument(f"{name}: expected numbers from 0 to {most:g}")
    try:
        poses = tuple(Pose(rows[:, :2], rows[:, 2]) for rows in joints)
    except ValueError as error:
        raise BadDocument(f"joints: {error}") from None
    if np.abs(joints[..., :2]).max() > MAX_POSITION_PX:
        raise BadDocument(f"joints: expected positions of at most {MAX_POSITION_PX:g} pixels")
    x, y, width, height = corners_px.astype(np.int64).transpose(2, 0, 1)
    inside = (x >= 0) & (y >= 0) & (width >= 0) & (height >= 0) & (x + width <= width_px) & (y + height <= height_px)
    if not inside.all():
        raise BadDocument(f"corners_px: expected pieces inside {width_px}x{height_px} pixels")
    if int((width * height).sum()) != len(pixels):
        raise BadDocument(f"pixels: expected {int((width * height).sum())} of them for the pieces, got {len(pixels)}")
    colours = np.cumsum(pixels, axis=0, dtype=np.uint8)
    if (colours[:, :3] > colours[:, 3:]).any():
        raise BadDocument("pixels: expected colours multiplied by their coverage")
    cast = _shadow(shadow, shadow_strength)
    return Wardrobe(width_px, height_px, frames, poses, limb_lengths_px, corners_px, colours, hidden, flaws, cast)


def _shadow(numbers: NDArray[np.float64], strength: NDArray[np.uint8]) -> Shadow | None:
    """Return the shadow, or None for a softness of 0. Raises BadDocument."""
    if not (np.abs(numbers) <= _MOST_SHADOW).all():
        raise BadDocument(f"shadow: expected numbers from -{_MOST_SHADOW} to {_MOST_SHADOW}, in heights of the picture")
    lean, rise, softness, highest_ground = numbers.tolist()
    if not 0 <= softness <= _MOST_SOFTNESS:
        raise BadDocument(f"shadow: expected a softness from 0 to {_MOST_SOFTNESS}, got {softness:g}")
    return Shadow(lean, rise, softness, highest_ground, strength) if softness > 0 else None
