"""Looks for everything in a file that says it is synthetic: Content Credentials and the watermark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from motion.frame import Picture
from provenance.credentials.errors import UnreadableCredentials
from provenance.credentials.reading import Credentials, State, read_credentials
from provenance.watermark.finding import FALSE_ALARM, FoundWatermark, WatermarkSearch
from serving.errors import UnreadableVideo
from video.reader import VideoReader

STILL_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp")
_SEARCHED_SECONDS: Final = 1.0
_MOST_SEARCHES: Final = 8
"""Seconds of a video that are searched, spread over it, until one has a watermark."""
_MOST_STILL_BYTES: Final = 256 * 2**20


class Mark(Enum):
    """What a file says about itself, all in all."""

    MARKED = "marked as synthetic"
    CHANGED = "changed since it was signed"
    UNMARKED = "no mark found"


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found in a file. searched_pictures: how many were searched for a watermark."""

    credentials: Credentials | None
    watermark: FoundWatermark | None
    searched_pictures: int

    @property
    def mark(self) -> Mark:
        """The verdict. Credentials that are broken count before a watermark: something was done to the file."""
        if self.credentials is not None and self.credentials.state in (State.CHANGED, State.INVALID):
            return Mark.CHANGED
        signed = self.credentials is not None and self.credentials.says_synthetic
        return Mark.MARKED if signed or self.watermark is not None else Mark.UNMARKED

    @property
    def stated(self) -> dict[str, Any]:
        """What valid credentials of this software state; empty otherwise, as nothing else can be relied on."""
        valid = self.credentials is not None and self.credentials.state in (State.VALID, State.TRUSTED)
        return self.credentials.stated if valid and self.credentials is not None else {}

    def to_json(self) -> dict[str, Any]:
        """Return everything for JSON."""
        credentials, watermark = self.credentials, self.watermark
        return {
            "mark": self.mark.name.lower(),
            "credentials": None
            if credentials is None
            else {
                "state": credentials.state.value,
                "signer": credentials.signer,
                "organisation": credentials.organisation,
                "self_made": credentials.is_self_made,
                "software": credentials.software,
                "digital_source_types": list(credentials.source_types),
                "states": credentials.stated,
                "ingredients": [{"title": title, "has_credentials": own} for title, own in credentials.ingredients],
                "faults": list(credentials.faults),
                "in_sidecar": credentials.in_sidecar,
            },
            "watermark": None
            if watermark is None
            else {
                "server_key": watermark.payload.key_name if watermark.is_legible else None,
                "session": watermark.payload.session_name if watermark.is_legible else None,
                "legible": watermark.is_legible,
                "strength": round(watermark.strength, 1),
                "false_alarm": watermark.false_alarm,
                "scale": round(watermark.scale, 3),
                "mirrored": watermark.is_mirrored,
            },
            "searched_pictures": self.searched_pictures,
        }


def verify(path: Path, *, trust_anchors_pem: str = "", should_stop: Callable[[], bool] = lambda: False) -> Verification:
    """Check a video or a picture.

    should_stop: called for each picture, and while they are searched; True raises KeyboardInterrupt. Raises
    UnreadableVideo for a file that shows no picture and has no credentials either.
    """
    unreadable: UnreadableCredentials | None = None
    credentials: Credentials | None = None
    try:
        credentials = read_credentials(path, trust_anchors_pem=trust_anchors_pem)
    except UnreadableCredentials as error:
        unreadable = error
    try:
        watermark, searched = _searched(path, should_stop)
    except UnreadableVideo:
        if credentials is None:
            raise
        watermark, searched = None, 0
    if unreadable is not None:  # its pictures can be read all the same
        credentials = Credentials(
            state=State.INVALID, signer="", organisation="", software="", faults=(str(unreadable),)
        )
    return Verification(credentials, watermark, searched)


def _searched(path: Path, should_stop: Callable[[], bool]) -> tuple[FoundWatermark | None, int]:
    if path.suffix.lower() in STILL_SUFFIXES:
        still = WatermarkSearch()
        still.add(_still(path))
        return _sure_of(still, 1, should_stop), 1
    searched, tries = 0, 0
    with VideoReader(str(path)) as reader:
        in_each = max(1, round(reader.frame_rate_hz * _SEARCHED_SECONDS))
        left_out = _left_out(reader.expected_frames, in_each)
        frames = _pictures(reader, should_stop)
        while tries < _MOST_SEARCHES and (second := _collected(islice(frames, in_each))):
            tries, searched = tries + 1, searched + sum(search.pictures for search in second)
            for search in second:
                found = _sure_of(search, _MOST_SEARCHES * len(second), should_stop)
                if found is not None:
                    return found, searched
            for _ in islice(frames, left_out):
                pass
    return None, searched


def _left_out(expected_frames: int | None, in_each: int) -> int:
    """How many frames lie between two searched seconds, so that they are spread over the whole video."""
    if expected_frames is None:
        return 0
    return max(0, (expected_frames - in_each) // max(1, _MOST_SEARCHES - 1) - in_each)


def _sure_of(search: WatermarkSearch, searches: int, should_stop: Callable[[], bool]) -> FoundWatermark | None:
    """What was found, if it is sure. searches: how many the file may take, each of which could be a false alarm."""
    best = search.best(should_stop)
    if best is None or best.false_alarm * searches >= FALSE_ALARM:
        return None
    return replace(best, false_alarm=best.false_alarm * searches)


def _collected(pictures: Iterable[Picture]) -> list[WatermarkSearch]:
    """A search for each size of pictures. It keeps their sum only: a second of large pictures would take gigabytes."""
    searches: dict[tuple[int, ...], WatermarkSearch] = {}
    for picture in pictures:
        searches.setdefault(picture.shape, WatermarkSearch()).add(picture)
    return list(searches.values())


def _pictures(reader: VideoReader, should_stop: Callable[[], bool]) -> Iterator[Picture]:
    for frame in reader.frames():
        if should_stop():
            raise KeyboardInterrupt
        yield frame.pixels


def _still(path: Path) -> Picture:
    try:
        if path.stat().st_size > _MOST_STILL_BYTES:
            raise UnreadableVideo(f"{path} has more than {_MOST_STILL_BYTES} bytes")
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise UnreadableVideo(f"{path} cannot be read: {error.strerror}") from error
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if decoded is None:
        raise UnreadableVideo(f"{path} is not a picture that can be decoded")
    return np.ascontiguousarray(decoded[..., ::-1], dtype=np.uint8)
