"""The key of a server, and its id in watermarks."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from provenance.watermark.server_key import ServerKey, key_id, known_key_ids, make_key_file
from serving.errors import BadSettings


def test_a_new_key_is_private_and_stays(tmp_path: Path) -> None:
    """It is made once, for its owner only, and every later use reads the same."""
    path = tmp_path / "deep" / "server.key"
    make_key_file(path)
    first = path.read_text()
    make_key_file(path)
    assert path.read_text() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert known_key_ids(path, setting="KEY") == [key_id(bytes.fromhex(first.strip()))]


def test_the_first_key_marks_and_all_are_known(tmp_path: Path) -> None:
    """After a rotation, watermarks of the former key still name this server."""
    keys = [bytes([n]) * 32 for n in (1, 2)]
    path = tmp_path / "keys"
    path.write_text("\n".join(key.hex() for key in keys))
    assert ServerKey.from_file(path, setting="KEY").id == key_id(keys[0])
    assert known_key_ids(path, setting="KEY") == [key_id(key) for key in keys]


def test_the_same_facts_give_the_same_payload() -> None:
    """Facts are not run together: "ab", "c" is another session than "a", "bc"."""
    key = ServerKey(b"k" * 32)
    assert key.payload(["ab", b"c"]) == key.payload(["ab", b"c"])
    assert len({key.payload(facts).session for facts in (["ab", "c"], ["a", "bc"], ["abc"], ["ab", "c", ""])}) == 4
    assert key.payload(["ab"]).key_id == key.id != 0
    assert key.payload(["ab"]).session != ServerKey(b"l" * 32).payload(["ab"]).session


def test_a_server_without_a_key_has_the_id_0() -> None:
    """Its watermarks are found all the same."""
    assert ServerKey.from_file(None, setting="KEY").id == 0


@pytest.mark.parametrize("content", ["", "ab", "no digits", "00" * 31])
def test_a_bad_key_file_is_refused(tmp_path: Path, content: str) -> None:
    """The error names the setting and what is expected, and quotes no key."""
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(BadSettings, match=r"^KEY: .*expected") as refused:
        ServerKey.from_file(path, setting="KEY")
    assert not content or content not in str(refused.value).partition("expected")[2]
