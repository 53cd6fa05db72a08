"""Pictures are checked by their header before any pixel is decoded."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from motion.frame import EncodedPicture, PictureEncoding
from serving.errors import BadPicture
from serving.pictures.codec import PictureLimits, check_picture, decode_picture, decode_rgba, encode_picture


@pytest.fixture
def pixels() -> np.ndarray:
    """A picture with three different channels, 40x24."""
    y, x = np.mgrid[0:24, 0:40]
    return np.stack([x * 6, y * 10, 255 - x * 6], -1).astype(np.uint8)


@pytest.mark.parametrize("encoding", [PictureEncoding.PNG, PictureEncoding.RAW])
def test_lossless_encodings_come_back_the_same(pixels: np.ndarray, encoding: PictureEncoding):
    """PNG and RAW preserve every byte, with channels in order."""
    assert np.array_equal(decode_picture(encode_picture(pixels, encoding)), pixels)


def test_jpeg_comes_back_nearly_the_same(pixels: np.ndarray):
    """JPEG keeps the channels in order and the colours close."""
    back = decode_picture(encode_picture(pixels, PictureEncoding.JPEG, jpeg_quality=95))
    assert np.abs(back.astype(int) - pixels).mean() < 4


def _png_header(width_px: int, height_px: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (EncodedPicture(PictureEncoding.JPEG, 40, 24, b""), "empty"),
        (EncodedPicture(PictureEncoding.JPEG, 40, 24, b"GIF89a"), "not a JPEG"),
        (EncodedPicture(PictureEncoding.JPEG, 40, 24, b"\xff\xd8\xff"), "not a JPEG"),
        (EncodedPicture(PictureEncoding.PNG, 40, 24, b"\x89PNG\r\n\x1a\n"), "not a PNG"),
        (EncodedPicture(PictureEncoding.PNG, 40, 24, _png_header(41, 24)), "claims 40x24, its header says 41x24"),
        (EncodedPicture(PictureEncoding.PNG, 30000, 30000, _png_header(30000, 30000)), "sides from 1 to 4096"),
        (EncodedPicture(PictureEncoding.RAW, 4, 4, bytes(47)), "takes 48 bytes, got 47"),
        (EncodedPicture(PictureEncoding.RAW, 0, 4, b"x"), "sides from 1"),
    ],
)
def test_what_is_not_a_picture_is_refused(picture: EncodedPicture, said: str):
    """Each error states what was wrong and what was expected."""
    with pytest.raises(BadPicture, match=said):
        check_picture(picture)


def test_a_truncated_jpeg_is_refused(pixels: np.ndarray):
    """A header alone is not accepted as a picture."""
    whole = encode_picture(pixels, PictureEncoding.JPEG)
    cut = EncodedPicture(whole.encoding, whole.width_px, whole.height_px, whole.data[:200])
    with pytest.raises(BadPicture):
        decode_picture(cut)


def exif(orientation: int) -> bytes:
    """Return a TIFF with one entry: tag 0x0112, orientation."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def asking_to_be_turned(picture: EncodedPicture, orientation: int) -> EncodedPicture:
    """Return the same JPEG or PNG with an orientation in its EXIF."""
    data = picture.data
    if picture.encoding is PictureEncoding.JPEG:
        body = b"Exif\0\0" + exif(orientation)
        asking = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    else:
        body, header_end = b"eXIf" + exif(orientation), 8 + 25
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        asking = data[:header_end] + chunk + data[header_end:]
    return EncodedPicture(picture.encoding, picture.width_px, picture.height_px, asking)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("encoding", [PictureEncoding.JPEG, PictureEncoding.PNG])
def test_a_picture_is_never_turned(pixels: np.ndarray, encoding: PictureEncoding, orientation: int):
    """A picture and its size are its stored rows and columns, whatever its EXIF orientation, as in frame.proto."""
    plain = encode_picture(pixels, encoding, jpeg_quality=95)
    asking = asking_to_be_turned(plain, orientation)
    check_picture(asking)
    assert np.array_equal(decode_picture(asking), decode_picture(plain))
    if orientation > 4:  # the input asks for a quarter turn in words that OpenCV understands
        turned = cv2.imdecode(np.frombuffer(asking.data, np.uint8), cv2.IMREAD_COLOR)
        assert turned.shape == (40, 24, 3)


@pytest.mark.parametrize("encoding", [PictureEncoding.JPEG, PictureEncoding.PNG])
def test_the_size_is_that_of_the_stored_picture(pixels: np.ndarray, encoding: PictureEncoding):
    """A sender that claims the rotated size is refused, with both sizes in the error."""
    asking = asking_to_be_turned(encode_picture(pixels, encoding), 6)
    with pytest.raises(BadPicture, match="claims 24x40, its header says 40x24"):
        decode_picture(EncodedPicture(encoding, 24, 40, asking.data))


def test_too_many_bytes_are_refused(pixels: np.ndarray):
    """The limit on bytes applies whatever the header claims."""
    with pytest.raises(BadPicture, match="at most 10"):
        check_picture(encode_picture(pixels, PictureEncoding.RAW), PictureLimits(max_bytes=10))


def test_pictures_with_an_opacity_survive_exactly():
    """PNG and RAW_RGBA keep all four channels, with straight alpha."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    for encoding in (PictureEncoding.PNG, PictureEncoding.RAW_RGBA):
        encoded = encode_picture(pixels, encoding)
        assert (encoded.width_px, encoded.height_px) == (7, 5)
        np.testing.assert_array_equal(decode_rgba(encoded), pixels)


def test_an_opacity_is_refused_where_none_is_expected():
    """RAW_RGBA is no frame of a client; a PNG without an opacity is no person."""
    raw = encode_picture(np.zeros((5, 7, 4), np.uint8), PictureEncoding.RAW_RGBA)
    with pytest.raises(BadPicture, match="expected JPEG, PNG or RAW, got RAW_RGBA"):
        check_picture(raw)
    with pytest.raises(BadPicture, match="RAW_RGBA 7x5 takes 140 bytes, got 139"):
        decode_rgba(EncodedPicture(PictureEncoding.RAW_RGBA, 7, 5, raw.data[:-1]))
    opaque = encode_picture(np.zeros((5, 7, 3), np.uint8), PictureEncoding.PNG)
    with pytest.raises(BadPicture, match="is a PNG without an opacity"):
        decode_rgba(opaque)
    with pytest.raises(BadPicture, match="expected PNG or RAW_RGBA, got JPEG"):
        decode_rgba(encode_picture(np.zeros((5, 7, 3), np.uint8), PictureEncoding.JPEG))
