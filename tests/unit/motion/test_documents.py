"""JSON from outside is read as strictly as the standard requires, and within limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from motion.documents import BadDocument, Fields, check_size, parsed, read_bounded, read_document, shortened


def test_valid_json_is_read():
    """All kinds of values are read, from text and from bytes with or without a byte order mark."""
    text = '{"a": [1, -2.5, 1e3, true, null, "\\ud83d\\ude00", ""], "b": {"c": 18446744073709551615}}'
    value = {"a": [1, -2.5, 1000.0, True, None, "\U0001f600", ""], "b": {"c": 2**64 - 1}}
    assert parsed(text) == parsed(text.encode()) == parsed(b"\xef\xbb\xbf" + text.encode()) == value
    assert parsed("[" * 64 + "]" * 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": {"b": [0, NaN]}}', "a.b[1]: expected a number, got nan"),
        ('{"a": -Infinity}', "a: expected a number, got -inf"),
        ('{"a": 1e400}', "a: expected a number, got inf"),
        ("1e400", "the document: expected a number, got inf"),
        ('{"a": 18446744073709551616}', "a: expected a number, got 18446744073709551616"),
        ("1" * 5000, "contains a number with thousands of digits"),
        ("[" * 65 + "]" * 65, "is nested more than 64 levels deep"),
        ("[" * 1_000_000, "is nested more than 64 levels deep"),
        ('{"a":' * 100_000, "is nested more than 64 levels deep"),
        ('["\\ud800"]', "[0]: expected a string, got half a surrogate pair"),
        ('{"\\udfff": 1}', "expected a string, got half a surrogate pair"),
        ('{"a": 1, "b": 2, "a": 1}', "has two fields a in one object"),
        ('{"a": {"x y": 1, "x y": 1}}', "has two fields 'x y' in one object"),
        ("", "is not JSON"),
        ("{} {}", "is not JSON"),
        ("{'a': 1}", "is not JSON"),
        (b"\xff", "byte 0 is not UTF-8"),
        ("{}".encode("utf-16"), "is not UTF-8"),
        (b'"\xed\xa0\x80"', "is not UTF-8"),
    ],
)
def test_invalid_json_is_rejected(text: str | bytes, message: str):
    """Everything invalid raises BadDocument with one short line."""
    with pytest.raises(BadDocument) as caught:
        parsed(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_record_may_hold_infinite_numbers():
    """Infinite numbers become None at any depth of the given top-level fields; all other rules still apply there."""
    text = '{"scores": {"a": [Infinity, {"b": NaN}], "c": 1e400, "d": -Infinity, "e": 2.5}, "trained": {}, "f": 1}'
    scores = {"a": [None, {"b": None}], "c": None, "d": None, "e": 2.5}
    named = frozenset({"scores", "trained", "absent"})
    assert parsed(text, null_for_infinite_in=named) == {"scores": scores, "trained": {}, "f": 1}
    for bad, message in (
        ('{"f": NaN}', "f: expected a number, got nan"),
        ('{"inner": {"scores": {"a": NaN}}}', "inner.scores.a: expected a number, got nan"),
        ('{"scores": {"a": 18446744073709551616}}', "scores.a: expected a number, got 18446744073709551616"),
        ('{"scores": {"a": ["\\ud800"]}}', "scores.a[0]: expected a string, got half a surrogate pair"),
        ('{"scores": ' + "[" * 64 + "]" * 64 + "}", "is nested more than 64 levels deep"),
        ('{"scores": ' + "[" * 5000 + "NaN" + "]" * 5000 + "}", "is nested more than 64 levels deep"),
        ('[{"scores": {"a": NaN}}]', "[0].scores.a: expected a number, got nan"),
    ):
        with pytest.raises(BadDocument) as caught:
            parsed(bad, null_for_infinite_in=named)
        assert message in str(caught.value)


def test_a_file_is_checked_before_it_is_read(tmp_path: Path):
    """Large files, FIFOs, folders, devices and circular links are rejected without reading them."""
    path = tmp_path / "document.json"
    path.write_text("[1]")
    assert read_document(path) == [1]
    check_size(path, 3)
    for use in (read_bounded, check_size):
        with pytest.raises(BadDocument, match=r"^has 3 bytes, at most 2 are read$"):
            use(path, 2)
        os.truncate(path, 2**42)
        with pytest.raises(BadDocument, match="at most 1048576 are read"):
            use(path, 2**20)
        path.write_text("[1]")
        for odd, make in (("fifo", os.mkfifo), ("folder", Path.mkdir), ("zero", lambda it: it.symlink_to("/dev/zero"))):
            if not os.path.lexists(tmp_path / odd):
                make(tmp_path / odd)
            with pytest.raises(BadDocument, match="is not a regular file"):
                use(tmp_path / odd, 2**20)
        (tmp_path / "loop").unlink(missing_ok=True)
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(OSError, match="Too many levels"):
            use(tmp_path / "loop", 2**20)
        with pytest.raises(FileNotFoundError):
            use(tmp_path / "nowhere", 2**20)
    path.write_text("")
    with pytest.raises(BadDocument, match="is empty"):
        check_size(path, 3)


def test_reading_stops_at_the_limit(tmp_path: Path):
    """The limit also applies to files that report a smaller size, as those in /proc do."""
    with pytest.raises(BadDocument, match="has more than 3 bytes"):
        read_bounded(Path("/proc/self/status"), 3)


def test_fields_name_what_they_expected():
    """Each kind of field accepts only values of its type and range, and the error names both."""
    fields = Fields.of({"n": 5, "f": 2.0, "t": "text", "yes": True, "inner": {"n": -1}, "list": [1, 2.5], "none": None})
    assert (fields.whole("n", 0, 5), fields.number("n", 0, 9), fields.number("f", 0, 9)) == (5, 5.0, 2.0)
    assert (fields.text("t", 4), fields.flag("yes"), fields.has("none"), fields.has("t")) == ("text", True, False, True)
    assert (fields.whole("gone", 0, 9, default=3), fields.flag("gone", default=False)) == (3, False)
    assert fields.part("inner").whole("n", -1, 0) == -1
    for use, message in (
        (lambda: fields.whole("f", 0, 9), "f: expected a whole number from 0 to 9, got 2.0"),
        (lambda: fields.whole("yes", 0, 9), "yes: expected a whole number from 0 to 9, got True"),
        (lambda: fields.whole("n", 0, 4), "n: expected a whole number from 0 to 4, got 5"),
        (lambda: fields.whole("gone", 0, 4), "gone: is missing, expected a whole number from 0 to 4"),
        (lambda: fields.part("inner").whole("n", 0, 4), "inner.n: expected a whole number from 0 to 4, got -1"),
        (lambda: fields.number("yes", 0, 9), "yes: expected a number from 0 to 9, got True"),
        (lambda: fields.number("t", 0, 9), "t: expected a number from 0 to 9, got 'text'"),
        (lambda: fields.text("n", 9), "n: expected a string of at most 9 characters, got 5"),
        (lambda: fields.text("t", 3), "t: expected a string of at most 3 characters, got 4"),
        (lambda: fields.flag("n"), "n: expected true or false, got 5"),
        (lambda: fields.part("n"), "n: expected an object, got 5"),
        (lambda: fields.wholes("list", 0, 9), "list[1]: expected a whole number from 0 to 9, got 2.5"),
        (lambda: fields.wholes("n", 0, 9), "n: expected a list of whole numbers from 0 to 9, got 5"),
        (lambda: fields.part("inner").only("m"), "inner.n: no such field"),
        (lambda: Fields.of([]), "expected an object, got a list"),
    ):
        with pytest.raises(BadDocument) as caught:
            use()
        assert str(caught.value) == message


def test_values_in_messages_are_short():
    """Any value is formatted as one short line of ASCII."""
    assert shortened("a\nb\u2028\ud800") == r"'a\nb\u2028\ud800'"
    assert len(shortened("x" * 10_000)) < 50
    assert (shortened(None), shortened({"a": 1}), shortened([1])) == ("nothing", "an object", "a list")
