"""Converts decoded frames to upright RGB pictures of one size: colours, transparency, pixel shape, rotation."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import av.error
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc, VideoReformatter

from motion.frame import Picture
from serving.errors import UnreadableVideo

_UNSPECIFIED: Final = 2
_RGB: Final = 0
_KNOWN_MATRICES: Final = frozenset({_RGB, 1, 4, 5, 6, 7, 9})
"""ITU-T H.273, MatrixCoefficients: RGB, BT.709, FCC, BT.601 (two codes), SMPTE 240M, BT.2020."""
_BT2020_MATRIX: Final = 9
_HDR: Final = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
_WIDE: Final = {
    int(ColorPrimaries.BT2020): "BT.2020",
    int(ColorPrimaries.SMPTE431): "DCI-P3",
    int(ColorPrimaries.SMPTE432): "Display P3",
}
_HD_FROM_PX: Final = (1280, 720)
_WIDEST_PIXEL: Final = Fraction(4)

# PyAV's enum lacks some of FFmpeg's side data types, including EXIF (31), and raises ValueError for all side data of
# such a frame. This maps unknown types to one that is not used here.
setattr(SideDataType, "_missing_", lambda number: SideDataType.ICC_PROFILE)  # noqa: B010 - mypy: no assignment


class PictureMaker:
    """Converts the frames of one video to pictures.

    FFmpeg's swscale maps HDR (PQ and HLG, ITU-R BT.2100) and wide gamuts to BT.709, with the reference white of ITU-R
    BT.2408, 203 cd/m2. If the file does not state its colour matrix, BT.709 is assumed from 1280x720 and BT.601 below,
    as players do. Transparent pixels become black. Frames whose size differs from the first frame's are fitted into
    that size, with black bars if the aspect ratio differs.

    notes: what the video's owner should know, each note once, in order. Not thread-safe.
    """

    def __init__(self, source: str, pixel_aspect_ratio: Fraction | None, *, hidden_alpha: bool = False) -> None:
        self.notes: list[str] = []
        self._source = source
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._hidden_alpha = hidden_alpha
        self._pixel_aspect_ratio = pixel_aspect_ratio or Fraction(1)
        if not 1 / _WIDEST_PIXEL <= self._pixel_aspect_ratio <= _WIDEST_PIXEL:
            self._note(f"its pixels claim to be {pixel_aspect_ratio} times as wide as high: they are treated as square")
            self._pixel_aspect_ratio = Fraction(1)

    def picture(self, frame: Any) -> Picture:
        """Convert a frame to `[H, W, 3]` uint8 RGB of the first picture's size.

        Raises UnreadableVideo for an unknown pixel format.
        """
        pixels = self._rgb(frame, max(1, round(frame.width * self._pixel_aspect_ratio)))
        matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)
        if matrix is not None:
            pixels = turned(pixels, np.frombuffer(matrix, np.int32))
        size = (pixels.shape[1], pixels.shape[0])
        self._size = self._size or size
        if size != self._size:
            first, other = (f"{width_px}x{height_px}" for width_px, height_px in (self._size, size))
            self._note(f"its size changes from {first} to {other}: all frames are fitted into {first}")
            pixels = fitted(pixels, *self._size)
        return pixels

    def _rgb(self, frame: Any, width_px: int) -> Picture:
        wanted: dict[str, Any] = {"width": width_px, "dst_color_range": "JPEG", **self._colours(frame)}
        transparent = frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)
        try:
            made = self._reformatter.reformat(frame, format="rgba" if transparent else "rgb24", **wanted)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise UnreadableVideo(f"{self._source}: pixel format {frame.format.name} cannot be read") from error
        pixels: Picture = np.asarray(made.to_ndarray(), np.uint8)
        if transparent:
            return self._on_black(pixels)
        if self._hidden_alpha:
            self._note("it is partly transparent, but the alpha channel cannot be read: hidden colours are shown")
        return pixels

    def _on_black(self, rgba: Picture) -> Picture:
        alpha = rgba[..., 3:]
        if alpha.min() == 255:
            return np.ascontiguousarray(rgba[..., :3])
        self._note("it is partly transparent: transparent pixels become black")
        return np.asarray((rgba[..., :3].astype(np.uint16) * alpha + 127) // 255, np.uint8)

    def _colours(self, frame: Any) -> dict[str, int]:
        """Return conversion arguments for HDR and wide gamuts; fill in colour fields that the frame leaves open."""
        hdr, wide = _HDR.get(frame.color_trc), _WIDE.get(frame.color_primaries)
        if frame.format.is_rgb:
            pass
        elif frame.colorspace not in _KNOWN_MATRICES - {_RGB}:
            is_hd = frame.width >= _HD_FROM_PX[0] or frame.height >= _HD_FROM_PX[1]
            taken, name = (int(Colorspace.ITU709), "BT.709") if is_hd else (int(Colorspace.ITU601), "BT.601")
            if hdr or frame.color_primaries == ColorPrimaries.BT2020:
                taken, name = _BT2020_MATRIX, "BT.2020"
            if frame.colorspace not in (_UNSPECIFIED, _RGB):
                self._note(f"its colour matrix is number {int(frame.colorspace)} of ITU-T H.273: it is read as {name}")
            frame.colorspace = taken
        if hdr is None and wide is None:
            return {}
        if hdr is not None:
            self._note(f"it is HDR ({hdr}): brightness and colours are mapped to standard video (BT.709)")
            if frame.color_primaries == _UNSPECIFIED:
                frame.color_primaries = int(ColorPrimaries.BT2020)
        else:
            self._note(f"its colours are {wide}: they are mapped to standard video (BT.709)")
        return {
            "dst_colorspace": int(Colorspace.ITU709),
            "dst_color_trc": int(ColorTrc.BT709),
            "dst_color_primaries": int(ColorPrimaries.BT709),
        }

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def fitted(pixels: Picture, width_px: int, height_px: int) -> Picture:
    """Scale `pixels` to fit a picture of this size, centred on black."""
    scale = min(width_px / pixels.shape[1], height_px / pixels.shape[0])
    inner = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    made = cv2.resize(pixels, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left_px, top_px = (width_px - inner[0]) // 2, (height_px - inner[1]) // 2
    whole = np.zeros((height_px, width_px, 3), np.uint8)
    whole[top_px : top_px + inner[1], left_px : left_px + inner[0]] = made
    return whole


def turned(pixels: Picture, display_matrix: np.ndarray[Any, np.dtype[np.int32]]) -> Picture:
    """Rotate by quarter turns and mirror `pixels` as FFmpeg's display matrix (`[9]` int32) specifies.

    The matrix (a, b, u, c, d, v, x, y, w) maps a point to (a x + c y, b x + d y); its translation (x, y) is irrelevant
    for a single picture. Other angles are rounded to the nearest quarter turn.
    """
    a, b, c, d = (int(display_matrix[i]) for i in (0, 1, 3, 4))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        mirrored_x, mirrored_y = a < 0, d < 0
    else:
        pixels = pixels.transpose(1, 0, 2)
        mirrored_x, mirrored_y = c < 0, b < 0
    if mirrored_x:
        pixels = pixels[:, ::-1]
    if mirrored_y:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
