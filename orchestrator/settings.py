"""What the orchestrator can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from serving.pictures import PictureLimits
from serving.server import MESSAGE_LIMIT_BYTES, ServerSettings

LARGEST_PICTURES_BYTES: Final = MESSAGE_LIMIT_BYTES - 2**18
"""What the pictures of one message may have: the rest is for poses, times and names."""


@dataclass(frozen=True, kw_only=True)
class OrchestratorSettings(ServerSettings):
    """Read once, from `ORCHESTRATOR_*`, at start."""

    pose_address: str = "127.0.0.1:50052"
    normalize_address: str = "127.0.0.1:50053"
    face_address: str = "127.0.0.1:50054"
    agent_address: str = "127.0.0.1:50055"
    """The generator's agent, which loads an actor before a session begins."""
    triton_address: str = "127.0.0.1:8001"
    """Triton's gRPC port."""
    actors_root: Path = Path("actors")
    """The folder of actors, the same one that face and the agent read."""

    max_sessions: int = 8
    """Transfer and FitBody streams at the same time; more are refused."""
    max_look_ahead_frames: int = 30
    max_frame_side_px: int = 4096
    max_frame_bytes: int = 12 * 2**20
    lossless_frames_in_flight: int = 6
    """Beside the look-ahead. One for each stage that takes long, so that all can work at the same time."""
    live_frames_in_flight: int = 2
    """Each more adds the slowest stage's time to the delay of a picture."""
    label_map_threads: int = 2
    """Threads that draw label maps, for all sessions together."""
    encode_threads: int = 2
    """Threads that encode answers, for all sessions together; small ones need none."""
    max_fit_frames: int = 100_000
    """Frames of one FitBody clip: an hour at 25 a second. Each with a body takes about 150 bytes."""

    open_seconds: float = 60.0
    """For a stage to accept a session's config; the pose stage may have to load its networks."""
    actor_seconds: float = 120.0
    """For the agent to load an actor."""
    renew_actor_seconds: float = 10.0
    """How often a session tells the agent that it needs its actor, which else may be unloaded. It must stay well below
    the agent's `in_use_seconds`."""
    pose_seconds: float = 10.0
    """For the answer to one frame; likewise the next three."""
    normalize_seconds: float = 5.0
    generator_seconds: float = 30.0
    face_seconds: float = 10.0
    answer_seconds: float = 30.0
    """For a client to take one answer. One that stops reading holds up its own session until then."""
    config_seconds: float = 10.0
    """For a client to send its config."""
    idle_seconds: float = 60.0
    """A client that sends nothing for so long, with nothing left to answer, is gone."""
    session_seconds: float = 4 * 3600.0
    unready_after_seconds: float = 10.0
    """A stage that could not be reached for so long makes this process NOT_SERVING until it is back."""
    watch_seconds: float = 1.0
    """How often it is looked at which stages can be reached."""
    traces_every_n_frames: int = 25
    """Where traces are wanted: every n-th frame of a session has spans."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_sessions", "max_frame_side_px", "max_frame_bytes", "lossless_frames_in_flight",
                     "live_frames_in_flight", "label_map_threads", "encode_threads", "max_fit_frames",
                     "traces_every_n_frames"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_frame_bytes > LARGEST_PICTURES_BYTES:
            # A larger message never arrives: gRPC refuses it, and the whole session with it.
            raise ValueError(f"max_frame_bytes must be at most {LARGEST_PICTURES_BYTES}, got {self.max_frame_bytes}")
        if self.max_look_ahead_frames < 0:
            raise ValueError(f"max_look_ahead_frames must not be negative, got {self.max_look_ahead_frames}")
        for name in (field.name for field in fields(self) if field.name.endswith("_seconds")):
            if name == "drain_seconds":
                continue  # 0 is a sensible drain
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("pose_address", "normalize_address", "face_address", "agent_address", "triton_address"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")

    def picture_limits(self) -> PictureLimits:
        """What a client's picture may measure."""
        return PictureLimits(max_side_px=self.max_frame_side_px, max_bytes=self.max_frame_bytes)
