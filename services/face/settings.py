"""Settings of the face service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serving.inference.precision import Device, Precision
from serving.process.settings import AtLeastOne, Positive
from serving.rpc.server import ServerSettings


@dataclass(frozen=True, kw_only=True)
class FaceSettings(ServerSettings):
    """Settings of the face service, read once from `FACE_*` at start."""

    max_connection_age_seconds: float = 300.0
    """See [Every server](#every-server): orchestrators find new replicas of this service within this time."""
    actors_root: Path = Path("actors")
    """The folder of published actors; only read."""
    device: Device = "cpu"
    """"cpu" or "gpu"; the service never falls back from one to the other."""
    threads: AtLeastOne = 2
    """Threads of each actor's engine on a CPU."""
    precision: Precision = "auto"
    """"bf16", "f32", or "auto": bf16 if the CPU supports it, else f32."""
    max_networks: AtLeastOne = 8
    """Networks kept open at the same time, one per actor version; the least recently used is evicted first."""
    max_batch: AtLeastOne = 8
    """The most faces of one actor in one batch."""
    max_waiting: AtLeastOne = 64
    """The most waiting faces, over all actors; more are refused."""
    canary_seconds: Positive = 10.0
    """After this long without a face, a blank one is refined as a health check."""
    stuck_seconds: Positive = 15.0
    """The process is NOT_SERVING if a blank face, or one batch, takes longer than this."""
    watch_seconds: Positive = 1.0
    """How often the service checks whether a health check is due."""
