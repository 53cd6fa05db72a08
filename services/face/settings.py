"""The settings of the face service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from serving.inference.precision import Device, Precision
from serving.rpc.server import ServerSettings


@dataclass(frozen=True, kw_only=True)
class FaceSettings(ServerSettings):
    """Read once at start, from `FACE_*`."""

    max_connection_age_seconds: float = 300.0
    """See `ServerSettings`: orchestrators find new replicas of this service within this time."""
    actors_root: Path = Path("actors")
    """The folder of published actors; only read."""
    device: str = "cpu"
    """"cpu" or "gpu"; the service never falls back from one to the other."""
    threads: int = 2
    """Threads of each actor's engine on a CPU."""
    precision: str = "auto"
    """"bf16", "f32", or "auto": bf16 if the CPU supports it, else f32."""
    max_networks: int = 8
    """Networks kept open at the same time, one per actor version; the least recently used is evicted first."""
    max_batch: int = 8
    """The most faces of one actor in one batch."""
    max_waiting: int = 64
    """The most waiting faces, over all actors; more are refused."""
    canary_seconds: float = 10.0
    """After this long without a face, a blank one is refined as a health check."""
    stuck_seconds: float = 15.0
    """The process is NOT_SERVING if a blank face, or one batch, takes longer than this."""
    watch_seconds: float = 1.0
    """How often the service checks whether a health check is due."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("threads", "max_networks", "max_batch", "max_waiting"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("canary_seconds", "stuck_seconds", "watch_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.device not in get_args(Device):
            raise ValueError(f"device must be cpu or gpu, got {self.device!r}")
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision must be auto, bf16 or f32, got {self.precision!r}")

    def chosen_device(self) -> Device:
        """Return the validated `device`."""
        return cast("Device", self.device)

    def chosen_precision(self) -> Precision:
        """Return the validated `precision`."""
        return cast("Precision", self.precision)
