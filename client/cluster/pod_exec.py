"""Run a command in a pod of the cluster, and send it bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream
from kubernetes.stream.ws_client import ERROR_CHANNEL, WSClient
from websocket import WebSocketBadStatusException, WebSocketException

from client.cluster.kubernetes_api import ANSWER_SECONDS, Cluster, from_api
from client.errors import ClusterError

_LOOK_EVERY_WRITES: Final = 16


class Command:
    """A command that runs in the only container of `pod`. Call `close` at the end.

    Every method raises ClusterError: retryable if the connection broke, otherwise with the command's stderr.
    """

    def __init__(self, cluster: Cluster, pod: str, words: Sequence[str], *, stdin: bool = False) -> None:
        self._cluster = cluster
        self._writes = 0
        try:
            client = stream(
                cluster.core.connect_get_namespaced_pod_exec,
                pod,
                cluster.namespace,
                command=list(words),
                stdin=stdin,
                stdout=True,
                stderr=True,
                tty=False,
                binary=True,
                _preload_content=False,
            )
        except ApiException as error:
            raise _refusal(error, cluster.address) from error
        self._client: WSClient = client
        client.sock.settimeout(ANSWER_SECONDS)

    def write(self, piece: bytes) -> bool:
        """Send bytes. Returns whether the command still reads; if not, `output` raises the reason."""
        try:
            self._client.write_stdin(piece)
            self._writes += 1
            if self._writes % _LOOK_EVERY_WRITES == 0:
                self._client.update(timeout=0)
        except (WebSocketException, OSError) as error:
            with suppress(WebSocketException, OSError):
                self._client.update(timeout=0)  # its last output may have arrived
            if self._client.peek_channel(ERROR_CHANNEL):
                return False
            raise self._lost(error) from error
        return bool(self._client.is_open())

    def output(self) -> str:
        """Wait for the command to exit with 0, and return its stdout."""
        try:
            self._client.run_forever(timeout=ANSWER_SECONDS)
        except (WebSocketException, OSError) as error:
            raise self._lost(error) from error
        verdict = self._client.read_channel(ERROR_CHANNEL)
        if not verdict:
            raise self._lost(None)
        status: dict[str, Any] = json.loads(verdict)
        if status.get("status") != "Success":
            said = self._client.read_stderr().decode(errors="replace") or str(status.get("message", status))
            raise ClusterError(f"the upload failed: {' '.join(said.split())}")
        return bytes(self._client.read_stdout()).decode(errors="replace")

    def close(self) -> None:
        """Close the connection, which ends the command."""
        with suppress(WebSocketException, OSError):
            self._client.close(timeout=1)
        self._client.sock.shutdown()  # `close` leaves the socket of a broken connection open

    def _lost(self, error: BaseException | None) -> ClusterError:
        reason = " ".join(str(error or "it ended without an exit status").split())
        return ClusterError(f"the connection to {self._cluster.address} was lost ({reason})", retryable=True)


def _refusal(error: ApiException, address: str) -> ClusterError:
    """The error of a refused handshake; the client hides its status in the cause."""
    cause = error.__context__
    if not isinstance(cause, WebSocketBadStatusException):
        return from_api(error, address)
    refused = ApiException(status=cause.status_code, reason="the command was refused")
    refused.body = cause.resp_body
    failure = from_api(refused, address)
    return ClusterError(
        str(failure), failure.status, retryable=failure.retryable or failure.status == 404
    )  # the pod is gone
