"""Motion JPEG with an EXIF orientation, as phones and some network cameras send it, is read upright."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from motion.frame import PictureEncoding
from serving.pictures.codec import encode_picture
from video.reader import VideoReader

WIDTH_PX, HEIGHT_PX = 80, 48


def stored() -> np.ndarray:
    """Return a picture, `[48, 80, 3]`, with a different colour in each corner."""
    y, x = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX]
    return np.stack([x * 3, y * 5, 255 - x * 3], -1).astype(np.uint8)


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Add an EXIF header with the orientation, tag 0x0112, to a JPEG."""
    body = b"Exif\0\0" + struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda p: p),
        (2, lambda p: p[:, ::-1]),
        (3, lambda p: p[::-1, ::-1]),
        (4, lambda p: p[::-1]),
        (5, lambda p: p.transpose(1, 0, 2)),
        (6, lambda p: np.rot90(p, -1)),
        (7, lambda p: p.transpose(1, 0, 2)[::-1, ::-1]),
        (8, np.rot90),
    ],
)
def test_the_reader_applies_the_exif_orientation(tmp_path: Path, orientation: int, upright) -> None:
    """Frames are read upright, because servers never rotate pictures."""
    jpeg = with_orientation(encode_picture(stored(), PictureEncoding.JPEG, 95).data, orientation)
    path = tmp_path / "phone.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuvj420p"
        for index in range(2):
            packet = av.Packet(jpeg)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 25), True
            packet.pts = packet.dts = index
            container.mux(packet)
    with VideoReader(str(path)) as reader:
        frames = list(reader.frames())
    assert len(frames) == 2
    expected = upright(stored())
    for frame in frames:
        assert frame.pixels.shape == expected.shape
        assert np.abs(frame.pixels.astype(int) - expected).mean() < 6
