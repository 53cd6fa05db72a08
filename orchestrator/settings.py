"""The settings of the orchestrator."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from motion.pose_choice import PoseBackend
from serving.pictures.codec import PictureLimits
from serving.rpc.server import MESSAGE_LIMIT_BYTES, ServerSettings
from serving.transport.addresses import checked_address
from serving.transport.tls import ChannelTls, channel_tls, is_local

_STAGE_ADDRESSES: Final = ("pose_address", "normalize_address", "face_address", "agent_address", "triton_address")

LARGEST_PICTURES_BYTES: Final = MESSAGE_LIMIT_BYTES - 2**18
"""The limit for all pictures of one message; the rest is for poses, times and names."""


@dataclass(frozen=True, kw_only=True)
class OrchestratorSettings(ServerSettings):
    """Read once at start, from `ORCHESTRATOR_*`."""

    pose_address: str = "127.0.0.1:50052"
    normalize_address: str = "127.0.0.1:50053"
    face_address: str = "127.0.0.1:50054"
    agent_address: str = "127.0.0.1:50055"
    """The generator's agent, which loads an actor before a session begins."""
    triton_address: str = "127.0.0.1:8001"
    """Triton's gRPC port."""
    actors_root: Path = Path("actors")
    """The folder of actors; the face service and the agent must read the same one."""

    stage_ca: Path | None = None
    """PEM file of the CA that signs the stages' certificates; the stages are then called with TLS. None: plaintext."""
    stage_certificate: Path | None = None
    """PEM file of the client certificate for mutual TLS. The three stage files are read once, at start."""
    stage_key: Path | None = None
    stage_insecure: bool = False
    """Allow plaintext calls to stages on other machines."""

    tokens_file: Path | None = None
    """Clients and their tokens, one `NAME:SHA256` per line. With this or `jwt_keys_file`, every call needs a token."""
    jwt_keys_file: Path | None = None
    """The JWK set whose keys sign clients' JWTs. Both token files are read again when they change."""
    jwt_issuer: str = ""
    """The required `iss` of every JWT; mandatory with `jwt_keys_file`."""
    jwt_audience: str = ""
    """The required `aud` of every JWT; mandatory with `jwt_keys_file`."""

    max_sessions: int = 8
    """Concurrent Transfer and FitBody streams; more are refused."""
    max_sessions_per_client: int = 4
    """The same per client, identified by token or certificate. Anonymous clients have only the limit above."""
    max_look_ahead_frames: int = 30
    """Look-ahead beyond this is refused, because every frame of it is held in memory."""
    max_frame_side_px: int = 4096
    """The longest side of a picture, read from its header before anything is decoded."""
    max_frame_bytes: int = 12 * 2**20
    """The size of an encoded picture. A picture beyond this limit or the one above is answered BAD_FRAME."""
    lossless_frames_in_flight: int = 6
    """In addition to the look-ahead. One per slow stage, so that all stages can work at the same time."""
    live_frames_in_flight: int = 2
    """Each additional frame adds the slowest stage's time to the latency."""
    label_map_threads: int = 2
    """Threads that draw label maps, shared by all sessions."""
    encode_threads: int = 2
    """Threads that encode answers, shared by all sessions; small answers need none."""
    max_checkpoint_bytes: int = 8 * 2**20
    """The size of a checkpoint that a client sends. It holds the network's last picture, as a PNG, and about 10 kB."""
    checkpoint_key_file: Path | None = None
    """Keys that seal checkpoints, in hexadecimal, one per line; the first seals, all open. If all replicas have the
    same file, a session can resume on any of them. None: a random key, so that only this process can resume."""
    pose_backend: str = "mediapipe"
    """The backend of sessions that name none: mediapipe, openpose or rtmpose. The pose service must have it."""
    max_fit_frames: int = 100_000
    """Frames of one FitBody clip: about an hour at 25 fps. Each frame with a body takes about 150 bytes."""

    open_seconds: float = 60.0
    """Time-out for a stage to accept a session's config; the pose stage may have to load its networks."""
    actor_seconds: float = 120.0
    """Time-out for the agent to load an actor."""
    renew_actor_seconds: float = 10.0
    """How often a session renews its actor with the agent, which may otherwise unload it. It must stay well below the
    agent's `in_use_seconds`."""
    pose_seconds: float = 10.0
    """Time-out for the answer to one frame; likewise for the next three stages."""
    normalize_seconds: float = 5.0
    generator_seconds: float = 30.0
    face_seconds: float = 10.0
    away_seconds: float = 20.0
    """How long a failing stage is retried, on any replica. Then the session ends with an error that names the stage."""
    answer_seconds: float = 30.0
    """Time-out for a client to read one answer. A client that stops reading blocks only its own session."""
    config_seconds: float = 10.0
    """Time-out for a client to send its config."""
    idle_seconds: float = 60.0
    """A session ends if its client sends nothing for this long and no answer is due."""
    session_seconds: float = 4 * 3600.0
    """The longest duration of a session."""
    unready_after_seconds: float = 10.0
    """A stage that cannot be reached for this long makes this process NOT_SERVING until it is back. The process is also
    NOT_SERVING until every stage has been reached once."""
    watch_seconds: float = 1.0
    """How often the reachability of the stages is checked."""
    traces_every_n_frames: int = 25
    """With tracing on: every n-th frame of a session gets spans."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_sessions", "max_frame_side_px", "max_frame_bytes", "lossless_frames_in_flight",
                     "live_frames_in_flight", "label_map_threads", "encode_threads", "max_fit_frames",
                     "max_checkpoint_bytes", "traces_every_n_frames"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_frame_bytes > LARGEST_PICTURES_BYTES:
            # gRPC rejects a larger message, and the whole session with it.
            raise ValueError(f"max_frame_bytes must be at most {LARGEST_PICTURES_BYTES}, got {self.max_frame_bytes}")
        if self.max_look_ahead_frames < 0:
            raise ValueError(f"max_look_ahead_frames must not be negative, got {self.max_look_ahead_frames}")
        for name in (field.name for field in fields(self) if field.name.endswith("_seconds")):
            if name.startswith("drain_") or name == "max_connection_age_seconds":
                continue  # 0 is valid: no drain time, or no limit on a connection's age
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.pose_backend not in {backend.value for backend in PoseBackend}:
            raise ValueError(f"pose_backend must be mediapipe, openpose or rtmpose, got {self.pose_backend!r}")
        for name in _STAGE_ADDRESSES:
            try:
                checked_address(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        self._check_access()

    def _check_access(self) -> None:
        if self.max_sessions_per_client < 1:
            raise ValueError(f"max_sessions_per_client must be at least 1, got {self.max_sessions_per_client}")
        if self.stage_tls() is None and not self.stage_insecure:
            for name in _STAGE_ADDRESSES:
                if not is_local(getattr(self, name)):
                    what = f"{name} {getattr(self, name)} is on another machine"
                    raise ValueError(f"{what}: set stage_ca for TLS, or stage_insecure=true for plaintext")
        if self.jwt_keys_file is not None and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError("jwt_keys_file needs jwt_issuer and jwt_audience")
        if self.jwt_keys_file is None and (self.jwt_issuer or self.jwt_audience):
            raise ValueError("jwt_issuer and jwt_audience need jwt_keys_file")

    def stage_tls(self) -> ChannelTls | None:
        """TLS for calls to the stages; None for plaintext."""
        return channel_tls("stage_", self.stage_ca, self.stage_certificate, self.stage_key)

    def picture_limits(self) -> PictureLimits:
        """The limits of a client's picture."""
        return PictureLimits(max_side_px=self.max_frame_side_px, max_bytes=self.max_frame_bytes)
