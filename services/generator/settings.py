"""Settings of the generator's agent, read once from `GENERATOR_*` at start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from motion.documents import BadDocument, read_bounded
from services.generator.triton.model_repository import EngineOptions
from services.generator.triton.process import TritonPorts
from serving.actors.actor_id import checked_actor_id
from serving.errors import BadSettings
from serving.inference.precision import Device, Precision
from serving.process.settings import NOT_NEGATIVE, AtLeastOne, Port, Positive
from serving.rpc.server import ServerSettings
from serving.transport.addresses import checked_address
from serving.transport.tls import ChannelTls, channel_tls, is_local, is_loopback

_MOST_KEY_BYTES: Final = 4096


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings(ServerSettings):
    """Settings of the agent's own server, the actors' folder, Triton, and which actors stay loaded."""

    max_connection_age_seconds: float = 300.0
    """See [Every server](#every-server): the orchestrators find new replicas of this service within that time."""
    actors_root: Path = Path("actors")
    """The folder of published actors; only read."""

    triton_address: str = ""
    """host:port of the gRPC service of a Triton that runs elsewhere, such as a sidecar container. Empty: start one."""
    triton_grpc_port: Port = 0
    """gRPC port of the agent's own Triton. 0: on loopback without TLS, a socket file that only this user can open; else
    a free port."""
    triton_metrics_port: Port = 0
    """Metrics port of the agent's own Triton; 0 takes a free port."""
    triton_ca: Path | None = None
    """PEM of the CA that signed Triton's certificate. The agent's own Triton serves with `tls_certificate` and requires
    client certificates of `tls_client_ca`, as the agent does."""
    triton_certificate: Path | None = None
    """PEM of the client certificate that the agent presents to Triton."""
    triton_key: Path | None = None
    triton_log: Path | None = None
    """Triton's log file. None: a file in a temporary folder, which is removed at the end."""
    triton_exit_seconds: AtLeastOne = 5
    """How long requests in flight may take when Triton stops."""
    triton_repository_key_file: Path | None = None
    """File with the key that lets the agent load actors in a Triton elsewhere, read at each use: the KEY in
    `--grpc-restricted-protocol=model-repository,shared-memory,trace,logging:dance=KEY`. None: that Triton needs none.
    The agent's own Triton gets a new key at each start."""
    repository_root: Path | None = None
    """Triton's model repository, which the agent writes. None: a temporary folder. A Triton elsewhere shares it."""

    device: Device = "cpu"
    """"cpu" or "gpu"; neither falls back to the other."""
    threads: AtLeastOne = 2
    """Threads of each actor's engine on a CPU."""
    precision: Precision = "auto"
    """"bf16", "f32", or "auto": bf16 if the CPU supports it, else f32."""

    load_at_start: str = "none"
    """"none": load actors on their first request. "all", or ids separated by commas: at start and when published."""
    max_actors: AtLeastOne = 4
    """Actors loaded at the same time. On a CPU each version is a process of about 230 MB plus its network."""
    in_use_seconds: Annotated[float, NOT_NEGATIVE] = 30.0
    """A version is in use, and stays loaded, for this long after it drew a picture or was requested."""
    watch_seconds: Positive = 0.5
    """How often the agent checks the actors' folder, Triton and the processes of its actors."""
    canary_seconds: Positive = 10.0
    """The agent requests a canary picture from a loaded version that has drawn nothing for this long."""
    answer_seconds: Positive = 2.0
    """Triton is restarted if it does not answer within this time, three times in a row."""
    canary_timeout_seconds: Positive = 15.0
    """A canary that takes longer has failed."""
    load_timeout_seconds: Positive = 60.0
    """Time-out for loading an actor."""

    def __post_init__(self) -> None:
        ServerSettings.__post_init__(self)
        if self.triton_address and self.repository_root is None:
            raise ValueError("triton_address needs repository_root, the model repository that this Triton reads")
        if self.triton_repository_key_file is not None and not self.triton_address:
            raise ValueError("triton_repository_key_file needs triton_address: it is for a Triton that runs elsewhere")
        if self.triton_address:
            try:
                checked_address(self.triton_address)
            except ValueError as error:
                raise ValueError(f"triton_address: {error}") from error
        self._check_security()
        for actor_id in self.listed_actors():
            checked_actor_id(actor_id, field="load_at_start")

    def _check_security(self) -> None:
        tls, calling = self.tls(), self.triton_tls()
        if self.triton_address:
            if calling is None and not self.insecure and not is_local(self.triton_address):
                where = f"triton_address {self.triton_address} is on another machine"
                raise ValueError(f"{where}: that needs triton_ca, or insecure=true for plaintext")
        elif (tls is None) != (calling is None):
            raise ValueError("the agent's own Triton needs both tls_certificate and triton_ca, or neither")
        elif tls is not None and calling is not None and tls.client_ca is not None and calling.certificate is None:
            raise ValueError("tls_client_ca needs triton_certificate, which the agent presents to its own Triton")

    def triton_tls(self) -> ChannelTls | None:
        """Return how the agent connects to Triton; None is plaintext. Raises ValueError if only part of it is set."""
        return channel_tls("triton_", self.triton_ca, self.triton_certificate, self.triton_key)

    def repository_key(self) -> str:
        """Read `triton_repository_key_file`; empty without a file. Raises BadSettings, which never quotes the key."""
        if self.triton_repository_key_file is None:
            return ""
        try:
            key = read_bounded(self.triton_repository_key_file, _MOST_KEY_BYTES).decode("ascii").strip()
        except OSError as error:
            raise BadSettings("triton_repository_key_file", f"cannot be read: {error.strerror}") from None
        except BadDocument as error:
            raise BadSettings("triton_repository_key_file", str(error)) from None
        except UnicodeDecodeError:
            raise BadSettings("triton_repository_key_file", "is not ASCII") from None
        if not key.isalnum():
            raise BadSettings("triton_repository_key_file", "expected one word of letters and digits")
        return key

    def listed_actors(self) -> tuple[str, ...]:
        """Return the ids in `load_at_start`; empty for "none" and "all"."""
        if self.load_at_start in ("none", "all", ""):
            return ()
        return tuple(name.strip() for name in self.load_at_start.split(","))

    def engine_options(self) -> EngineOptions:
        """Return how the models run their networks."""
        return EngineOptions(device=self.device, threads=self.threads, precision=self.precision)

    def triton_ports(self) -> TritonPorts:
        """Return where the agent's own Triton listens."""
        return TritonPorts(grpc=self.triton_grpc_port, metrics=self.triton_metrics_port)

    def triton_on_socket(self) -> bool:
        """Whether the agent's own Triton listens on a socket file instead of a port."""
        return self.triton_grpc_port == 0 and self.tls() is None and is_loopback(self.host)
