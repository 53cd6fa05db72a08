"""Settings of the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from client.connection.server_access import ServerAccess
from client.errors import UsageError
from serving.actors.actor_id import actor_ids
from serving.process.settings import NOT_NEGATIVE, AtLeastOne, FinitePositive
from serving.rpc.server import ServerSettings
from serving.transport.addresses import checked_address
from serving.transport.tls import ChannelTls, channel_tls, is_loopback


@dataclass(frozen=True, kw_only=True)
class WebSettings(ServerSettings):
    """Settings of the gateway, read once from `WEB_*` at start.

    Its port speaks HTTP: with `tls_certificate` and `tls_key` HTTPS, which a browser needs for a camera unless the page
    is on its own machine.
    """

    server: str = "127.0.0.1:50050"
    """The orchestrator."""
    server_ca: Path | None = None
    """PEM file of the CA that signs the orchestrator's certificate; it is then called with TLS. None: plaintext."""
    server_certificate: Path | None = None
    """PEM file of the gateway's certificate, if the orchestrator requires one."""
    server_key: Path | None = None
    server_token_file: Path | None = None
    """File with the gateway's own token. Without `sign_in`, all visitors dance with it."""
    server_insecure: bool = False
    """Allow plaintext calls to an orchestrator on another machine."""

    sign_in: bool = False
    """Every visitor signs in with a token of the orchestrator, which is passed on with that visitor's calls. The
    gateway does not count as serving if the orchestrator also accepts calls without a token."""
    allowed_without_consent: str = ""
    """Ids of actors, separated by commas, that are shown although no consent is stated. On loopback, with no proxy in
    `trusted_proxies`, all are."""
    origins: str = ""
    """More origins that may use the page's interface, comma-separated, such as https://dance.example; the page's own
    may, though over plain HTTP only as localhost or an address in numbers."""
    trusted_proxies: str = ""
    """Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses or networks, comma-separated."""
    ticket_seconds: FinitePositive = 30.0
    """How long a ticket is valid. A page uses it at once, to open its WebSocket."""

    max_live_sessions: AtLeastOne = 8
    """Live sessions at the same time; more are refused."""
    max_live_sessions_per_user: AtLeastOne = 2
    """The same for each user: a token, otherwise an address."""
    max_message_bytes: AtLeastOne = 2 * 2**20
    """Of one WebSocket message; a larger one ends its session. A camera's frame as a JPEG takes 20 to 300 kB."""

    data_folder: Path = Path("~/.local/state/everybody-dance/web")
    """Where clips, results and recordings are kept until they are deleted. One gateway uses it at a time. Dances go on
    after a restart if the disk outlives the process."""
    data_max_bytes: AtLeastOne = 8 * 2**30
    """Of all dances and recordings in it."""
    disk_kept_bytes: Annotated[int, NOT_NEGATIVE] = 2**30
    """Free space of its disk that is left to others."""
    dances_at_once: AtLeastOne = 1
    """Clips danced at the same time; the others wait. Each takes one session of the orchestrator."""
    max_dances_per_user: AtLeastOne = 24
    """Dances and recordings that are kept for a user at the same time, without failed and cancelled ones. Visitors
    without a token are one user if they share an address."""
    dances_kept_seconds: FinitePositive = 3600.0
    """How long a dance is kept after it ended, or after the last byte of an upload that stalled; then it is deleted."""
    dance_patience_seconds: FinitePositive = 600.0
    """How long a dance waits for an orchestrator that went away. It waits for a full one without a limit."""
    max_clip_bytes: AtLeastOne = 256 * 2**20
    """Of an uploaded clip."""
    max_clip_seconds: FinitePositive = 180.0
    """Of an uploaded clip. It has at most 60 times as many frames."""
    max_clip_side_px: AtLeastOne = 4096
    """The longer side of an uploaded clip, and of a file that is checked for marks."""
    max_recording_seconds: FinitePositive = 300.0
    """Of a live session's recording; it ends then."""
    max_recording_bytes: AtLeastOne = 512 * 2**20
    """Of the pictures of a recording; it ends then."""

    max_verifications: AtLeastOne = 4
    """Files that are checked for marks at the same time, half of them for one user; more are refused."""
    max_verify_bytes: AtLeastOne = 256 * 2**20
    """Of a file that is checked. It is on the disk until the answer is known."""
    max_verify_seconds: FinitePositive = 120.0
    """How long a file may be searched, after its last byte arrived."""
    verify_trust: Path | None = None
    """PEM file of certificates of authorities whose word on signers of files counts. None: nothing vouches for them."""

    certificate: Path | None = None
    """PEM file of the certificates that sign the Content Credentials of videos, the gateway's first. None: one that is
    made on first use in `data_folder`, which nothing vouches for."""
    certificate_key: Path | None = None
    """PEM file of its private key."""

    makes_actors: bool = False
    """Visitors may make actors of themselves, which all visitors can then dance. The host trains them."""
    making_on: Literal["here", "kubernetes"] = "here"
    """Where actors are trained: by a process on this machine, or by a Job on the cluster that the gateway runs on."""
    making_folder: Path | None = None
    """Where footage and work folders are kept while an actor is made. None: makings/ in `data_folder`. On a cluster it
    must be below /footage, the volume that Jobs read from."""
    making_actors: Path = Path("actors")
    """The actors' folder that the orchestrator serves. New actors are published there."""
    making_preset: str = "quick-256"
    """The preset of trainings: quick-256 or quick-512 on CPUs, fine-512 on a GPU."""
    making_minutes: Annotated[float, NOT_NEGATIVE] = 0.75
    """Training time. Preparing the footage comes before, measuring and publishing after."""
    making_device: Literal["cpu", "cuda"] = "cpu"
    """Of trainings here. On a cluster, `making_gpus` decides."""
    making_frame_rate: FinitePositive = 15.0
    """Footage with more frames a second is thinned out: each frame takes time to prepare."""
    making_gpus: Annotated[int, NOT_NEGATIVE] = 0
    """GPUs of a Job; 0 trains on CPUs."""
    making_namespace: str = "everybody-dance"
    """Namespace of the Jobs."""
    making_image: str = ""
    """Training image of the Jobs; empty: that of deploy/jobs/train.yaml."""
    max_making_seconds: FinitePositive = 120.0
    """Of footage that a visitor films. What comes after is not kept."""
    max_making_bytes: AtLeastOne = 256 * 2**20
    """Of the footage of one actor."""
    max_makings_waiting: AtLeastOne = 8
    """Actors that wait to be trained; more are refused."""
    max_makings_per_user: AtLeastOne = 4
    """Actors that one user makes at the same time, in different browsers: each visitor makes one at a time."""
    makings_kept_seconds: FinitePositive = 3600.0
    """How long footage waits for its visitor to go on; then it is deleted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            checked_address(self.server)
        except ValueError as error:
            raise ValueError(f"server: {error}") from error
        if self.tls_client_ca is not None:
            raise ValueError("tls_client_ca is not for the page: visitors sign in with tokens (sign_in)")
        actor_ids(self.allowed_without_consent, field="allowed_without_consent")
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key belong together: set both or neither")
        if self.makes_actors and self.making_on == "kubernetes" and not _is_in_footage_volume(self.makings_folder):
            raise ValueError(f"making_folder must be below /footage, which Jobs can read, got {self.makings_folder}")
        try:
            self.access()
        except UsageError as error:
            raise ValueError(
                f"server {self.server}: set server_ca for TLS, or server_insecure=true ({error})"
            ) from error

    def access(self) -> ServerAccess:
        """Return how the gateway reaches the orchestrator."""
        tls: ChannelTls | None = channel_tls("server_", self.server_ca, self.server_certificate, self.server_key)
        return ServerAccess(self.server, tls, self.server_token_file, self.server_insecure)

    def stated_except(self) -> frozenset[str] | None:
        """Return the actors whose consent need not be stated; None for all, because only this machine sees the page."""
        if is_loopback(self.host) and not self.trusted_proxies:
            return None
        return actor_ids(self.allowed_without_consent, field="allowed_without_consent")

    @property
    def makings_folder(self) -> Path:
        """`making_folder`, or its default."""
        return self.data_folder.expanduser() / "makings" if self.making_folder is None else self.making_folder

    def allowed_origins(self) -> list[str]:
        """Return `origins` as a list."""
        return [origin.strip().rstrip("/") for origin in self.origins.split(",") if origin.strip()]


def _is_in_footage_volume(folder: Path) -> bool:
    return folder.is_relative_to("/footage") and ".." not in folder.parts
