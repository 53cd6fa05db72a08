"""What the face service can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from serving.inference.engine import Device, Precision
from serving.rpc.server import ServerSettings


@dataclass(frozen=True, kw_only=True)
class FaceSettings(ServerSettings):
    """Read once, from `FACE_*`, at start."""

    max_connection_age_seconds: float = 300.0
    """See `ServerSettings`: the orchestrators find new replicas of this service within that time."""
    actors_root: Path = Path("actors")
    """The folder of published actors; only read."""
    device: str = "cpu"
    """"cpu" or "gpu"; there is no fallback from one to the other."""
    threads: int = 2
    """Threads of each actor's engine on a CPU."""
    precision: str = "auto"
    """"auto" takes bf16 where the CPU computes it, else f32; or one of the two."""
    max_networks: int = 8
    """Versions of actors whose network is held at the same time; the one that was used least recently goes first."""
    max_batch: int = 8
    """Faces of one actor that go through its network together."""
    max_waiting: int = 64
    """Faces that wait, over all actors; more are refused."""
    canary_seconds: float = 10.0
    """Where no face was refined for so long, a blank one is, as a proof of life."""
    stuck_seconds: float = 15.0
    """A blank face that is not back by then makes the process NOT_SERVING."""
    watch_seconds: float = 1.0
    """How often it is looked at whether a proof of life is due."""

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
        """`device`, which has been checked."""
        return cast("Device", self.device)

    def chosen_precision(self) -> Precision:
        """`precision`, which has been checked."""
        return cast("Precision", self.precision)
