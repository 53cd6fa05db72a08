"""Finds the shared memory of Tritons by the locks that the processes hold which started them."""

from __future__ import annotations

from pathlib import Path

import psutil

from services.generator.triton.leftovers import SHARED_MEMORY

_LOCK = "lock"


def prefixes_of(pid: int) -> list[str]:
    """What the names of the regions begin with, for each Triton that the process `pid`, which lives, has now."""
    held = (Path(file.path) for file in psutil.Process(pid).open_files())
    locks = [path.name for path in held if path.parent == SHARED_MEMORY and path.name.endswith(f"_{_LOCK}")]
    return [name.removesuffix(_LOCK) for name in locks]


def regions_of(prefixes: list[str]) -> list[Path]:
    """The regions with such names that exist, without the locks."""
    found = [region for prefix in prefixes for region in SHARED_MEMORY.glob(f"{prefix}*")]
    return [region for region in found if not region.name.endswith(f"_{_LOCK}")]
