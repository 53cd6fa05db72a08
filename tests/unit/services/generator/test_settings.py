"""Settings of the generator's agent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.generator.servicer import AgentService
from services.generator.settings import GeneratorSettings
from serving.errors import BadSettings
from serving.process.settings import from_environment


def test_defaults_start_a_triton_on_free_ports():
    """Without any variables, the agent starts its own Triton, and loads actors on their first request."""
    settings = from_environment(GeneratorSettings, "GENERATOR_", {})
    assert settings.triton_address == ""
    assert settings.triton_ports().grpc == 0
    assert settings.triton_on_socket()
    assert settings.listed_actors() == ()


@pytest.mark.parametrize(
    "given", [{"TRITON_GRPC_PORT": "8001"}, {"HOST": "0.0.0.0", "INSECURE": "true"}, {"HOST": "::", "INSECURE": "true"}]
)
def test_a_triton_for_other_machines_listens_on_a_port(given: dict[str, str]):
    """Triton listens on the configured port, or on a free one if other machines can connect."""
    given = {f"GENERATOR_{name}": value for name, value in given.items()}
    assert not from_environment(GeneratorSettings, "GENERATOR_", given).triton_on_socket()


def test_variables_are_read():
    """Every field has a variable."""
    environment = {
        "GENERATOR_ACTORS_ROOT": "/srv/actors",
        "GENERATOR_THREADS": "4",
        "GENERATOR_PRECISION": "f32",
        "GENERATOR_LOAD_AT_START": "juggler, dancer",
        "GENERATOR_TRITON_GRPC_PORT": "8001",
        "GENERATOR_TRITON_LOG": "triton.log",
    }
    settings = from_environment(GeneratorSettings, "GENERATOR_", environment)
    assert settings.actors_root == Path("/srv/actors")
    assert settings.listed_actors() == ("juggler", "dancer")
    assert settings.engine_options().threads == 4
    assert settings.engine_options().precision == "f32"
    assert settings.triton_ports().grpc == 8001
    assert settings.triton_log == Path("triton.log")


@pytest.mark.parametrize(
    ("variable", "value", "names"),
    [
        ("DEVICE", "tpu", "device"),
        ("PRECISION", "int8", "precision"),
        ("THREADS", "0", "threads"),
        ("MAX_ACTORS", "0", "max_actors"),
        ("TRITON_GRPC_PORT", "70000", "triton_grpc_port"),
        ("WATCH_SECONDS", "0", "watch_seconds"),
        ("WATCH_SECONDS", "nan", "watch_seconds"),
        ("LOAD_AT_START", "../etc", "load_at_start"),
        ("TRITON_ADDRESS", "triton:8001", "repository_root"),
        ("TRITON_KEY", "key.pem", "triton_certificate and triton_key"),
        ("TRITON_CA", "ca.pem", "needs both tls_certificate and triton_ca"),
        ("TRITON_REPOSITORY_KEY_FILE", "key", "needs triton_address"),
        ("TRITON_HTTP_PORT", "8000", "GENERATOR_TRITON_HTTP_PORT"),
        ("NONSENSE", "1", "GENERATOR_NONSENSE"),
    ],
)
def test_invalid_settings_are_rejected_by_name(variable: str, value: str, names: str):
    """The error names the field, or the unknown variable."""
    with pytest.raises(BadSettings, match=names):
        from_environment(GeneratorSettings, "GENERATOR_", {f"GENERATOR_{variable}": value})


def test_a_triton_elsewhere_is_not_called_in_plaintext_by_accident():
    """An address on another machine needs TLS, or an explicit setting for plaintext."""
    elsewhere = {"GENERATOR_TRITON_ADDRESS": "triton:8001", "GENERATOR_REPOSITORY_ROOT": "repository"}
    with pytest.raises(BadSettings, match=r"triton_address triton:8001 is on another machine.*insecure=true"):
        from_environment(GeneratorSettings, "GENERATOR_", elsewhere)
    from_environment(GeneratorSettings, "GENERATOR_", {**elsewhere, "GENERATOR_INSECURE": "true"})
    from_environment(GeneratorSettings, "GENERATOR_", {**elsewhere, "GENERATOR_TRITON_CA": "ca.pem"})


def test_an_own_triton_is_secured_as_the_agent_is():
    """If the agent serves with TLS, it must verify its own Triton; with mutual TLS, it must have a certificate too."""
    tls = {"GENERATOR_TLS_CERTIFICATE": "c", "GENERATOR_TLS_KEY": "k"}
    with pytest.raises(BadSettings, match="needs both tls_certificate and triton_ca"):
        from_environment(GeneratorSettings, "GENERATOR_", tls)
    known = {**tls, "GENERATOR_TRITON_CA": "ca"}
    from_environment(GeneratorSettings, "GENERATOR_", known)
    with pytest.raises(BadSettings, match="tls_client_ca needs triton_certificate"):
        from_environment(GeneratorSettings, "GENERATOR_", {**known, "GENERATOR_TLS_CLIENT_CA": "ca"})


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b"0f3a\n", None),
        (b"", "one word"),
        (b"two words", "one word"),
        (b"\xff", "is not ASCII"),
        (b"words" * 1000, "has 5000 bytes, at most 4096 are read"),
        (None, "No such file"),
    ],
)
def test_the_repository_key_is_one_word(tmp_path: Path, content: bytes | None, refused: str | None):
    """The key is read without its line break; an invalid key is rejected with an error that does not quote it."""
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    settings = GeneratorSettings(
        triton_address="127.0.0.1:8001", repository_root=tmp_path, triton_repository_key_file=path
    )
    if refused is None:
        assert settings.repository_key() == "0f3a"
        return
    with pytest.raises(BadSettings, match=refused) as caught:
        settings.repository_key()
    assert "words" not in str(caught.value).replace("one word", "")


@pytest.mark.parametrize(
    ("make", "said"), [(os.mkfifo, "is not a regular file"), (Path.mkdir, "is not a regular file")]
)
def test_a_repository_key_is_a_regular_file(tmp_path: Path, make: Callable[[Path], None], said: str):
    """A FIFO would block the agent until something is written to it."""
    path = tmp_path / "key"
    make(path)
    settings = GeneratorSettings(
        triton_address="127.0.0.1:8001", repository_root=tmp_path, triton_repository_key_file=path
    )
    with pytest.raises(BadSettings, match=f"triton_repository_key_file: {said}"):
        settings.repository_key()


@pytest.mark.parametrize(
    ("address", "host_and_port"),
    [
        ("127.0.0.1:8001", ("127.0.0.1", 8001)),
        ("[::1]:8001", ("::1", 8001)),
        ("dns:///localhost:8001", ("localhost", 8001)),
        ("unix:/run/triton/grpc", None),
        ("unix-abstract:triton", None),
        ("ipv4:127.0.0.1:8001,127.0.0.2:8002", None),
    ],
)
def test_the_ready_line_names_a_port_only_where_there_is_one(
    tmp_path: Path, address: str, host_and_port: tuple[str, int] | None
):
    """The ready line has no port if a Triton elsewhere listens on a socket file."""
    settings = GeneratorSettings(triton_address=address, repository_root=tmp_path)
    expected: dict[str, str | int] = {"triton_address": address}
    if host_and_port is not None:
        expected |= {"triton_host": host_and_port[0], "triton_port": host_and_port[1]}
    assert AgentService(settings).ready_facts() == expected
