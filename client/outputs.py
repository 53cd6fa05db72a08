"""Files that a command writes for people: never over an older one unasked, and whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from client.errors import CommandError


def refuse_existing(outputs: Iterable[Path], *, force: bool) -> None:
    """Raises CommandError for a file that is there already, without `force`. For before work begins."""
    for path in outputs:
        if path.exists() and not force:
            raise CommandError(f"{path} exists already; --force overwrites it")


def write_text_whole(out: Path, text: str) -> None:
    """Writes a file, with its folder where that is missing. Raises CommandError."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_name(f".{out.name}.part")
        part.write_text(text)
        part.replace(out)
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from error
