"""Upload footage to the cluster's footage volume through a pod that mounts it; uploads resume and are verified."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, BinaryIO, Final

from client.cluster import kubernetes_api
from client.cluster.job_status import sentence
from client.cluster.job_template import FOOTAGE_FOLDER, UPLOAD_POD
from client.cluster.kubernetes_api import Cluster, Outage
from client.cluster.options import PATIENCE_SECONDS
from client.cluster.pod_exec import Command
from client.errors import ClusterError

LASTS_SECONDS: Final = 6 * 3600
"""The pod ends by itself after this time, whatever happens to the client."""

_POLL_SECONDS: Final = 1.0
_PIECE_BYTES: Final = 32 * 1024
"""Size of a WebSocket message that every version of the API server accepts."""

# $1: the folder, $2: the file's name. The folder is named after the footage's content, so a partial file in it belongs
# to this footage.
_LOOK: Final = """
mkdir -p "$1" && cd "$1" || exit 1
if [ -f "./$2" ]; then echo whole; elif [ -f "./.$2.part" ]; then wc -c < "./.$2.part"; else echo 0; fi"""
# The shell outlives `head` to keep stdout open: when stdout closes, containerd closes stdin too (its issue 13934), and
# all but the first bytes are lost. Without the `exit`, the last command would replace the shell.
_TAKE: Final = """
cd "$1" || exit 1
head -c "$3" >> "./.$2.part"
exit "$?"
"""
_CHECK: Final = """
cd "$1" || exit 1
if [ "$(sha256sum < "./.$2.part")" = "$3  -" ]; then mv "./.$2.part" "./$2" && echo whole
else wc -c < "./.$2.part" && rm "./.$2.part"; fi"""


@dataclass(slots=True)
class Upload:
    """Uploads one file to the volume. pod: the document of the pod that receives it.

    on_bytes: called with the number of the file's bytes that have arrived. say: called with one-line messages.
    """

    cluster: Cluster
    pod: dict[str, Any]
    say: Callable[[str], None]
    on_bytes: Callable[[int], None] = lambda sent_bytes: None
    patience_seconds: float = PATIENCE_SECONDS
    _made: bool = False
    _waiting_for: str = ""

    def bring(self, footage: Path) -> str:
        """Upload `footage`, unless it is there already, and return its path in the volume.

        Raises ClusterError if the cluster refuses, stays unreachable, or stores something other than what was sent.
        """
        with footage.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
            size_bytes = file.seek(0, 2)
            name = re.sub(r"[^\w.-]", "_", footage.name, flags=re.ASCII)[
                -100:
            ]  # leave room for the name of the partial file
            folder = str(FOOTAGE_FOLDER / "uploads" / digest[:16])
            try:
                self._brought(file, size_bytes, digest, folder, name)
            finally:
                self._remove_pod()
        return f"{folder}/{name}"

    def _brought(self, file: BinaryIO, size_bytes: int, digest: str, folder: str, name: str) -> None:
        furthest, damaged = -1, 0
        outage = Outage(self.patience_seconds, self.say, _POLL_SECONDS, "The same command continues")
        while True:
            try:
                self._have_pod()
                there = self._run(_LOOK, folder, name).strip()
                if there == "whole":
                    self.on_bytes(size_bytes)
                    return
                begun = int(there)
                if begun > furthest:  # more than ever has arrived: the connection works again
                    furthest = begun
                    outage.over()
                if begun < size_bytes:
                    self._send(file, begun, size_bytes, folder, name)
                arrived = self._run(_CHECK, folder, name, digest).strip()
                if arrived == "whole":
                    self.on_bytes(size_bytes)
                    return
                damaged += 1
                if damaged > 1:
                    raise ClusterError(
                        f"{name} arrived damaged twice: its SHA-256 differs from what was sent; "
                        f"{arrived} of {size_bytes} bytes arrived"
                    )
                self.say(f"{name} arrived damaged; it is sent again")
                furthest = -1
            except ClusterError as error:
                outage.wait(error)

    def _send(self, file: BinaryIO, begun: int, size_bytes: int, folder: str, name: str) -> None:
        file.seek(begun)
        sent = begun
        with self._command(_TAKE, folder, name, str(size_bytes - begun), stdin=True) as command:
            while piece := file.read(_PIECE_BYTES):
                if not command.write(piece):
                    break  # it has ended early; its output tells why
                sent += len(piece)
                self.on_bytes(sent)
            command.output()

    def _run(self, script: str, *arguments: str) -> str:
        with self._command(script, *arguments) as command:
            return command.output()

    def _command(self, script: str, *arguments: str, stdin: bool = False) -> closing[Command]:
        return closing(Command(self.cluster, UPLOAD_POD, ["sh", "-c", script, "sh", *arguments], stdin=stdin))

    def _have_pod(self) -> None:
        """Wait until the pod runs. A pod that exists already is shared with its creator."""
        while True:
            try:
                document = self.cluster.pod_document(UPLOAD_POD)
            except ClusterError as error:
                if error.status != 404:
                    raise
                self._make_pod()
                continue
            if document["metadata"].get("deletionTimestamp"):
                self._pause()  # until its name is free
                continue
            status = document.get("status", {})
            if status.get("phase") in ("Succeeded", "Failed"):
                self.cluster.delete_pod(UPLOAD_POD)
                self._pause()
                continue
            if any("running" in (c.get("state") or {}) for c in status.get("containerStatuses") or []):
                return
            self._say_why_not(status)
            self._pause()

    def _make_pod(self) -> None:
        try:
            self.cluster.create_pod(self.pod)
            self._made = True
        except ClusterError as error:
            if error.status != 409:  # another client created it first
                raise

    def _say_why_not(self, status: dict[str, Any]) -> None:
        conditions = {c["type"]: c for c in status.get("conditions") or []}
        scheduled = conditions.get("PodScheduled", {})
        said = [scheduled] if scheduled.get("status") == "False" else []
        waits = ((c.get("state") or {}).get("waiting", {}) for c in status.get("containerStatuses") or [])
        said += [wait for wait in waits if wait.get("reason") not in (None, "ContainerCreating", "PodInitializing")]
        why = "; ".join(sentence(one) for one in said)
        if why and why != self._waiting_for:
            self.say(f"waiting for {UPLOAD_POD}: {why}")
        self._waiting_for = why

    def _remove_pod(self) -> None:
        if not self._made:
            return
        try:
            self.cluster.delete_pod(UPLOAD_POD)
        except ClusterError as error:
            self.say(f"{UPLOAD_POD} was not removed; it will end by itself ({error})")

    def _pause(self) -> None:
        kubernetes_api.pause(_POLL_SECONDS)
