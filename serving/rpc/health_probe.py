"""`python -m serving.rpc.health_probe [HOST:PORT]`: calls `grpc.health.v1` once.

The exit code is 0 for SERVING, else 1 with one line on stderr. It is the health command of our images; Kubernetes uses
its own gRPC probe.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.transport.proxies import NO_PROXY

SERVING = "SERVING"


def health(address: str, service: str = "", *, within_seconds: float = 3.0) -> str:
    """Return the status at `host:port`, "SERVING", "NOT_SERVING", ...; or the error if there was no answer."""
    with grpc.insecure_channel(address, options=[NO_PROXY]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=within_seconds)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the probe and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m serving.rpc.health_probe", description="Call a health port once.")
    parser.add_argument("address", nargs="?", default="127.0.0.1:9090", help="host:port; default: %(default)s")
    parser.add_argument("--service", default="", help="full name of a gRPC service; default: the process")
    parser.add_argument("--within", type=float, default=3.0, metavar="SECONDS", help="default: %(default)s")
    options = parser.parse_args(arguments)
    status = health(options.address, options.service, within_seconds=options.within)
    if status == SERVING:
        return 0
    print(f"{options.address}: {status}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
