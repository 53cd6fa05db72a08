"""What the agent knows of each loaded version, what it is told about keeping them, and what it works with."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import Final, Protocol

from serving.actors.store import Actor

_MOST_LOST_MEMORY_BYTES: Final = 64 * 2**20


class Triton(Protocol):
    """A Triton, here or elsewhere. See `services.generator.triton.client.TritonClient`."""

    async def answers(self) -> bool: ...
    async def load(self, actor_id: str) -> None: ...
    async def unload(self, actor_id: str) -> None: ...
    async def ready(self) -> set[tuple[str, int]]: ...
    async def pictures_drawn(self) -> dict[tuple[str, int], int]: ...
    async def canary(self, actor: Actor) -> str: ...


class OwnTriton(Protocol):
    """The Triton process, where the agent started it. See `services.generator.triton.process.TritonServer`."""

    @property
    def alive(self) -> bool: ...
    def drawing(self) -> set[tuple[str, int]]: ...
    def lost_memory_bytes(self) -> int: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def log_tail(self) -> str: ...


def bearable_memory_bytes() -> int:
    """How much shared memory dead processes may hold before Triton is started again: a quarter of it, at most 64 MiB.

    Each holds 4 MiB or more, for as long as Triton runs.
    """
    try:
        total_bytes = shutil.disk_usage("/dev/shm").total
    except OSError:
        return _MOST_LOST_MEMORY_BYTES
    return min(_MOST_LOST_MEMORY_BYTES, total_bytes // 4)


@dataclass(frozen=True, kw_only=True, slots=True)
class Care:
    """How actors are kept; the fields are those of `GeneratorSettings`. wanted_ids None: every actor there is.

    lost_memory_bytes: Triton is started again before its dead processes hold more shared memory than this; while no
    actor is in use, already at a quarter of it.
    """

    wanted_ids: tuple[str, ...] | None = ()
    max_actors: int = 4
    in_use_seconds: float = 30.0
    canary_seconds: float = 10.0
    lost_memory_bytes: int = field(default_factory=bearable_memory_bytes)


@dataclass(slots=True)
class LoadedVersion:
    """One version of an actor that Triton serves. Times are of the agent's clock.

    precision: what its arithmetic is done in. used_at: when it was last asked for, or drew for a session. proven_at:
    when it last drew anything. canaries, drawn: pictures since its load, for the agent and for sessions.
    """

    actor: Actor
    precision: str
    used_at: float
    proven_at: float
    canaries: int = 1
    drawn: int = 0
