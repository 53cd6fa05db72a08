"""Prints on the shirt."""

import numpy as np

from samples.renderer.prints import Print


def _picture(printed: Print) -> np.ndarray:
    """The ink on a square of 0.32 m, 160 points a side, as seen by the reader."""
    x, y = np.meshgrid(np.linspace(-0.16, 0.16, 160, dtype=np.float32), np.linspace(0.16, -0.16, 160, dtype=np.float32))
    return printed.ink(x.ravel(), y.ravel()).reshape(160, 160)


def test_a_star_is_symmetric_and_points_up() -> None:
    """Left and right mirror each other, and the top is narrower than the middle."""
    picture = _picture(Print("star", "", (255, 255, 255)))
    assert np.abs(picture - picture[:, ::-1]).mean() < 0.01
    rows = np.flatnonzero(picture.max(axis=1) > 0.5)
    widths = (picture > 0.5).sum(axis=1)
    assert widths[rows[0] + 2] < 0.3 * widths.max()


def test_words_are_read_from_left_to_right() -> None:
    """An L has its stem on the reader's left and its foot at the bottom."""
    picture = _picture(Print("", "L", (255, 255, 255))) > 0.5
    rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
    letter = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert letter[:, : letter.shape[1] // 4].mean() > 0.8
    assert letter[: letter.shape[0] // 2, letter.shape[1] // 2 :].mean() < 0.1
    assert letter[-letter.shape[0] // 8 :].mean() > 0.8


def test_nothing_is_printed_beside_the_print() -> None:
    """The ink ends within 0.2 m of the middle."""
    printed = Print("star", "DANCE", (255, 255, 255))
    assert printed.ink(np.array([0.2, -0.2, 0, 0], np.float32), np.array([0, 0, 0.2, -0.2], np.float32)).max() == 0
