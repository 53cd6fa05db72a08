"""An attacker who can reach Triton: it tries everything that would run code there or read its pictures."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from serving.rpc.channels import CHANNEL_OPTIONS

HTTP_POSTS = (
    "/v2/repository/models/evil/load",
    "/v2/repository/index",
    "/v2/systemsharedmemory/region/evil/register",
    "/v2/logging",
    "/v2/trace/setting",
)
_BECOME_NOBODY = "import os, socket\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n"


def caller(address: str, credentials: grpc.ChannelCredentials | None = None) -> triton_grpc.InferenceServerClient:
    """Open a client of the gRPC service at `address`, bypassing any proxy."""
    return triton_grpc.InferenceServerClient(
        address, ssl=credentials is not None, creds=credentials, channel_args=list(CHANNEL_OPTIONS)
    )


def evil_model(marker: Path) -> tuple[str, bytes]:
    """Return the configuration and model.py of a model that writes a file when it is loaded."""
    config = {"name": "evil", "backend": "python", "max_batch_size": 0}
    config["input"] = [{"name": "IN", "data_type": "TYPE_UINT8", "dims": [1]}]
    config["output"] = [{"name": "OUT", "data_type": "TYPE_UINT8", "dims": [1]}]
    config["instance_group"] = [{"kind": "KIND_CPU", "count": 1}]
    code = (
        f"open({str(marker)!r}, 'w').write('it ran')\n"
        "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
    )
    return json.dumps(config), code.encode()


def load_evil(client: triton_grpc.InferenceServerClient, marker: Path, headers: dict[str, str] | None) -> None:
    """Load a model sent within the request, as KServe's protocol allows. Raises InferenceServerException."""
    config, code = evil_model(marker)
    client.load_model("evil", headers, config=config, files={"file:1/model.py": code}, client_timeout=20.0)


def attack(address: str, triton: psutil.Process, marker: Path, credentials: grpc.ChannelCredentials | None) -> None:
    """Try everything without the key. Fails if Triton does any of it.

    address: of the gRPC service. credentials: for TLS; of a legitimate caller, who may draw and nothing else.
    """
    for port in listening(triton):
        over_http(port, marker)
    with caller(address, credentials) as client:
        for headers in (
            None,
            {"triton-grpc-protocol-dance": ""},
            {"triton-grpc-protocol-dance": "0f1e2d3c"},
            {"triton-grpc-protocol-dance": "x" * 64},
            {"triton-grpc-protocol-triton": "dance"},
        ):
            over_grpc(client, marker, headers)
    assert not marker.exists()


def over_grpc(client: triton_grpc.InferenceServerClient, marker: Path, headers: dict[str, str] | None) -> None:
    """Every call except drawing is refused without the key."""
    calls: dict[str, Callable[[], Any]] = {
        "load": lambda: load_evil(client, marker, headers),
        "unload": lambda: client.unload_model("drawn", headers),
        "index": lambda: client.get_model_repository_index(headers),
        "register": lambda: client.register_system_shared_memory("evil", "/evil", 1024, headers=headers),
        "register cuda": lambda: client.register_cuda_shared_memory("evil", b"\0" * 64, 0, 1024, headers=headers),
        "regions": lambda: client.get_system_shared_memory_status(headers=headers),
        "trace": lambda: client.update_trace_settings(settings={"trace_file": str(marker)}, headers=headers),
        "log": lambda: client.update_log_settings({"log_file": str(marker)}, headers),
    }
    for call in calls.values():
        with pytest.raises(InferenceServerException, match="restricted"):
            call()


def over_http(port: int, marker: Path) -> None:
    """A web page opened on this machine posts to each port: no port accepts it."""
    config, code = evil_model(marker)
    parameters = {"config": config, "file:1/model.py": base64.b64encode(code).decode()}
    for path in HTTP_POSTS:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}",
            json.dumps({"parameters": parameters}).encode(),
            {"Origin": "http://elsewhere.example", "Host": "elsewhere.example", "Content-Type": "text/plain"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as answer:
                pytest.fail(f"port {port} answered {path} with {answer.status}")
        except urllib.error.HTTPError as error:
            if error.code not in (400, 404, 405):
                pytest.fail(f"port {port} answered {path} with {error.code}")
        except (OSError, http.client.BadStatusLine):
            continue  # the port does not use HTTP/1


def listening(triton: psutil.Process) -> list[int]:
    """Return the ports on which the process or its children listen."""
    family = [triton, *triton.children(recursive=True)]
    found: set[int] = set()
    for one in family:
        with suppress(psutil.NoSuchProcess):  # the system may reap dead processes at any time
            found |= {c.laddr.port for c in one.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    return sorted(found)


def as_another_user(code: str, *arguments: str) -> str:
    """Return the output of a program run by another user of this machine; this needs root."""
    ran = subprocess.run(
        # Other users may not be able to run this interpreter.
        [sys.executable, "-ISc", _BECOME_NOBODY + code, *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


SPY = """
import os, socket, sys
pid, where = sys.argv[1:]
print(open(f"/proc/{pid}/cmdline").read().replace("\\0", " "))
for name in os.listdir("/dev/shm"):
    if name.startswith("dance_"):
        try:
            open(f"/dev/shm/{name}", "rb").read(1)
            print("read", name)
        except PermissionError:
            print("refused", name)
        except FileNotFoundError:
            pass  # another Triton removed its own memory meanwhile
if where.startswith("/"):
    try:
        socket.socket(socket.AF_UNIX).connect(where)
        print("connected")
    except PermissionError:
        print("no entry")
"""
