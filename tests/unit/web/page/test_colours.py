"""The page's words can be read, in its light and its dark colours."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.page_words import PAGE

_READABLE: Final = 4.5
"""WCAG 2.2, 1.4.3 (AA), for letters of every size."""
_SEEN: Final = 3.0
"""WCAG 2.2, 1.4.11, for what is not a word: here the ring around what has the focus."""
_WORDS: Final = [
    ("text", "ground"), ("text", "card"), ("soft", "ground"), ("soft", "card"), ("accent", "ground"),
    ("accent", "card"), ("on-accent", "accent"), ("wrong", "ground"), ("wrong", "card"),
]  # fmt: skip
Colour = tuple[float, float, float]


def _colours(dark: bool) -> dict[str, Colour]:
    """The page's colours by name, each as red, green and blue in [0, 1]."""
    text = (PAGE / "look" / "page.css").read_text()
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", text)
    return {name: _parsed(of_dark if dark else of_light) for name, of_light, of_dark in pairs}


def _parsed(text: str) -> Colour:
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _contrast(one: Colour, other: Colour) -> float:
    def luminance(colour: Colour) -> float:
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_words_stand_out(dark: bool) -> None:
    """All words have the contrast that people with weak sight need."""
    colours = _colours(dark)
    poor = {pair: _contrast(colours[pair[0]], colours[pair[1]]) for pair in _WORDS}
    assert not {pair: found for pair, found in poor.items() if found < _READABLE}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_focus_is_seen(dark: bool) -> None:
    """The ring around what has the focus, and the border of the chosen card, stand out from what is around them."""
    colours = _colours(dark)
    assert all(_contrast(colours["accent"], colours[behind]) >= _SEEN for behind in ("ground", "card"))


def test_words_over_a_picture_stand_out() -> None:
    """White words on their veil can be read even over a white picture."""
    text = (PAGE / "look" / "stage.css").read_text()
    veils = re.findall(r"background: rgb\((\d+) (\d+) (\d+) / ([\d.]+)\)", text)
    assert len(veils) >= 2
    for *parts, opacity in veils:
        red, green, blue = (int(part) / 255 * float(opacity) + 1 - float(opacity) for part in parts)
        assert _contrast((1, 1, 1), (red, green, blue)) >= _READABLE
