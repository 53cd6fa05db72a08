"""Every sentence that the page can need is there, in every language."""

from __future__ import annotations

import re

import pytest

from tests.page_words import PAGE, Words, refusals, scripts, words_of

_PLURALS = {"en": {"one", "other"}, "ru": {"one", "few", "many", "other"}}


@pytest.fixture(scope="module")
def english() -> Words:
    return words_of("en")


def _placeholders(forms: dict[str, str]) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", " ".join(forms.values())))


@pytest.mark.parametrize("language", sorted(set(_PLURALS) - {"en"}))
def test_languages_have_the_same_sentences(english: Words, language: str) -> None:
    """Each language has English's keys, with the same placeholders, and says every one of them."""
    other = words_of(language)
    assert set(other) == set(english)
    different = [key for key in english if _placeholders(other[key]) != _placeholders(english[key])]
    assert not different
    assert not [key for key, forms in other.items() if not all(forms.values())]


@pytest.mark.parametrize("language", sorted(_PLURALS))
def test_counted_sentences_have_the_plurals_of_their_language(language: str) -> None:
    """A sentence with plural forms has all those of its language."""
    for key, forms in words_of(language).items():
        assert set(forms) in ({""}, _PLURALS[language]), key


def test_every_element_has_its_sentence(english: Words) -> None:
    """The keys in the page's HTML and scripts exist."""
    keys = set(re.findall(r'data-t(?:-label)?="(\w+)"', (PAGE / "index.html").read_text()))
    assert len(keys) > 40
    for text in scripts().values():
        keys |= set(re.findall(r"\bt\('(\w+)'", text))
        keys |= set(re.findall(r"dataset\.t(?:Label)? = '(\w+)'", text))
        keys |= set(re.findall(r"\.state\('(\w+)'", text)) | set(re.findall(r"\bsay\('(\w+)'", text))
    assert not keys - set(english)


def test_every_refusal_has_a_sentence(english: Words) -> None:
    """Whatever the gateway refuses with, and whatever fails in the page, is said in words."""
    words = refusals()
    assert {"origin", "clip_too_large", "actor_not_found", "server_failed", "nothing_to_dance"} <= words
    for text in scripts().values():
        for word in re.findall(r"(?:ApiError|PoseError|failure)\(([^,)]*),", text):
            words |= set(re.findall(r"'(\w+)'", word))
        words |= set(re.findall(r"Error: '(\w+)'", text))
    assert {"camera_denied", "pose_worker_silent", "message_too_large"} <= words
    assert not sorted(word for word in words if f"why_{word}" not in english)


def test_no_sentence_stands_in_a_script() -> None:
    """Modules contain no sentences for people: those are all below words/."""
    shown = re.compile(r"(?:textContent|innerText|title|alt|placeholder)\s*=\s*'[^']*[a-z]{2} [a-z]")
    found = {path.name for path, text in scripts().items() if "words" not in path.parts and shown.search(text)}
    assert not found
