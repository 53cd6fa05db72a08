"""Untrusted PNG files: bound the work of the decoder before it starts."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PIECE_BYTES: Final = 2**20


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return width and height from the header; None if the data does not begin like a PNG."""
    if not data.startswith(SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 24:
        return None
    width_px, height_px = struct.unpack(">II", data[16:24])
    return int(width_px), int(height_px)


def harmless(data: bytes) -> bytes:
    """Return the picture with only its palette, transparency and pixels, without colour profiles or comments.

    Decoders allocate the length that a chunk claims, and a few kilobytes may decompress to gigabytes. So every chunk
    must be within the file, and the data must not decompress to more than the header states. Raises ValueError.
    """
    kept = [SIGNATURE]
    packed: list[bytes] = []
    header = b""
    for kind, begin, end in _chunks(data):
        if kind == b"IHDR":
            header = data[begin + 8 : end - 4]
        elif kind == b"IDAT":
            packed.append(data[begin + 8 : end - 4])
        if kind in _KEPT:
            kept.append(data[begin:end])
    if len(header) != 13:
        raise ValueError("has no header")
    _check_unpacked(packed, _unpacked_bytes(header))
    return b"".join(kept)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, begin and end of each chunk, including its length and checksum."""
    at = len(SIGNATURE)
    while at < len(data):
        if at + 12 > len(data):
            raise ValueError("is cut off")
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ValueError(f"has a chunk that claims {length} bytes, more than the file has")
        kind = data[at + 4 : at + 8]
        yield kind, at, end
        if kind == b"IEND":
            return
        at = end
    raise ValueError("is cut off")


def _unpacked_bytes(header: bytes) -> int:
    width_px, height_px, depth_bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if colour not in _CHANNELS or depth_bits not in (1, 2, 4, 8, 16):
        raise ValueError(f"has an unknown format: colour type {colour}, {depth_bits} bits")
    row_bytes = 1 + (width_px * _CHANNELS[colour] * depth_bits + 7) // 8
    # Interlaced pictures have up to twice the rows, each with a filter byte and one for rounding up.
    return int(height_px * row_bytes + (4 * height_px + 64 if interlaced else 0))


def _check_unpacked(packed: list[bytes], most_bytes: int) -> None:
    unpacking = zlib.decompressobj()
    left = most_bytes
    try:
        for piece in packed:
            while piece and not unpacking.eof:
                left -= len(unpacking.decompress(piece, min(left + 1, _PIECE_BYTES)))
                if left < 0:
                    raise ValueError(f"decompresses to more than the {most_bytes} bytes of its size")
                piece = unpacking.unconsumed_tail
    except zlib.error as error:
        raise ValueError(f"cannot be decompressed: {error}") from error
