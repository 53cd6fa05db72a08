"""The agent's policy and results."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import Final

STAGE: Final = "generator"
_MAX_LOST_MEMORY_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Ensured:
    """A version that just drew a canary, and the precision of its arithmetic."""

    version: int
    precision: str


def default_lost_memory_bytes() -> int:
    """Return the default of `AgentPolicy.lost_memory_bytes`: a quarter of /dev/shm, at most 64 MiB.

    Each dead process holds 4 MiB or more for as long as Triton runs.
    """
    try:
        total_bytes = shutil.disk_usage("/dev/shm").total
    except OSError:
        return _MAX_LOST_MEMORY_BYTES
    return min(_MAX_LOST_MEMORY_BYTES, total_bytes // 4)


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentPolicy:
    """Which actors stay loaded, and when the agent intervenes; the fields are explained in `GeneratorSettings`.

    wanted_ids: None means all actors in the store.
    lost_memory_bytes: restart Triton before its dead processes hold more shared memory than this. While no actor is in
    use, a quarter of it is the limit.
    """

    wanted_ids: tuple[str, ...] | None = ()
    max_actors: int = 4
    in_use_seconds: float = 30.0
    canary_seconds: float = 10.0
    lost_memory_bytes: int = field(default_factory=default_lost_memory_bytes)
