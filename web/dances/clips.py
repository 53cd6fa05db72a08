"""Clips to dance: the sample dances, and uploads, recognised by their first bytes and checked when they are whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.media.background import GREEN, covering_picture
from motion.frame import EncodedPicture, PictureEncoding
from serving.errors import BadPicture, UnreadableVideo
from serving.pictures.background import Background
from serving.pictures.codec import PictureLimits, size_of
from video.opening import chosen_video, opened
from video.reader import VideoReader
from web.access.refusals import Refused
from web.dances.dance import ClipFacts, Place
from web.settings import WebSettings

_SAMPLES: Final = Path(__file__).parent.parent.parent / "samples"
_SAMPLE_FILES: Final = {"steps": "source_clip.mp4", "waves": "dances/waves.mp4", "turns": "dances/turns.mp4"}
"""The videos that this project drew, by the id that the page has a title for."""
CHUNK_BYTES: Final = 2**21
PICTURE_BYTES: Final = 16 * 2**20
SOUND_BYTES: Final = 64 * 2**20
SNIFFED_BYTES: Final = 12
MOST_RATE_HZ: Final = 60
"""A clip has at most this many frames for each second that it may last."""
_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"})
_FORMATS: Final = {"video/mp4": "mov", "video/webm": "matroska", "video/x-msvideo": "avi", "audio/ogg": "ogg"}
"""The name that FFmpeg's format must contain, so that a file is read as what it looks like."""
_PICTURE_LIMITS: Final = PictureLimits(max_side_px=8192, max_bytes=PICTURE_BYTES)


@dataclass(frozen=True, slots=True)
class SampleDance:
    """A dance that needs no upload."""

    id: str
    path: Path
    clip: ClipFacts


def sample_dances(folder: Path = _SAMPLES) -> dict[str, SampleDance]:
    """Return the sample dances by id; those whose files are not installed are left out. Raises UnreadableVideo."""
    paths = {sample_id: folder / name for sample_id, name in _SAMPLE_FILES.items()}
    return {
        sample_id: SampleDance(sample_id, path, _facts(path, "video/mp4")[0])
        for sample_id, path in paths.items()
        if path.is_file()
    }


def media_type_of(first: bytes, *, sound: bool = False) -> str | None:
    """Return what a file is by its first bytes: MP4 or QuickTime, WebM or Matroska, AVI; with `sound` also Ogg."""
    if first[4:8] in _BOXES:
        return "video/mp4"
    if first.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm"
    if first.startswith(b"RIFF") and first[8:12] == b"AVI ":
        return "video/x-msvideo"
    if sound and first.startswith(b"OggS"):
        return "audio/ogg"
    return None


def check_beginning(first: bytes, *, sound: bool = False) -> str:
    """Return the media type of an upload that begins like this. Raises Refused 415."""
    found = media_type_of(first, sound=sound)
    if found is None:
        expected = "sound in WebM, MP4 or Ogg" if sound else "a video in MP4, MOV, WebM, MKV or AVI"
        raise Refused(415, "not_a_video", f"This file does not look like a video: expected {expected}.")
    return found


def append_chunk(path: Path, offset: int, chunk: bytes) -> None:
    """Write a chunk at the end of an upload, of which `offset` bytes are there. Raises OSError."""
    path.touch(mode=0o600)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(chunk)


def check_format(path: Path, *, sound: bool = False) -> str:
    """Return an upload's media type. Raises Refused 415 and UnreadableVideo."""
    with path.open("rb") as file:
        media_type = check_beginning(file.read(SNIFFED_BYTES), sound=sound)
    with opened(str(path)) as container:
        if _FORMATS[media_type] not in container.format.name:
            raise Refused(415, "not_a_video", "This file is not what it looks like: convert it to MP4.")
    return media_type


def check_clip(path: Path, settings: WebSettings) -> tuple[ClipFacts, tuple[str, ...]]:
    """Open a clip, decode its first frame, and return its facts and the reader's notes. Takes a while: not on the loop.

    Raises Refused: 415 for what is no video or cannot be read, 413 for one that is too long or too large.
    """
    try:
        media_type = check_format(path)
        _check_side(path, settings.max_clip_side_px)
        facts, notes = _facts(path, media_type)
    except UnreadableVideo as error:
        raise Refused(415, "unreadable_clip", for_people(error, path)) from error
    check_length(facts.frames, facts.rate_hz, settings)
    return facts, notes


def _facts(path: Path, media_type: str) -> tuple[ClipFacts, tuple[str, ...]]:
    with VideoReader(str(path)) as reader:
        frames = reader.expected_frames
        first = next(reader.frames())
        facts = ClipFacts(
            seconds=None if frames is None else frames / reader.frame_rate_hz,
            frames=frames,
            rate_hz=reader.frame_rate_hz,
            width_px=first.pixels.shape[1],
            height_px=first.pixels.shape[0],
            has_sound=reader.has_sound,
            media_type=media_type,
        )
        return facts, reader.notes


def check_length(frames: int | None, rate_hz: float, settings: WebSettings) -> None:
    """Raise Refused 413 for a clip with too many frames."""
    most_seconds = settings.max_clip_seconds
    if frames is not None and (frames > most_seconds * MOST_RATE_HZ or frames / rate_hz > most_seconds + 1 / rate_hz):
        has = f"It has {frames} frames and lasts {frames / rate_hz:.0f} seconds"
        limits = f"at most {most_seconds:g} seconds and {most_seconds * MOST_RATE_HZ:.0f} frames are danced"
        raise Refused(413, "clip_too_long", f"{has}: {limits}. Cut it shorter.")


def _check_side(path: Path, most_px: int) -> None:
    with opened(str(path)) as container:
        context = chosen_video(container, str(path))[0].codec_context
        if max(context.width, context.height) > most_px:
            size = f"{context.width}x{context.height}"
            raise Refused(413, "clip_too_big", f"Its pictures are {size} pixels, at most {most_px} a side are read.")


def for_people(error: BaseException, path: Path) -> str:
    """Return an error's message without the file's name on this machine."""
    return str(error).replace(str(path), "the clip")


def check_background(data: bytes) -> EncodedPicture:
    """Return an uploaded background upright and no larger than needed, as a JPEG. Raises Refused 415."""
    try:
        picture = covering_picture(data, _PICTURE_LIMITS)
    except BadPicture as error:
        raise Refused(415, "not_a_picture", f"This picture cannot be used: {error.problem}.") from error
    if picture is None:
        raise Refused(415, "not_a_picture", "This file does not look like a picture: expected a JPEG or a PNG.")
    return picture


def background_of(place: Place, picture: Path) -> Background:
    """Return the background for the server. picture: where `check_background`'s JPEG was kept. Raises OSError."""
    if place.kind == "green":
        return Background(colour=GREEN)
    if place.kind == "colour":
        return Background(colour=place.colour)
    if place.kind == "picture":
        data = picture.read_bytes()
        size = size_of(data, PictureEncoding.JPEG)
        assert size is not None
        return Background(picture=EncodedPicture(PictureEncoding.JPEG, *size, data))
    return Background()
