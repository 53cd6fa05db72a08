"""Which picture is shown for which frame."""

from __future__ import annotations

import numpy as np
import pytest

from client.connection.types import Answer
from client.media.frame_feed import Shot
from client.transfer.output_frames import Film
from motion.frame import NoPictureReason, PictureEncoding
from serving.errors import BadPicture
from serving.pictures.codec import encode_picture

PLATE = np.full((32, 32, 3), 77, np.uint8)


def answer(sequence: int, level: int | None) -> Answer:
    """A grey picture, or NO_PERSON for None."""
    picture = None
    if level is not None:
        picture = encode_picture(np.full((32, 32, 3), level, np.uint8), PictureEncoding.PNG)
    reason = NoPictureReason.NO_PERSON if picture is None else None
    return Answer(sequence, picture, reason, "", (), (), None, 0.0)


def shown(film: Film, levels: list[int | None]) -> list[int | None]:
    pictures = [film.add(Shot(i, i, None), answer(i, level)) for i, level in enumerate(levels)]
    return [None if picture is None else int(picture[0, 0, 0]) for picture in pictures]


def film(**options) -> Film:
    wanted = {"compare": False, "plate": None, "source_again": lambda: iter(()), **options}
    return Film(None, **wanted)


def test_the_plate_stands_before_the_first_picture():
    """Before the first person the plate is shown; later gaps repeat the last picture."""
    assert shown(film(plate=PLATE), [None, None, 120, None, 130]) == [77, 77, 120, 120, 130]


def test_without_a_plate_there_is_nothing_to_show_yet():
    """Frames delayed for the file are not shown."""
    assert shown(film(), [None, 120, None]) == [None, 120, 120]


def cut_out(level: int | None) -> Answer:
    """A grey person in the left half of a transparent picture, or NO_PERSON for None."""
    if level is None:
        return answer(0, None)
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[:, :16] = (level, level, level, 255)
    return Answer(0, encode_picture(pixels, PictureEncoding.PNG), None, "", (), (), None, 0.0)


def test_a_background_video_goes_on_while_the_person_is_repeated():
    """Behind the person lies the picture of each frame's time; a frame without a person repeats the last one."""
    empty = np.zeros((32, 32, 4), np.uint8)
    taken = film(plate=empty, has_opacity=True, behind=lambda pts: np.full((32, 32, 3), 10 * pts, np.uint8))
    pictures = [taken.add(Shot(pts, pts, None), cut_out(level)) for pts, level in enumerate([None, 90, None, 120], 1)]
    assert [int(picture[0, 0, 0]) for picture in pictures if picture is not None] == [10, 90, 90, 120]
    assert [int(picture[0, 31, 0]) for picture in pictures if picture is not None] == [10, 20, 30, 40]


def test_a_transparent_output_is_shown_and_compared_on_chequers():
    """The window and the comparison show grey squares where the output is clear."""
    picture = film(has_opacity=True).add(Shot(0, 0, None), cut_out(90))
    assert picture is not None
    assert (picture[:, :16] == 90).all()
    assert set(np.unique(picture[:, 16:])) <= {150, 200}
    source = np.zeros((32, 32, 3), np.uint8)
    compared = film(has_opacity=True, compare=True).add(Shot(0, 0, source), cut_out(90))
    assert compared is not None
    assert set(np.unique(compared[4:-4, -8:])) <= set(range(140, 211))


def test_a_picture_can_be_shown_before_it_is_written():
    """A live session shows a picture first: encoding it for the file takes longer."""
    written = []

    class Recorded:
        def write(self, picture, pts: int) -> None:
            written.append((int(picture[0, 0, 0]), pts))

    taken = Film(Recorded(), compare=False, plate=None, source_again=lambda: iter(()))  # type: ignore[arg-type]
    drawn = taken.draw(Shot(0, 7, None), answer(0, 120))
    assert drawn is not None
    assert not written
    taken.write()
    taken.write()
    assert written == [(120, 7)]


def test_comparison_without_pixels_is_refused():
    """A comparison without the sent pixels is an error."""
    with pytest.raises(BadPicture, match="needs the pixels"):
        shown(film(compare=True), [120])
