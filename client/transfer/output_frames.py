"""Turns answers into the pictures of the output: repeats, delayed beginnings, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from client.connection.types import Answer
from client.media.comparison import side_by_side
from client.media.frame_feed import Shot
from client.media.video_writer import Recording
from motion.frame import Picture
from serving.errors import BadPicture
from serving.pictures.codec import decode_picture


class Film:
    """One picture for every frame of the source, so that the rate and the number of frames stay the same.

    A frame without a picture repeats the last one. Before the first picture, the plate is used. Without a plate, the
    beginning is delayed until the first picture arrives; only the times are kept.

    recording: None to write nothing. compare: show source, skeleton and actor side by side; needs `Shot.pixels`.
    source_again: returns the sent pixels from the first frame on, for the delayed beginning of a comparison.
    hold_beginning: False for live sessions, whose recording begins with the first picture.
    Not thread-safe. Raises BadPicture for an answer that cannot be decoded, and UnwritableVideo.
    """

    def __init__(
        self,
        recording: Recording | None,
        *,
        compare: bool,
        plate: Picture | None,
        source_again: Callable[[], Iterator[Picture]],
        hold_beginning: bool = True,
    ) -> None:
        self._recording = recording
        self._compare = compare
        self._actor = plate
        self._source_again = source_again
        self._hold_beginning = hold_beginning
        self._held_pts: list[int] = []

    def add(self, shot: Shot, answer: Answer) -> Picture | None:
        """Write and return the frame's picture, `[H, W, 3]` uint8 RGB; None before the first picture."""
        if answer.picture is not None:
            self._actor = decode_picture(answer.picture, field=f"answer {answer.sequence}")
            self._write_held(self._actor)
        if self._actor is None:
            if self._hold_beginning:
                self._held_pts.append(shot.pts)
            return None
        label_map = None
        if self._compare and answer.label_map is not None:
            label_map = decode_picture(answer.label_map, field=f"label map {answer.sequence}")
        composed = self._composed(shot.pixels, label_map, self._actor)
        self._write(composed, shot.pts)
        return composed

    def _write_held(self, actor: Picture) -> None:
        if not self._held_pts:
            return
        again = self._source_again() if self._compare else None
        for pts in self._held_pts:
            self._write(self._composed(next(again) if again is not None else None, None, actor), pts)
        self._held_pts.clear()

    def _composed(self, source: Picture | None, label_map: Picture | None, actor: Picture) -> Picture:
        if not self._compare:
            return actor
        if source is None:
            raise BadPicture("source", "a comparison needs the pixels that were sent")
        return side_by_side(source, label_map, actor)

    def _write(self, picture: Picture, pts: int) -> None:
        if self._recording is not None:
            self._recording.write(picture, pts)
