"""The wardrobe's file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from motion.documents import BadDocument
from motion.pose import Pose
from motion.wardrobe import storage
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.pieces import WARDROBE_VERSION, Wardrobe
from motion.wardrobe.storage import WARDROBE_FILE, OtherWardrobeVersion, read_wardrobe, write_wardrobe

ARRAYS = (
    "size_px",
    "frames",
    "joints",
    "limb_lengths_px",
    "corners_px",
    "hidden",
    "flaws",
    "shadow_strength",
    "pixels",
)


@pytest.fixture
def path(wardrobe: Wardrobe, tmp_path: Path) -> Path:
    """The file of a sound wardrobe."""
    write_wardrobe(tmp_path / WARDROBE_FILE, wardrobe)
    return tmp_path / WARDROBE_FILE


def damage(path: Path, name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    """Replace one array of a file."""
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays[name] = change(arrays[name].copy())
    np.savez_compressed(path, **arrays)


def rewrite(path: Path, name: str, data: bytes) -> None:
    """Replace the bytes of one entry of a file."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    entries[f"{name}.npy"] = data
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)


def test_a_wardrobe_survives_its_file(wardrobe: Wardrobe, poses: list[Pose], path: Path) -> None:
    """A wardrobe read back draws the same bytes."""
    read = read_wardrobe(path)
    assert read.frames.tolist() == wardrobe.frames.tolist()
    assert np.array_equal(draw_reference(read, poses[2]).picture, draw_reference(wardrobe, poses[2]).picture)


def test_the_same_wardrobe_becomes_the_same_bytes(wardrobe: Wardrobe, path: Path, tmp_path: Path) -> None:
    """A file can be compared by its digest: no times or names of machines are in it."""
    write_wardrobe(tmp_path / "other.npz", wardrobe)
    assert path.read_bytes() == (tmp_path / "other.npz").read_bytes()


def test_another_version_is_refused(path: Path) -> None:
    """A wardrobe of another version is refused with both versions and what to do."""
    damage(path, "version", lambda version: version + 1)
    with pytest.raises(OtherWardrobeVersion, match=f"version {WARDROBE_VERSION}, got {WARDROBE_VERSION + 1}.*train"):
        read_wardrobe(path)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_missing_array_is_named(path: Path, name: str) -> None:
    """A file without one of its arrays is refused by the array's name."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist() if entry != f"{name}.npy"}
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    with pytest.raises(BadDocument, match=f"{name}: is missing"):
        read_wardrobe(path)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_wrong_type_is_named(path: Path, name: str) -> None:
    """Numbers of another type are refused."""
    damage(path, name, lambda array: array.astype(np.complex64))
    with pytest.raises(BadDocument, match=f"^{name}: expected"):
        read_wardrobe(path)


@pytest.mark.parametrize("name", ARRAYS)
def test_another_shape_is_named(path: Path, name: str) -> None:
    """An array with another number of dimensions is refused."""
    damage(path, name, lambda array: array[None])
    with pytest.raises(BadDocument, match=f"^{name}: expected"):
        read_wardrobe(path)


@pytest.mark.parametrize("name", ["joints", "corners_px", "hidden", "flaws"])
def test_a_row_too_few_is_named(path: Path, name: str) -> None:
    """Every key frame needs its row."""
    damage(path, name, lambda array: array[:-1])
    with pytest.raises(BadDocument, match=f"^{name}: expected 10 rows"):
        read_wardrobe(path)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_truncated_array_is_named(path: Path, name: str) -> None:
    """An array that ends before its header says is refused."""
    with zipfile.ZipFile(path) as archive:
        content = archive.read(f"{name}.npy")
    rewrite(path, name, content[:-1])
    with pytest.raises(BadDocument, match=f"^{name}: expected"):
        read_wardrobe(path)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_huge_declared_size_is_not_allocated(path: Path, name: str) -> None:
    """A header that declares terabytes is refused before memory is asked for."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": storage._ENTRIES[name][0], "fortran_order": False, "shape": (1 << 40, 4)}
    )
    rewrite(path, name, stream.getvalue())
    with pytest.raises(BadDocument, match=f"^{name}: expected"):
        read_wardrobe(path)


def test_a_bomb_is_not_unpacked(path: Path) -> None:
    """An entry that unpacks to more than its array can have is refused by its declared size."""
    rewrite(path, "frames", bytes(1 << 24))
    with pytest.raises(BadDocument, match=r"^frames: expected at most"):
        read_wardrobe(path)


def test_a_directory_of_many_names_is_not_listed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may consist of names alone, a million of them: it is refused before they become objects."""
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(100):
            archive.writestr(f"{number}", b"")
    monkeypatch.setattr("zipfile.ZipFile", None)
    with pytest.raises(BadDocument, match="expected 11 arrays"):
        read_wardrobe(path)


def test_an_array_at_an_impossible_place_is_named(path: Path) -> None:
    """Arrays that would begin before the file, because its last bytes are wrong, are refused."""
    data = bytearray(path.read_bytes())
    data[-6:-2] = (len(data) * 2).to_bytes(4, "little")  # the directory's place, which the arrays' are relative to
    path.write_bytes(bytes(data))
    with pytest.raises(BadDocument, match=r"^version: cannot be read"):
        read_wardrobe(path)


def test_a_name_of_other_bytes_is_refused(path: Path) -> None:
    """A name that claims to be UTF-8 and is not is a bad document."""
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 9] |= 8  # the flag of UTF-8
    data[entry + 46] = 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(BadDocument, match="is not an npz file"):
        read_wardrobe(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression_is_refused(path: Path, compression: int) -> None:
    """Only NumPy's own compression is unpacked: a damaged LZMA stream may ask for any amount of memory."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    with pytest.raises(BadDocument, match=r"^version: expected deflated bytes, got compression"):
        read_wardrobe(path)


def test_pickled_objects_are_refused(path: Path) -> None:
    """An array of objects is never unpickled."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([{}], object))
    rewrite(path, "frames", stream.getvalue())
    with pytest.raises(BadDocument, match=r"^frames: expected"):
        read_wardrobe(path)


@pytest.mark.parametrize(("old", "new"), [(b"}", b" "), (b")", b"("), (b"{", b"'"), (b"'", b"\\"), (b":", b"\x00")])
def test_a_damaged_header_is_named(path: Path, old: bytes, new: bytes) -> None:
    """A header with one wrong character is refused, wherever that character is."""
    with zipfile.ZipFile(path) as archive:
        content = archive.read("hidden.npy")
    rewrite(path, "hidden", content.replace(old, new, 1))
    with pytest.raises(BadDocument, match=r"^hidden: is not one of NumPy's arrays"):
        read_wardrobe(path)


@pytest.mark.parametrize("kept", [0, 1, 100, 5000, -100, -1])
def test_a_truncated_file_is_refused(path: Path, kept: int) -> None:
    """A file that ends early is a bad document."""
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadDocument):
        read_wardrobe(path)


def test_no_flipped_byte_goes_unnoticed_or_breaks_reading(wardrobe: Wardrobe, path: Path) -> None:
    """A byte changed anywhere is refused as a bad document, unless all arrays can still be read as they were."""
    data = path.read_bytes()
    for position in np.linspace(0, len(data) - 1, 120).astype(int):
        changed = bytearray(data)
        changed[position] ^= 0x55
        path.write_bytes(bytes(changed))
        try:
            read = read_wardrobe(path)
        except BadDocument:
            continue
        for name in ("frames", "limb_lengths_px", "corners_px", "pixels", "hidden", "flaws"):
            assert np.array_equal(getattr(read, name), getattr(wardrobe, name))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("size_px", lambda a: a * 0, "size_px: expected sides"),
        ("size_px", lambda a: a + 10**9, "size_px: expected sides"),
        ("frames", lambda a: a[::-1], "frames: expected"),
        ("frames", lambda a: a - 100, "frames: expected"),
        ("joints", lambda a: a * np.nan, "joints: "),
        ("joints", lambda a: a * np.float32(1e9), "joints: "),
        ("limb_lengths_px", lambda a: a * 0, "limb_lengths_px: expected"),
        ("limb_lengths_px", lambda a: a * np.nan, "limb_lengths_px: expected"),
        ("hidden", lambda a: a + 2, "hidden: expected"),
        ("flaws", lambda a: a * np.nan, "flaws: expected"),
        ("corners_px", lambda a: a - 1000, "corners_px: expected"),
        ("corners_px", lambda a: a + (1 << 30), "corners_px: expected"),
        ("corners_px", lambda a: a * [1, 1, 0, 0], "pixels: expected"),
        ("shadow", lambda a: a * np.nan, "shadow: expected numbers"),
        ("shadow", lambda a: np.add(a, [0, 0, 0.5, 0]), "shadow: expected a softness from 0 to 0.2, got 0.5"),
        ("pixels", lambda a: a[1:], "pixels: expected"),
        ("pixels", lambda a: a[:, ::-1], "pixels: expected colours"),
    ],
)
def test_values_that_make_no_sense_are_named(
    path: Path, name: str, change: Callable[[NDArray[Any]], NDArray[Any]], message: str
) -> None:
    """Each array's values are checked, and the message names the array."""
    damage(path, name, lambda array: change(array).astype(array.dtype))
    with pytest.raises(BadDocument, match=f"^{message}"):
        read_wardrobe(path)
