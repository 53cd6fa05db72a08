"""Encoding and decoding of pictures. Limits are checked on the header, before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from motion.frame import EncodedPicture, Picture, PictureEncoding, RgbaPicture
from serving.errors import BadPicture
from serving.pictures import png_limits

_JPEG_SIGNATURE: Final = b"\xff\xd8"
_START_OF_SCAN: Final = b"\xff\xda"
_RAW_CHANNELS: Final = {PictureEncoding.RAW: 3, PictureEncoding.RAW_RGBA: 4}
_MOST_SCANS: Final = 64
"""The limit for one JPEG. Encoders write about ten scans; each makes the decoder pass over the whole picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureLimits:
    """The largest picture that is accepted."""

    max_side_px: int = 4096
    max_bytes: int = 12 * 2**20
    """Below the limit of 16 MiB for a gRPC message."""


DEFAULT_LIMITS = PictureLimits()


def encoding_of(data: bytes) -> PictureEncoding | None:
    """Return the encoding of a picture's file by its first bytes; None if it is neither a JPEG nor a PNG."""
    if data.startswith(png_limits.SIGNATURE):
        return PictureEncoding.PNG
    return PictureEncoding.JPEG if data.startswith(_JPEG_SIGNATURE) else None


def size_of(data: bytes, encoding: PictureEncoding) -> tuple[int, int] | None:
    """Return width and height from the header of a JPEG or PNG, as stored; None if it does not begin like one."""
    return _jpeg_size(data) if encoding is PictureEncoding.JPEG else png_limits.size_of(data)


def check_picture(
    picture: EncodedPicture,
    limits: PictureLimits = DEFAULT_LIMITS,
    *,
    field: str = "picture",
    has_opacity: bool = False,
) -> None:
    """Raise BadPicture unless the header matches the sender's claim and the limits. Decodes no pixels.

    has_opacity: whether RAW_RGBA is accepted.
    """
    if picture.encoding is PictureEncoding.RAW_RGBA and not has_opacity:
        raise BadPicture(f"{field}.encoding", "expected JPEG, PNG or RAW, got RAW_RGBA")
    if len(picture.data) > limits.max_bytes:
        raise BadPicture(f"{field}.data", f"has {len(picture.data)} bytes, at most {limits.max_bytes} are accepted")
    if not picture.data:
        raise BadPicture(f"{field}.data", "is empty")
    width_px, height_px = picture.width_px, picture.height_px
    if not (1 <= width_px <= limits.max_side_px and 1 <= height_px <= limits.max_side_px):
        raise BadPicture(field, f"is {width_px}x{height_px}, sides from 1 to {limits.max_side_px} pixels are accepted")
    if picture.encoding in _RAW_CHANNELS:
        expected, name = width_px * height_px * _RAW_CHANNELS[picture.encoding], picture.encoding.name
        if len(picture.data) != expected:
            raise BadPicture(
                f"{field}.data", f"{name} {width_px}x{height_px} takes {expected} bytes, got {len(picture.data)}"
            )
        return
    header = size_of(picture.data, picture.encoding)
    if header is None:
        raise BadPicture(f"{field}.data", f"is not a {picture.encoding.value.upper()} picture")
    if header != (width_px, height_px):
        raise BadPicture(field, f"claims {width_px}x{height_px}, its header says {header[0]}x{header[1]}")


def decode_picture(
    picture: EncodedPicture, limits: PictureLimits = DEFAULT_LIMITS, *, field: str = "picture", upright: bool = False
) -> Picture:
    """Return `[H, W, 3]` uint8 RGB. Raises BadPicture, as `check_picture` does and for bytes that do not decode.

    upright: apply the orientation that a JPEG's EXIF states. The contracts use pictures as stored.
    """
    check_picture(picture, limits, field=field)
    if picture.encoding is PictureEncoding.RAW:
        flat = np.frombuffer(picture.data, np.uint8)
        return flat.reshape(picture.height_px, picture.width_px, 3)
    if picture.encoding is PictureEncoding.JPEG:
        if picture.data.count(_START_OF_SCAN) > _MOST_SCANS:
            raise BadPicture(f"{field}.data", f"is a JPEG of more than {_MOST_SCANS} scans")
        if upright:
            turned = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)
            if turned is None:
                raise BadPicture(f"{field}.data", "does not decode as JPEG")
            return np.ascontiguousarray(turned[..., ::-1], dtype=np.uint8)
        try:
            return np.asarray(simplejpeg.decode_jpeg(picture.data, "RGB"))
        except ValueError as error:
            raise BadPicture(f"{field}.data", f"does not decode as JPEG: {error}") from error
    # Rotated by an eXIf chunk, a picture would have its width and height swapped.
    decoded = _decoded_png(picture, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, field)
    return np.ascontiguousarray(decoded[..., ::-1], dtype=np.uint8)


def decode_rgba(
    picture: EncodedPicture, limits: PictureLimits = DEFAULT_LIMITS, *, field: str = "picture"
) -> RgbaPicture:
    """Return `[H, W, 4]` uint8, straight alpha, of a PNG with an opacity or of RAW_RGBA. Raises BadPicture."""
    check_picture(picture, limits, field=field, has_opacity=True)
    if picture.encoding is PictureEncoding.RAW_RGBA:
        return np.frombuffer(picture.data, np.uint8).reshape(picture.height_px, picture.width_px, 4)
    if picture.encoding is not PictureEncoding.PNG:
        raise BadPicture(f"{field}.encoding", f"expected PNG or RAW_RGBA, got {picture.encoding.name}")
    decoded = _decoded_png(picture, cv2.IMREAD_UNCHANGED, field)
    if decoded.ndim != 3 or decoded.shape[2] != 4 or decoded.dtype != np.uint8:
        raise BadPicture(f"{field}.data", "is a PNG without an opacity; expected RGBA with 8 bits per channel")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGBA), np.uint8)


def _decoded_png(picture: EncodedPicture, flags: int, field: str) -> NDArray[Any]:
    try:
        data = png_limits.harmless(picture.data)
    except ValueError as error:
        raise BadPicture(f"{field}.data", f"is not a valid PNG: it {error}") from error
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if decoded is None:
        raise BadPicture(f"{field}.data", "does not decode as PNG")
    if decoded.shape[:2] != (picture.height_px, picture.width_px):
        raise BadPicture(
            field, f"claims {picture.width_px}x{picture.height_px}, decodes as {decoded.shape[1]}x{decoded.shape[0]}"
        )
    return decoded


def encode_picture(pixels: Picture | RgbaPicture, encoding: PictureEncoding, jpeg_quality: int = 90) -> EncodedPicture:
    """Encode `[H, W, 3]` uint8 RGB, or for PNG and RAW_RGBA `[H, W, 4]` with straight alpha.

    jpeg_quality, from 1 to 100, applies to JPEG only.
    """
    height_px, width_px, channels = pixels.shape
    if encoding in _RAW_CHANNELS:
        data = pixels.tobytes()
    elif encoding is PictureEncoding.JPEG:
        contiguous = np.ascontiguousarray(pixels)
        data = simplejpeg.encode_jpeg(contiguous, quality=jpeg_quality, colorspace="RGB", colorsubsampling="420")
    else:
        stored = pixels[..., ::-1] if channels == 3 else cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA)
        done, buffer = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise BadPicture("picture", f"{width_px}x{height_px} cannot be encoded as PNG")
        data = buffer.tobytes()
    return EncodedPicture(encoding, width_px, height_px, data)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    if not data.startswith(_JPEG_SIGNATURE):
        return None
    try:
        height_px, width_px, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return int(width_px), int(height_px)
