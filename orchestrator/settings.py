"""Settings of the orchestrator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from motion.pose_choice import PoseBackend
from provenance.label import checked_label
from serving.actors.actor_id import actor_ids
from serving.pictures.codec import PictureLimits
from serving.process.settings import NOT_NEGATIVE, AtLeastOne, FinitePositive, one_of
from serving.rpc.server import MESSAGE_LIMIT_BYTES, ServerSettings
from serving.transport.addresses import checked_address
from serving.transport.tls import ChannelTls, channel_tls, is_local, is_loopback

_STAGE_ADDRESSES: Final = ("pose_address", "normalize_address", "face_address", "agent_address", "triton_address")

LARGEST_PICTURES_BYTES: Final = MESSAGE_LIMIT_BYTES - 2**18
"""The limit for all pictures of one message; the rest is for poses, times and names."""


@dataclass(frozen=True, kw_only=True)
class OrchestratorSettings(ServerSettings):
    """Settings of the orchestrator, read once from `ORCHESTRATOR_*` at start."""

    pose_address: str = "127.0.0.1:50052"
    normalize_address: str = "127.0.0.1:50053"
    face_address: str = "127.0.0.1:50054"
    agent_address: str = "127.0.0.1:50055"
    """The generator's agent, which loads an actor before a session begins."""
    triton_address: str = "127.0.0.1:8001"
    """Triton's gRPC port."""
    actors_root: Path = Path("actors")
    """The folder of actors; the face service and the agent must read the same one."""
    allowed_without_consent: str = ""
    """Ids of actors, separated by commas, that are served although no consent is stated. On loopback, all are."""

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

    max_sessions: AtLeastOne = 8
    """Concurrent Transfer and FitBody streams; more are refused."""
    max_sessions_per_client: AtLeastOne = 4
    """The same per client, identified by token or certificate. Anonymous clients have only the limit above."""
    max_look_ahead_frames: Annotated[int, NOT_NEGATIVE] = 30
    """Look-ahead beyond this is refused, because every frame of it is held in memory."""
    max_frame_side_px: AtLeastOne = 4096
    """The longest side of a picture, read from its header before anything is decoded."""
    max_frame_bytes: AtLeastOne = 12 * 2**20
    """The size of an encoded picture. A picture beyond this limit or the one above is answered BAD_FRAME."""
    lossless_frames_in_flight: AtLeastOne = 6
    """In addition to the look-ahead. One per slow stage, so that all stages can work at the same time."""
    live_frames_in_flight: AtLeastOne = 2
    """Each additional frame adds the slowest stage's time to the latency."""
    label_map_threads: AtLeastOne = 2
    """Threads that draw label maps and references, shared by all sessions."""
    idle_wardrobe_bytes: Annotated[int, NOT_NEGATIVE] = 256 * 2**20
    """Memory for wardrobes of actors that no session dances at the moment; the least recently used go first. Wardrobes
    in use come on top: each version's is loaded once. 29 MiB were measured at 512x512; the limit is 256 MiB."""
    encode_threads: AtLeastOne = 2
    """Threads that encode answers, shared by all sessions; small answers need none."""
    max_checkpoint_bytes: AtLeastOne = 8 * 2**20
    """The size of a checkpoint that a client sends. It holds the network's last picture, as a PNG, and about 10 kB."""
    checkpoint_key_file: Path | None = None
    """Keys that seal checkpoints, in hexadecimal, one per line; the first seals, all open. If all replicas have the
    same file, a session can resume on any of them. None: a random key, so that only this process can resume."""
    watermark: bool = True
    """Mark every picture of an actor with the imperceptible watermark. There is no other way to switch it off."""
    watermark_key_file: Path | None = None
    """A key in hexadecimal, at least 32 bytes: its id is in every watermark and says which server made a picture. All
    replicas have the same. None: the first key of `checkpoint_key_file`; without that as well, the id is 0."""
    label: str = ""
    """A text that is burned into every picture, such as AI-generated, whatever the client requests. Empty: only clients
    that request a label get one."""
    pose_backend: Annotated[str, one_of(*(backend.value for backend in PoseBackend))] = "mediapipe"
    """The backend of sessions that name none: mediapipe, mediapipe-solution, openpose or rtmpose. The pose service must
    have it."""
    max_fit_frames: AtLeastOne = 100_000
    """Frames of one FitBody clip: about an hour at 25 fps. Each frame with a body takes about 150 bytes."""

    open_seconds: FinitePositive = 60.0
    """Time-out for a stage to accept a session's config; the pose stage may have to load its networks."""
    actor_seconds: FinitePositive = 120.0
    """Time-out for the agent to load an actor."""
    renew_actor_seconds: FinitePositive = 10.0
    """How often a session renews its actor with the agent, which may otherwise unload it. It must stay well below the
    agent's `in_use_seconds`."""
    pose_seconds: FinitePositive = 10.0
    """Time-out for the answer to one frame; likewise for the next three stages."""
    normalize_seconds: FinitePositive = 5.0
    generator_seconds: FinitePositive = 30.0
    face_seconds: FinitePositive = 10.0
    away_seconds: FinitePositive = 20.0
    """How long a failing stage is retried, on any replica. Then the session ends with an error that names the stage."""
    answer_seconds: FinitePositive = 30.0
    """Time-out for a client to read one answer. A client that stops reading blocks only its own session."""
    config_seconds: FinitePositive = 10.0
    """Time-out for a client to send its config."""
    idle_seconds: FinitePositive = 60.0
    """A session ends if its client sends nothing for this long and no answer is due."""
    session_seconds: FinitePositive = 4 * 3600.0
    """The longest duration of a session."""
    unready_after_seconds: FinitePositive = 10.0
    """A stage that cannot be reached for this long makes this process NOT_SERVING until it is back. The process is also
    NOT_SERVING until every stage has been reached once."""
    watch_seconds: FinitePositive = 1.0
    """How often the reachability of the stages is checked."""
    traces_every_n_frames: AtLeastOne = 25
    """With tracing on: every n-th frame of a session gets spans."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_frame_bytes > LARGEST_PICTURES_BYTES:
            # gRPC rejects a larger message, and the whole session with it.
            raise ValueError(f"max_frame_bytes must be at most {LARGEST_PICTURES_BYTES}, got {self.max_frame_bytes}")
        self._actors_without_consent()
        if self.label:
            try:
                checked_label(self.label)
            except ValueError as error:
                raise ValueError(f"label {error}") from error
        for name in _STAGE_ADDRESSES:
            try:
                checked_address(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            if self.stage_tls() is None and not self.stage_insecure and not is_local(getattr(self, name)):
                what = f"{name} {getattr(self, name)} is on another machine"
                raise ValueError(f"{what}: set stage_ca for TLS, or stage_insecure=true for plaintext")
        if self.jwt_keys_file is not None and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError("jwt_keys_file needs jwt_issuer and jwt_audience")
        if self.jwt_keys_file is None and (self.jwt_issuer or self.jwt_audience):
            raise ValueError("jwt_issuer and jwt_audience need jwt_keys_file")

    def stated_except(self) -> frozenset[str] | None:
        """Return the actors whose consent need not be stated; None for all, because only this machine calls us."""
        return None if is_loopback(self.host) else self._actors_without_consent()

    def _actors_without_consent(self) -> frozenset[str]:
        return actor_ids(self.allowed_without_consent, field="allowed_without_consent")

    def stage_tls(self) -> ChannelTls | None:
        """Return the TLS for calls to the stages; None for plaintext."""
        return channel_tls("stage_", self.stage_ca, self.stage_certificate, self.stage_key)

    def background_limits(self) -> PictureLimits:
        """Return the limits of a background picture: a config may hold one beside the largest checkpoint."""
        room_bytes = max(LARGEST_PICTURES_BYTES - self.max_checkpoint_bytes, 0)
        return PictureLimits(max_side_px=self.max_frame_side_px, max_bytes=min(self.max_frame_bytes, room_bytes))

    def picture_limits(self) -> PictureLimits:
        """Return the limits of a client's picture."""
        return PictureLimits(max_side_px=self.max_frame_side_px, max_bytes=self.max_frame_bytes)
