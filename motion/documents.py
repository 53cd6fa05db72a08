"""Strict reading of JSON documents from outside: size limits apply before reading, and only standard JSON is accepted.

Python's parser accepts more than the standard (NaN, Infinity, numbers that overflow, duplicate fields, half a surrogate
pair) and raises RecursionError for deep nesting. All of these are a `BadDocument` here. Messages name the field; the
caller adds the file's name, in the form that its user expects.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MOST_BYTES: Final = 2**20
"""The size limit of most documents. An actor's document has 3 kB, and our largest document less than 100 kB."""

_MOST_LEVELS: Final = 64
_WHOLE_BITS: Final = 64
_HALF_A_PAIR: Final = re.compile("[\ud800-\udfff]")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_SHORTENED_CHARACTERS: Final = 40

_Place = tuple[Any, ...]
"""Names and indices on the path to a value, innermost first: `(name, (outer name, ()))`."""


class BadDocument(ValueError):
    """A document, or a value in it, is not as expected. The message is one short line that names the field."""


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """Return the bytes of a regular file. Raises OSError, and BadDocument for other kinds of file and larger files.

    Reads no more than the limit even if the file is growing, and never waits for a FIFO or a device.
    """
    _check_kind(path.stat(), most_bytes)  # before opening, which has side effects on some devices
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        _check_kind(os.fstat(file.fileno()), most_bytes)
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise BadDocument(f"has more than {most_bytes} bytes")
    return data


def check_size(path: Path, most_bytes: int) -> None:
    """Raise BadDocument unless the path is a regular file of 1 to `most_bytes` bytes. Raises OSError."""
    found = path.stat()
    _check_kind(found, most_bytes)
    if not found.st_size:
        raise BadDocument("is empty")


def read_document(path: Path, *, null_for_infinite_in: Set[str] = frozenset()) -> Any:
    """Return the value of a JSON file. Raises OSError, and BadDocument as `read_bounded` and `parsed` do."""
    return parsed(read_bounded(path, MOST_BYTES), null_for_infinite_in=null_for_infinite_in)


def parsed(text: str | bytes, *, null_for_infinite_in: Set[str] = frozenset()) -> Any:
    """Return the value of a JSON text; bytes must be UTF-8. Raises BadDocument.

    Numbers must be finite and integers have at most 64 bits, strings must be valid Unicode, field names must be unique
    within their object, and nesting is limited to 64 levels.

    null_for_infinite_in: top-level fields in which NaN and infinite numbers are read as None.
    """
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        value = json.loads(decoded, object_pairs_hook=_without_doubles)
    except BadDocument:
        raise
    except RecursionError:
        raise BadDocument(f"is nested more than {_MOST_LEVELS} levels deep") from None
    except UnicodeDecodeError as error:
        raise BadDocument(f"is not JSON: byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadDocument(f"is not JSON: {error}") from None
    except ValueError:  # Python refuses to convert that many digits
        raise BadDocument("contains a number with thousands of digits") from None
    if isinstance(value, dict):
        for name in null_for_infinite_in & value.keys():
            _check(value[name], (name, ()), 1, may_be_infinite=True)
            value[name] = _without_infinite(value[name])
    _check(value, (), 0)
    return value


@dataclass(frozen=True, slots=True)
class Fields:
    """Typed access to an object's fields. Raises BadDocument with the field, the expected value and the actual one.

    where: the object's path, for messages; "" for the document itself, else it ends with a dot. A field with a default
    is optional.
    """

    values: Mapping[str, Any]
    where: str = ""

    @classmethod
    def of(cls, value: object) -> Fields:
        """Return the fields of a whole document."""
        if not isinstance(value, dict):
            raise BadDocument(f"expected an object, got {shortened(value)}")
        return cls(value)

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """Read a whole number from `low` to `high`; 2.0 is not accepted."""
        whole: int = self.value(name, _whole_from(low, high), lambda value: _is_whole(value, low, high), default)
        return whole

    def wholes(self, name: str, low: int, high: int) -> tuple[int, ...]:
        """Read a list of whole numbers from `low` to `high`."""
        values = self.value(
            name, f"a list of whole numbers from {low} to {high}", lambda value: isinstance(value, list)
        )
        for index, value in enumerate(values):
            if not _is_whole(value, low, high):
                raise self.unexpected(f"{name}[{index}]", _whole_from(low, high), value)
        return tuple(values)

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """Read a number from `low` to `high`."""
        expected = f"a number from {low:g} to {high:g}"
        return float(self.value(name, expected, lambda value: is_number(value) and low <= value <= high, default))

    def text(self, name: str, most_characters: int) -> str:
        """Read a string, which may be empty."""
        expected = f"a string of at most {most_characters} characters"
        text: str = self.value(name, expected, lambda value: isinstance(value, str))
        if len(text) > most_characters:
            raise self.error(name, f"expected {expected}, got {len(text)}")
        return text

    def flag(self, name: str, default: bool | None = None) -> bool:
        """Read a boolean."""
        flag: bool = self.value(name, "true or false", lambda value: isinstance(value, bool), default)
        return flag

    def record(self, name: str) -> dict[str, Any]:
        """Read an object without checking its fields."""
        record: dict[str, Any] = self.value(name, "an object", lambda value: isinstance(value, dict))
        return record

    def part(self, name: str) -> Fields:
        """Read the fields of a nested object."""
        return Fields(self.record(name), f"{self.where}{name}.")

    def has(self, name: str) -> bool:
        """Whether the field exists and is not null."""
        return self.values.get(name) is not None

    def only(self, *names: str) -> None:
        """Raise BadDocument if the object has a field of any other name."""
        unknown = sorted(set(self.values) - set(names))
        if unknown:
            raise self.error(_shown(unknown[0]), "no such field")

    def value(self, name: str, expected: str, fits: Callable[[Any], object], default: Any = None) -> Any:
        """Read a value of any type. fits: whether it is as `expected`; the default is not checked."""
        if name not in self.values:
            if default is None:
                raise self.error(name, f"is missing, expected {expected}")
            return default
        value = self.values[name]
        if not fits(value):
            raise self.unexpected(name, expected, value)
        return value

    def unexpected(self, name: str, expected: str, got: object) -> BadDocument:
        """Return the error for a value that is not as expected."""
        return self.error(name, f"expected {expected}, got {shortened(got)}")

    def error(self, name: str, problem: str) -> BadDocument:
        """Return an error that names the field with its path."""
        return BadDocument(f"{self.where}{name}: {problem}")


def is_number(value: object) -> bool:
    """Whether a value is a JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shortened(value: object) -> str:
    """Format any value for an error message, as one short line of ASCII."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = ascii(value)
    return text if len(text) <= _SHORTENED_CHARACTERS else f"{text[:_SHORTENED_CHARACTERS]}..."


def _whole_from(low: int, high: int) -> str:
    return f"a whole number from {low} to {high}"


def _is_whole(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _check_kind(found: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadDocument("is not a regular file")
    if found.st_size > most_bytes:
        raise BadDocument(f"has {found.st_size} bytes, at most {most_bytes} are read")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        double = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise BadDocument(f"has two fields {_shown(double)} in one object")
    return found


def _without_infinite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_infinite(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_without_infinite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check(value: Any, place: _Place, level: int, *, may_be_infinite: bool = False) -> None:
    if isinstance(value, float):
        if not (may_be_infinite or math.isfinite(value)):
            raise BadDocument(f"{_named(place)}: expected a number, got {value}")
    elif isinstance(value, int):
        if value.bit_length() > _WHOLE_BITS:
            raise BadDocument(f"{_named(place)}: expected a number, got {shortened(value)}")
    elif isinstance(value, str):
        if not value.isascii() and _HALF_A_PAIR.search(value):
            raise BadDocument(f"{_named(place)}: expected a string, got half a surrogate pair in {shortened(value)}")
    elif isinstance(value, dict | list):
        if level == _MOST_LEVELS:
            raise BadDocument(f"is nested more than {_MOST_LEVELS} levels deep")
        if isinstance(value, list):
            for index, entry in enumerate(value):
                _check(entry, (index, place), level + 1, may_be_infinite=may_be_infinite)
        else:
            for name, entry in value.items():
                _check(name, (name, place), level)
                _check(entry, (name, place), level + 1, may_be_infinite=may_be_infinite)


def _named(place: _Place) -> str:
    text = ""
    while place:
        step, place = place
        text = f"[{step}]{text}" if isinstance(step, int) else f".{_shown(step)}{text}"
    return text.removeprefix(".") or "the document"


def _shown(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else shortened(name)
