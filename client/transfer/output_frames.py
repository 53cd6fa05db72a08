"""Turns answers into the pictures of the output: repeats, delayed beginnings, backgrounds, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from client.connection.types import Answer
from client.media.comparison import on_chequers, on_white, side_by_side
from client.media.frame_feed import Shot
from client.media.frame_folder import FrameFolder
from client.media.video_writer import Recording
from client.transfer.rungs import enlarged
from motion.frame import FrameSize, Picture, RgbaPicture
from serving.errors import BadPicture
from serving.pictures.codec import decode_picture, decode_rgba
from serving.pictures.compositing import laid_over, premultiplied


class Film:
    """One picture for every frame of the source, so that the rate and the number of frames stay the same.

    A frame without a picture repeats the last one. Before the first picture, the plate is used. Without a plate, the
    beginning is delayed until the first picture arrives; only the times are kept.

    recording: None to write nothing. compare: show source, skeleton and actor side by side; needs `Shot.pixels`.
    references: whether a comparison also shows the actor's moved limbs, before the actor. plate: what answers look like
    without a person. source_again: returns the sent pixels from the first frame on, for the delayed beginning of a
    comparison. hold_beginning: False for live sessions, whose recording begins with the first picture. size: of all
    pictures; smaller ones, which a slow machine sends, are enlarged. None to keep each one's. has_opacity:
    whether answers have one. shown_with: composes an answer's picture from the sent pixels and the actor's picture.
    behind: returns the picture to lay such answers over, by the frame's pts; None to keep the opacity, except in a
    comparison.
    Not thread-safe. Raises BadPicture for an answer that cannot be decoded, and UnwritableVideo.
    """

    def __init__(
        self,
        recording: Recording | FrameFolder | None,
        *,
        compare: bool,
        references: bool = False,
        plate: Picture | RgbaPicture | None,
        source_again: Callable[[], Iterator[Picture]],
        hold_beginning: bool = True,
        size: FrameSize | None = None,
        has_opacity: bool = False,
        shown_with: Callable[[Picture, Picture], Picture] | None = None,
        behind: Callable[[int], Picture] | None = None,
    ) -> None:
        self._recording = recording
        self._compare = compare
        self._no_person: list[Picture | None] = [None] * (2 if references else 1)
        self._actor = plate
        self._source_again = source_again
        self._hold_beginning = hold_beginning
        self._decode = decode_rgba if has_opacity else decode_picture
        self._has_opacity = has_opacity
        self._size = size
        self._shown_with = shown_with
        self._behind = behind
        self._held_pts: list[int] = []
        self._unwritten: tuple[Picture | RgbaPicture, int] | None = None

    def add(self, shot: Shot, answer: Answer) -> Picture | None:
        """`draw` and `write`."""
        picture = self.draw(shot, answer)
        self.write()
        return picture

    def draw(self, shot: Shot, answer: Answer) -> Picture | None:
        """Return the frame's picture to show, `[H, W, 3]` uint8 RGB; None before the first picture. `write` it next."""
        if answer.picture is not None:
            drawn = self._decode(answer.picture, field=f"answer {answer.sequence}")
            self._actor = drawn if self._size is None else enlarged(drawn, self._size)
            if self._shown_with is not None and shot.pixels is not None:
                self._actor = self._shown_with(shot.pixels, self._actor)
            self._write_held()
        if self._actor is None:
            if self._hold_beginning:
                self._held_pts.append(shot.pts)
            return None
        composed = self._composed(shot.pixels, self._drawn(answer), shot.pts)
        self._unwritten = composed, shot.pts
        return on_chequers(composed) if composed.shape[2] == 4 else composed

    def write(self) -> None:
        """Write the picture of the last `draw`, if there is a recording. It may be shown before that."""
        if self._unwritten is not None:
            unwritten, self._unwritten = self._unwritten, None
            self._write(*unwritten)

    def _write_held(self) -> None:
        if not self._held_pts:
            return
        again = self._source_again() if self._compare else None
        for pts in self._held_pts:
            self._write(self._composed(next(again) if again is not None else None, self._no_person, pts), pts)
        self._held_pts.clear()

    def _drawn(self, answer: Answer) -> list[Picture | None]:
        """Return the panels between source and actor; None for what the answer does not have."""
        drawn = list(self._no_person)
        if self._compare and answer.label_map is not None:
            drawn[0] = decode_picture(answer.label_map, field=f"label map {answer.sequence}")
        if self._compare and answer.reference is not None:
            drawn[1:] = [on_white(decode_rgba(answer.reference, field=f"reference {answer.sequence}"))]
        return drawn

    def _composed(self, source: Picture | None, drawn: list[Picture | None], pts: int) -> Picture | RgbaPicture:
        assert self._actor is not None
        actor = self._actor
        if self._behind is not None:
            actor = laid_over(premultiplied(actor), self._behind(pts))
        elif self._has_opacity and self._compare:
            actor = on_chequers(actor)
        if not self._compare:
            return actor
        if source is None:
            raise BadPicture("source", "a comparison needs the pixels that were sent")
        return side_by_side(source, drawn, actor)

    def _write(self, picture: Picture | RgbaPicture, pts: int) -> None:
        if self._recording is not None:
            self._recording.write(picture, pts)
