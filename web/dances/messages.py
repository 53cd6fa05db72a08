"""What pages ask of the gateway about dances, and what they are told; `web.dances.routes` describes both."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from motion.documents import BadDocument, Fields, parsed
from serving.actors.actor_id import checked_actor_id
from serving.errors import BadInput
from web.access.refusals import Refused
from web.dances.clips import CHUNK_BYTES, PICTURE_BYTES, SOUND_BYTES, SampleDance
from web.dances.dance import Dance, Place
from web.dances.keeper import DanceKeeper
from web.settings import WebSettings

_MOST_JSON_BYTES: Final = 4096
_MOST: Final = 2**53
_COLOUR: Final = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
_MOST_SOUND_OFFSET_SECONDS: Final = 3600.0


async def body_of(request: Request, most_bytes: int, word: str) -> bytes:
    """Return a request's body. Raises Refused 413 with `word` for a larger one, without reading the rest."""
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most_bytes:
                raise Refused(413, word, f"At most {most_bytes} bytes are taken in one request.")
            parts.append(part)
    except ClientDisconnect as error:
        raise Refused(400, "connection_lost", "The connection was lost before all bytes arrived.") from error
    return b"".join(parts)


async def json_of(request: Request) -> Fields:
    """Return the object in a request's body. Raises Refused 400, and 413 for a large one."""
    try:
        return Fields.of(parsed(await body_of(request, _MOST_JSON_BYTES, "bad_request")))
    except BadDocument as error:
        raise _bad(error) from error


def whole_number(text: str, name: str) -> int:
    """Return a parameter of an address. Raises Refused 400."""
    if not re.fullmatch(r"-1|\d{1,15}", text, re.ASCII):
        raise Refused(400, "bad_request", f"{name} must be a whole number.")
    return int(text)


def dance_wish(said: Fields) -> dict[str, Any]:
    """Return the fields of a new dance's record. Raises Refused 400."""
    try:
        source, background = said.part("source"), said.part("background") if said.has("background") else None
        has_sample = source.has("sample")
        return {
            "actor": _actor(said),
            "version": said.whole("version", 0, 2**31 - 1, 0),
            "mirror": said.flag("mirror", False),
            "sample": source.text("sample", 64) if has_sample else "",
            "bytes": 0 if has_sample else source.whole("bytes", 1, _MOST),
            "place": Place() if background is None else _place(background),
        }
    except (BadDocument, BadInput) as error:
        raise _bad(error) from error


def recording_wish(said: Fields) -> str:
    """Return the actor of a new recording. Raises Refused 400."""
    try:
        return _actor(said)
    except (BadDocument, BadInput) as error:
        raise _bad(error) from error


def sound_wish(said: Fields) -> tuple[int, float]:
    """Return how many bytes of sound follow, and when it began in seconds. Raises Refused 400."""
    try:
        most_s = _MOST_SOUND_OFFSET_SECONDS
        sound_bytes = said.whole("sound_bytes", 0, SOUND_BYTES, 0)
        return sound_bytes, said.number("sound_begins_seconds", -most_s, most_s, 0.0)
    except BadDocument as error:
        raise _bad(error) from error


def _actor(said: Fields) -> str:
    return checked_actor_id(said.text("actor", 80))


def _place(said: Fields) -> Place:
    kind = said.text("kind", 16)
    if kind in ("own", "green"):
        return Place(kind=kind)
    if kind == "picture":
        return Place(kind=kind, bytes=said.whole("bytes", 1, PICTURE_BYTES))
    colour = _COLOUR.fullmatch(said.text("colour", 16)) if kind == "colour" else None
    if colour is None:
        text = 'The background must be of the kind "own", "green", "picture", or "colour" with a colour like #102030.'
        raise Refused(400, "bad_background", text)
    red, green, blue = (int(digits, 16) for digits in colour.groups())
    return Place(kind=kind, colour=(red, green, blue))


def _bad(error: BadDocument | BadInput) -> Refused:
    return Refused(400, "bad_request", f"The request cannot be used: {error}.")


def limits(settings: WebSettings) -> dict[str, float]:
    """Return what a page should know before it uploads."""
    return {
        "clip_bytes": settings.max_clip_bytes,
        "clip_seconds": settings.max_clip_seconds,
        "clip_side_px": settings.max_clip_side_px,
        "chunk_bytes": CHUNK_BYTES,
        "picture_bytes": PICTURE_BYTES,
        "dances": settings.max_dances_per_user,
        "kept_seconds": settings.dances_kept_seconds,
        "recording_bytes": settings.max_recording_bytes,
        "recording_seconds": settings.max_recording_seconds,
        "sound_bytes": SOUND_BYTES,
    }


def described_sample(sample: SampleDance) -> dict[str, Any]:
    """Return a sample dance as a page sees it."""
    clip = sample.clip
    facts = {"seconds": clip.seconds, "frames": clip.frames, "rate_hz": clip.rate_hz}
    size = {"width_px": clip.width_px, "height_px": clip.height_px}
    return {"id": sample.id, **facts, **size, "bytes": sample.path.stat().st_size}


def described(keeper: DanceKeeper, dance: Dance) -> dict[str, Any]:
    """Return a dance as its visitor sees it."""
    record, progress, clip, result = dance.record, dance.progress, dance.record.clip, dance.record.result
    return {
        "id": record.id,
        "kind": record.kind.value,
        "state": record.state.value,
        "word": progress.lost_server if record.state.is_queued and progress.lost_server else record.word,
        "text": record.text,
        "actor": record.actor,
        "version": record.served_version or record.version,
        "mirror": record.mirror,
        "background": record.place.kind,
        "source": {
            "sample": record.sample,
            "bytes": record.bytes,
            "received_bytes": record.bytes if record.state.is_queued else dance.received_bytes,
            "has_background": dance.has_background,
            "seconds": None if clip is None else clip.seconds,
            "frames": None if clip is None else clip.frames,
            "rate_hz": None if clip is None else clip.rate_hz,
            "width_px": None if clip is None else clip.width_px,
            "height_px": None if clip is None else clip.height_px,
            "has_sound": None if clip is None else clip.has_sound,
            "media_type": "" if clip is None else clip.media_type,
        },
        "place": keeper.queue.place(dance),
        "measured": progress.measured,
        "done": progress.done,
        "of": progress.of,
        "rate_hz": progress.rate_hz,
        "seconds_left": progress.seconds_left,
        "pictures": progress.pictures,
        "remarks": dict(progress.remarks),
        "notes": list(record.notes),
        "began_again": record.began_again,
        "result": None
        if result is None
        else {
            "bytes": result.bytes,
            "seconds": result.seconds,
            "frames": result.frames,
            "width_px": result.width_px,
            "height_px": result.height_px,
        },
        "deletes_in_seconds": keeper.deletes_in_seconds(dance),
    }
