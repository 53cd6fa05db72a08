"""Write generated files, or compare them with `--check`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def write_or_check(files: Mapping[Path, str]) -> None:
    """Write each text to its path. With `--check` on the command line, exit with an error if a file differs instead."""
    checking = "--check" in sys.argv[1:]
    for path, text in files.items():
        if not checking:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"error: {path.relative_to(ROOT)} is out of date: run python scripts/{Path(sys.argv[0]).name}")
