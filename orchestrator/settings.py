"""What the orchestrator can be told."""

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

    stage_ca: Path | None = None
    """PEM of who signs the certificates of the stages, which then are called with TLS. None: plaintext."""
    stage_certificate: Path | None = None
    """PEM of the certificate that the stages are shown, for mutual TLS. Read once, as the next and `stage_ca` are."""
    stage_key: Path | None = None
    stage_insecure: bool = False
    """Whether stages on other machines may be called in plaintext."""

    tokens_file: Path | None = None
    """Clients and their tokens, one `NAME:SHA256` a line. With this or the next, every call needs a token."""
    jwt_keys_file: Path | None = None
    """The JWK set whose keys sign clients' JWTs. Both files are read again when they change."""
    jwt_issuer: str = ""
    """Needed with `jwt_keys_file`: `iss` of every token; likewise `aud`."""
    jwt_audience: str = ""

    max_sessions: int = 8
    """Transfer and FitBody streams at the same time; more are refused."""
    max_sessions_per_client: int = 4
    """The same for one client, known by its token or certificate. Anonymous ones have only the limit above."""
    max_look_ahead_frames: int = 30
    """More look-ahead is refused: every frame of it is in memory."""
    max_frame_side_px: int = 4096
    """Read from the header, before anything is decoded."""
    max_frame_bytes: int = 12 * 2**20
    """Of an encoded picture; a larger one is a BAD_FRAME, as is one with a longer side than above."""
    lossless_frames_in_flight: int = 6
    """Beside the look-ahead. One for each stage that takes long, so that all can work at the same time."""
    live_frames_in_flight: int = 2
    """Each more adds the slowest stage's time to the delay of a picture."""
    label_map_threads: int = 2
    """Threads that draw label maps, for all sessions together."""
    encode_threads: int = 2
    """Threads that encode answers, for all sessions together; small ones need none."""
    max_checkpoint_bytes: int = 8 * 2**20
    """Of a checkpoint that a client sends. One holds the network's last picture, as a PNG, and about 10 kB."""
    checkpoint_key_file: Path | None = None
    """Keys that checkpoints are sealed with, in hexadecimal, one a line; the first seals, all open. With the same file
    on all replicas a session can go on at any of them. None: a random key, with which only this process can go on."""
    pose_backend: str = "mediapipe"
    """Of sessions that name none: mediapipe, openpose or rtmpose. The pose service must serve it."""
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
    away_seconds: float = 20.0
    """A stage that fails is asked again, of any replica, for so long; then the session ends with its name."""
    answer_seconds: float = 30.0
    """For a client to take one answer. One that stops reading holds up its own session until then."""
    config_seconds: float = 10.0
    """For a client to send its config."""
    idle_seconds: float = 60.0
    """A client that sends nothing for so long, with nothing left to answer, is gone."""
    session_seconds: float = 4 * 3600.0
    """How long a session may last."""
    unready_after_seconds: float = 10.0
    """A stage that could not be reached for so long makes this process NOT_SERVING until it is back. Before each stage
    was reached once it is NOT_SERVING, too."""
    watch_seconds: float = 1.0
    """How often it is looked at which stages can be reached."""
    traces_every_n_frames: int = 25
    """Where traces are wanted: every n-th frame of a session has spans."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_sessions", "max_frame_side_px", "max_frame_bytes", "lossless_frames_in_flight",
                     "live_frames_in_flight", "label_map_threads", "encode_threads", "max_fit_frames",
                     "max_checkpoint_bytes", "traces_every_n_frames"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_frame_bytes > LARGEST_PICTURES_BYTES:
            # A larger message never arrives: gRPC refuses it, and the whole session with it.
            raise ValueError(f"max_frame_bytes must be at most {LARGEST_PICTURES_BYTES}, got {self.max_frame_bytes}")
        if self.max_look_ahead_frames < 0:
            raise ValueError(f"max_look_ahead_frames must not be negative, got {self.max_look_ahead_frames}")
        for name in (field.name for field in fields(self) if field.name.endswith("_seconds")):
            if name.startswith("drain_") or name == "max_connection_age_seconds":
                continue  # 0 is a sensible drain, and no limit on a connection's age
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
                    raise ValueError(f"{what}: that needs stage_ca, or stage_insecure=true for plaintext")
        if self.jwt_keys_file is not None and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError("jwt_keys_file needs jwt_issuer and jwt_audience")
        if self.jwt_keys_file is None and (self.jwt_issuer or self.jwt_audience):
            raise ValueError("jwt_issuer and jwt_audience need jwt_keys_file")

    def stage_tls(self) -> ChannelTls | None:
        """How the stages are called; None: in plaintext."""
        return channel_tls("stage_", self.stage_ca, self.stage_certificate, self.stage_key)

    def picture_limits(self) -> PictureLimits:
        """What a client's picture may measure."""
        return PictureLimits(max_side_px=self.max_frame_side_px, max_bytes=self.max_frame_bytes)
