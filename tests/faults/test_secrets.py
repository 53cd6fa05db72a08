"""Secrets stay out of a server's output, at the most verbose level and whatever fails."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dance.v1 import transfer_pb2, transfer_pb2_grpc

from serving.transport.proxies import NO_PROXY
from tests.certificates import Authority

TOKEN, WRONG_TOKEN = "8d2f-good-token-of-studio", "71aa-bad-token-of-nobody"
SECRET_KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"
PATIENCE_SECONDS = 30


@contextmanager
def orchestrator(folder: Path, **settings: Any) -> Iterator[int]:
    """`python -m orchestrator` at its most verbose level, and its port; its output is in `log`."""
    environment = {
        **os.environ,
        "ORCHESTRATOR_LOG_LEVEL": "DEBUG",
        "ORCHESTRATOR_DRAIN_SECONDS": "0",
        "ORCHESTRATOR_ACTORS_ROOT": str(folder),
        "PYTHONASYNCIODEBUG": "1",
        **{f"ORCHESTRATOR_{name.upper()}": str(value) for name, value in settings.items()},
    }
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator"], stdout=subprocess.PIPE, stderr=log, env=environment, text=True
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("ready "), (folder / "log").read_text()
        yield int(dict(word.split("=", 1) for word in line.split()[1:])["port"])
    finally:
        process.terminate()
        process.stdout.close()
        process.wait(15)


def test_no_log_holds_a_token_or_a_key(tmp_path: Path):
    """Good and bad tokens, bad certificates, damaged files and a missing actor leak no secret."""
    authority = Authority(tmp_path)
    server, foreign = authority.sign("server"), Authority(tmp_path, "foreign")
    tokens, keys = tmp_path / "tokens", tmp_path / "keys.json"
    good = f"studio:{hashlib.sha256(TOKEN.encode()).hexdigest()}\n"
    tokens.write_text(good)
    keys.write_text(f'{{"keys": [{{"kty": "oct", "k": "{SECRET_KEY}"}}]}}')
    settings = {
        "tls_certificate": server.certificate,
        "tls_key": server.key,
        "tokens_file": tokens,
        "jwt_keys_file": keys,
        "jwt_issuer": "issuer",
        "jwt_audience": "dance",
    }
    claims = {"sub": "user", "iss": "issuer", "aud": "dance", "exp": int(time.time()) - 100}
    expired = jwt.encode(claims, jwt.PyJWK({"kty": "oct", "k": SECRET_KEY}).key, "HS256")
    forged = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256")
    with orchestrator(tmp_path, **settings) as port:
        assert _statuses(port, foreign.ca, TOKEN) == {"UNAVAILABLE"}
        for token in (WRONG_TOKEN, expired, forged):
            assert _statuses(port, authority.ca, token) == {"UNAUTHENTICATED"}
        assert _statuses(port, authority.ca, TOKEN) == {"OK", "NOT_FOUND"}
        tokens.write_text(f"{good}nobody:{WRONG_TOKEN}\n")
        keys.write_text(f'{{"keys": ["{SECRET_KEY}"]}}')
        server.certificate.write_text("nothing")
        assert _statuses(port, authority.ca, TOKEN) == {"OK", "NOT_FOUND"}
        assert _statuses(port, authority.ca, expired) == {"UNAUTHENTICATED"}
    log = (tmp_path / "log").read_text()
    assert "line 2 of the tokens file" in log
    assert "tls_certificate has changed but is invalid" in log
    assert "jwt_keys_file has changed but is invalid" in log
    for secret in (TOKEN, WRONG_TOKEN, SECRET_KEY, *expired.split("."), *forged.split(".")):
        assert secret not in log
    for line in server.key.read_text().splitlines()[1:-1]:
        assert line not in log


def _statuses(port: int, ca: Path, token: str) -> set[str]:
    """The status of a unary call and of a stream."""
    metadata = (("authorization", f"Bearer {token}"),)
    config = transfer_pb2.TransferRequest(config=transfer_pb2.TransferConfig(actor="nobody"))
    statuses = set()
    with grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca.read_bytes()), [NO_PROXY]) as channel:
        stub = transfer_pb2_grpc.TransferServiceStub(channel)
        try:
            stub.ListActors(transfer_pb2.ListActorsRequest(), metadata=metadata, timeout=PATIENCE_SECONDS)
            statuses.add("OK")
        except grpc.RpcError as error:
            statuses.add(error.code().name)
        call = stub.Transfer(iter([config]), metadata=metadata, timeout=PATIENCE_SECONDS)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        statuses.add(caught.value.code().name)
    return statuses
