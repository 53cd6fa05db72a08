"""The credentials that the command line presents to a server, and when it refuses to."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import grpc
import pytest

from client.__main__ import run
from client.connection.server_access import ServerAccess
from client.connection.session import DanceClient
from client.errors import CommandError
from serving.transport.tls import ServerTls, server_credentials
from tests.certificates import Authority

TOKEN = "a-token-of-mine-77"


class Seen(grpc.ServerInterceptor):  # type: ignore[misc]
    """Records each call's method and token."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None]] = []

    def intercept_service(self, continuation, details):
        shown = dict(details.invocation_metadata).get("authorization")
        self.calls.append((details.method.rpartition("/")[2], shown))
        return continuation(details)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def secured(authority: Authority, *, mutual: bool = False) -> grpc.ServerCredentials:
    signed = authority.sign("server")
    return server_credentials(
        ServerTls(certificate=signed.certificate, key=signed.key, client_ca=authority.ca if mutual else None)
    )


def test_a_transfer_shows_its_token_in_every_call(serve, make_video, authority: Authority, token_file: Path, tmp_path):
    """Listing actors, fitting the body and the transfer all use TLS and carry the token."""
    seen = Seen()
    address = serve(credentials=secured(authority), interceptors=[seen]).address
    security = ["--tls-ca", str(authority.ca), "--token-file", str(token_file)]
    source, out = str(make_video(frames=3)), str(tmp_path / "out.mp4")
    assert run(["transfer", source, "--actor", "juggler", "-o", out, "--server", address, *security]) == 0
    assert seen.calls == [(method, f"Bearer {TOKEN}") for method in ("ListActors", "FitBody", "Transfer")]


def test_the_environment_may_say_it_all(serve, authority: Authority, token_file: Path, monkeypatch, capsys):
    """Every option has an environment variable, including the certificate for mutual TLS."""
    own = authority.sign("me")
    variables = {
        "SERVER": serve(credentials=secured(authority, mutual=True)).address,
        "TLS_CA": authority.ca,
        "TLS_CERTIFICATE": own.certificate,
        "TLS_KEY": own.key,
        "TOKEN_FILE": token_file,
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"DANCE_{name}", str(value))
    assert run(["actors"]) == 0
    assert "juggler" in capsys.readouterr().out


def test_a_server_with_tls_is_not_taken_without_its_ca(serve, authority: Authority, tmp_path: Path, capsys):
    """Another CA and plaintext both fail with one line, which names an untrusted certificate as such."""
    address = serve(credentials=secured(authority)).address
    foreign = Authority(tmp_path, "foreign")
    for security, said in (
        (["--tls-ca", str(foreign.ca)], "its certificate has expired, or is not signed by --tls-ca"),
        (["--insecure"], ""),
    ):
        assert run(["actors", "--server", address, *security]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"no server answers at {address} ({said}" in error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--server dance.example:1", "dance.example:1 is another machine: --tls-ca"),
        ("--server dance.example:1 --token-file TOKEN", "a token is not sent to dance.example:1 in plaintext"),
        ("--server dance.example:1 --insecure --token-file TOKEN", "a token is not sent"),
        ("--server dance.example:1 --insecure --tls-ca CA", "--insecure means plaintext and --tls-ca means TLS"),
        ("--server 127.0.0.1:1 --tls-certificate CA", "--tls-certificate and --tls-key belong together"),
        ("--server 127.0.0.1:1 --tls-key TOKEN --tls-certificate CA", "--tls-certificate needs --tls-ca"),
        ("--server 127.0.0.1:1 --tls-ca TOKEN", "the CA's file contains no certificate in PEM"),
        ("--server 127.0.0.1:1 --tls-ca nowhere.pem", "nowhere.pem: the CA's file cannot be read: No such file"),
        ("--token-file TOKEN", "--token-file is for a server that runs elsewhere: name it with --server"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    options: str, said: str, authority: Authority, token_file: Path, capsys: pytest.CaptureFixture[str]
):
    """The error is one line with exit code 2, before anything is sent, and does not contain the token."""
    filled = options.replace("TOKEN", str(token_file)).replace("CA", str(authority.ca)).split()
    assert run(["actors", *filled]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert TOKEN not in error


@pytest.mark.parametrize("content", [b"", b"one two", b"line\nline", b"t\xc3\xb6ken", b"\xff"])
def test_a_file_without_a_token_is_named(token_file: Path, content: bytes):
    """The error does not repeat the file's contents."""
    token_file.write_bytes(content)
    with pytest.raises(CommandError, match=f"token's file {token_file}") as caught:
        ServerAccess("127.0.0.1:1", token_file=token_file).metadata()
    assert "one two" not in str(caught.value)


def test_a_token_is_read_from_a_small_regular_file(token_file: Path):
    """A FIFO does not block the client, and a device or a huge file is not read."""
    access = ServerAccess("127.0.0.1:1", token_file=token_file)
    os.truncate(token_file, 2**40)
    with pytest.raises(
        CommandError, match=f"token's file {token_file} has 1099511627776 bytes, at most 16384 are read"
    ):
        access.metadata()
    for make in (os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")):
        token_file.rmdir() if token_file.is_dir() else token_file.unlink()
        make(token_file)
        with pytest.raises(CommandError, match=f"token's file {token_file} is not a regular file"):
            access.metadata()


async def test_a_renewed_token_is_shown_from_the_next_call_on(serve, token_file: Path):
    """A long-lived client reads its token for each call."""
    seen = Seen()
    address = serve(interceptors=[seen]).address
    async with DanceClient(ServerAccess(address, token_file=token_file)) as client:
        await client.actors()
        await asyncio.to_thread(token_file.write_text, "another")
        await client.actors()
    assert [shown for _, shown in seen.calls] == [f"Bearer {TOKEN}", "Bearer another"]
