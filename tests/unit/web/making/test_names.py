"""Actor ids from names."""

from __future__ import annotations

import pytest

from serving.actors.actor_id import is_actor_id
from web.access.refusals import Refused
from web.making.names import MOST_NAME_CHARACTERS, actor_id_from


@pytest.mark.parametrize(
    ("name", "actor"),
    [
        ("Anna", "anna"),
        ("  Anna K. ", "anna-k"),
        ("Zoë Großmann", "zoe-grossmann"),
        ("../../etc", "etc"),
        ("7 of 9", "7-of-9"),
        ("\u041d\u0430\u0434\u044f \u0429\u0443\u043a\u0438\u043d\u0430", "nadya-shchukina"),
        ("\u0401\u0436 \u0419\u043e\u0442", "ezh-iot"),
    ],
)
def test_names_become_ids(name, actor):
    """Latin and Cyrillic names are still recognized."""
    assert actor_id_from(name) == actor


def test_other_alphabets_get_an_id_too():
    """It is valid, always the same, and another one for another name."""
    names = ["\u5c0f\u660e", "\u05e0\u05d5\u05e2\u05d4"]
    ids = [actor_id_from(name) for name in names]
    assert all(is_actor_id(actor) for actor in ids)
    assert len(set(ids)) == 2
    assert ids == [actor_id_from(name) for name in names]


@pytest.mark.parametrize("name", ["", "  ", "-", "a" * (MOST_NAME_CHARACTERS + 1)])
def test_no_name_is_refused(name):
    """A name needs a letter or a digit, and an end."""
    with pytest.raises(Refused) as refused:
        actor_id_from(name)
    assert (refused.value.status, refused.value.word) == (422, "bad_name")


def test_a_long_name_still_fits():
    """The id is cut, not refused."""
    assert is_actor_id(actor_id_from("\u0449" * MOST_NAME_CHARACTERS))
