"""Settings of the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from client.connection.server_access import ServerAccess
from client.errors import UsageError
from serving.process.settings import NOT_NEGATIVE, AtLeastOne, FinitePositive
from serving.rpc.server import ServerSettings
from serving.transport.addresses import checked_address
from serving.transport.tls import ChannelTls, channel_tls


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
    """Every visitor signs in with a token of the orchestrator, which is passed on with that visitor's calls."""
    origins: str = ""
    """More origins that may use the page's interface, comma-separated, such as https://dance.example; the page's own
    always may."""
    trusted_proxies: str = ""
    """Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses or networks, comma-separated."""
    ticket_seconds: FinitePositive = 30.0
    """How long a ticket is valid. A page uses it at once, to open its WebSocket."""

    max_live_sessions: AtLeastOne = 8
    """Live sessions at the same time; more are refused."""
    max_live_sessions_per_user: AtLeastOne = 2
    """The same for each user: the owner of a token, otherwise an address."""
    max_message_bytes: AtLeastOne = 2 * 2**20
    """Of one WebSocket message; a larger one ends its session. A camera's frame as a JPEG takes 20 to 100 kB."""

    data_folder: Path = Path("~/.local/state/everybody-dance/web")
    """Where clips, results and recordings are kept until they are deleted. One gateway uses it at a time. Dances go on
    after a restart if the disk outlives the process."""
    data_max_bytes: AtLeastOne = 8 * 2**30
    """Of all files in it."""
    disk_kept_bytes: Annotated[int, NOT_NEGATIVE] = 2**30
    """Free space of its disk that is left to others."""
    dances_at_once: AtLeastOne = 1
    """Clips danced at the same time; the others wait. Each takes one session of the orchestrator."""
    max_dances_per_user: AtLeastOne = 8
    """Dances and recordings that are kept for a user at the same time."""
    dances_kept_seconds: FinitePositive = 3600.0
    """How long a dance is kept after it ended, or after the last byte of an upload that stalled; then it is deleted."""
    dance_patience_seconds: FinitePositive = 600.0
    """How long a dance waits for an orchestrator that went away. It waits for a full one without a limit."""
    max_clip_bytes: AtLeastOne = 256 * 2**20
    """Of an uploaded clip."""
    max_clip_seconds: FinitePositive = 180.0
    """Of an uploaded clip. It has at most 60 times as many frames."""
    max_clip_side_px: AtLeastOne = 4096
    """The longer side of an uploaded clip."""
    max_recording_seconds: FinitePositive = 300.0
    """Of a live session's recording; it ends then."""
    max_recording_bytes: AtLeastOne = 512 * 2**20
    """Of the pictures of a recording; it ends then."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            checked_address(self.server)
        except ValueError as error:
            raise ValueError(f"server: {error}") from error
        if self.tls_client_ca is not None:
            raise ValueError("tls_client_ca is not for the page: visitors sign in with tokens (sign_in)")
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

    def allowed_origins(self) -> list[str]:
        """Return `origins` as a list."""
        return [origin.strip().rstrip("/") for origin in self.origins.split(",") if origin.strip()]
