"""Finds Triton's shared memory by the locks of the processes that started Triton."""

from __future__ import annotations

from pathlib import Path

import psutil

from services.generator.triton.leftovers import SHARED_MEMORY

_LOCK = "lock"


def prefixes_of(pid: int) -> list[str]:
    """Return the prefix of the region names of each Triton that the running process `pid` has started."""
    held = (Path(file.path) for file in psutil.Process(pid).open_files())
    locks = [path.name for path in held if path.parent == SHARED_MEMORY and path.name.endswith(f"_{_LOCK}")]
    return [name.removesuffix(_LOCK) for name in locks]


def regions_of(prefixes: list[str]) -> list[Path]:
    """Return the existing regions with these prefixes, without the locks."""
    found = [region for prefix in prefixes for region in SHARED_MEMORY.glob(f"{prefix}*")]
    return [region for region in found if not region.name.endswith(f"_{_LOCK}")]
