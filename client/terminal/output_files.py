"""Files that a command writes for people: never over an existing one unless told to, and whole or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from client.errors import CommandError
from serving.process.atomic_files import why_unwritable, written_whole


def refuse_existing(outputs: Iterable[Path], *, force: bool, sources: Iterable[str | Path] = ()) -> None:
    """Check output files before work begins. Raises CommandError for a file that cannot be written.

    Existing files are refused without `force`, and sources always.
    """
    inputs = [Path(source) for source in sources if Path(source).exists()]
    for path in outputs:
        check_writable(path)
        if path.is_dir():
            raise CommandError(f"{path} is a folder; name a file")
        if path.exists() and any(path.samefile(source) for source in inputs):
            raise CommandError(f"{path} is the source itself; name another output")
        if path.exists() and not force:
            raise CommandError(f"{path} exists already; --force overwrites it")


def check_writable(path: Path, needed_bytes: int = 0, *, is_folder: bool = False) -> None:
    """Raises CommandError if a file or folder of this name cannot be created or written."""
    reason = why_unwritable(path, needed_bytes, is_folder=is_folder)
    if reason is not None:
        raise CommandError(f"{path} cannot be written: {reason}")


def stopped_name(path: Path) -> Path:
    """An unused name next to `path` for the output until a stop, which must not look like the whole."""
    names = (f"{path.stem}.stopped{'' if n == 1 else n}{path.suffix}" for n in itertools.count(1))
    return next(beside for name in names if not (beside := path.with_name(name)).exists())


def write_text_whole(out: Path, text: str) -> None:
    """Write a file, and create its folder if necessary. Raises CommandError."""
    try:
        with written_whole(out) as partial:
            partial.write_text(text)
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from error
