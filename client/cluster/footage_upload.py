"""Brings footage into the cluster's footage volume: through a pod that mounts it, resumed, and checked."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, BinaryIO, Final

from client.cluster import kubernetes_api
from client.cluster.job_template import FOOTAGE_FOLDER, UPLOAD_POD
from client.cluster.kubernetes_api import Cluster
from client.cluster.pod_exec import Command
from client.errors import ClusterError

LASTS_SECONDS: Final = 6 * 3600
"""The pod ends by itself after this time, whatever became of us."""

_PIECE_BYTES: Final = 32 * 1024
"""Of a WebSocket message: what every version of the API server takes."""

# $1: the folder, $2: the file's name. Footage lies in a folder named after its content, so a part is a part of it.
_LOOK: Final = """
mkdir -p "$1" && cd "$1" || exit 1
if [ -f "./$2" ]; then echo whole; elif [ -f "./.$2.part" ]; then wc -c < "./.$2.part"; else echo 0; fi"""
# The shell outlives `head`, and holds stdout open: where stdout ends, containerd ends stdin too (its issue 13934), and
# all but the first bytes are lost. A last command that is not followed by `exit` would take the shell's place.
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
    """Brings one file into the volume. pod: the document of the pod that takes it.

    on_bytes: told how many of the file's bytes are there. say: told, in one line, what goes on.
    """

    cluster: Cluster
    pod: dict[str, Any]
    say: Callable[[str], None]
    on_bytes: Callable[[int], None] = lambda sent_bytes: None
    patience_seconds: float = 300.0
    poll_seconds: float = 1.0
    now_seconds: Callable[[], float] = time.monotonic
    _made: bool = False
    _waiting_for: str = ""

    def bring(self, footage: Path) -> str:
        """The footage's path in the volume; it is not sent again where it is there already.

        Raises ClusterError when the cluster refuses, stays away, or keeps something else than what was sent.
        """
        with footage.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
            size_bytes = file.seek(0, 2)
            name = re.sub(r"[^\w.-]", "_", footage.name, flags=re.ASCII)[-100:]  # so that a part's name fits
            folder = str(FOOTAGE_FOLDER / "uploads" / digest[:16])
            try:
                self._brought(file, size_bytes, digest, folder, name)
            finally:
                self._remove_pod()
        return f"{folder}/{name}"

    def _brought(self, file: BinaryIO, size_bytes: int, digest: str, folder: str, name: str) -> None:
        furthest, damaged = -1, 0
        lost_at: float | None = None
        while True:
            try:
                self._have_pod()
                there = self._run(_LOOK, folder, name).strip()
                if there == "whole":
                    self.on_bytes(size_bytes)
                    return
                begun = int(there)
                if begun > furthest:  # further than ever: whatever broke is mended
                    furthest, lost_at = begun, None
                if begun < size_bytes:
                    self._send(file, begun, size_bytes, folder, name)
                arrived = self._run(_CHECK, folder, name, digest).strip()
                if arrived == "whole":
                    self.on_bytes(size_bytes)
                    return
                damaged += 1
                if damaged > 1:
                    raise ClusterError(
                        f"{name} does not arrive as it was sent: its SHA-256 differs, twice; "
                        f"{arrived} of {size_bytes} bytes are there"
                    )
                self.say(f"{name} arrived damaged; it is sent again")
                furthest = -1
            except ClusterError as error:
                if not error.retryable:
                    raise
                now = self.now_seconds()
                if lost_at is None:
                    lost_at = now
                    self.say(f"reconnecting: {error}")
                if now - lost_at >= self.patience_seconds:
                    raise ClusterError(
                        f"{error}; tried again for {self.patience_seconds:g} s. The same command goes on"
                    ) from error
                self._pause()

    def _send(self, file: BinaryIO, begun: int, size_bytes: int, folder: str, name: str) -> None:
        file.seek(begun)
        sent = begun
        with self._command(_TAKE, folder, name, str(size_bytes - begun), stdin=True) as command:
            while piece := file.read(_PIECE_BYTES):
                if not command.write(piece):
                    break  # it has ended early, and says why
                sent += len(piece)
                self.on_bytes(sent)
            command.output()

    def _run(self, script: str, *arguments: str) -> str:
        with self._command(script, *arguments) as command:
            return command.output()

    @contextmanager
    def _command(self, script: str, *arguments: str, stdin: bool = False) -> Iterator[Command]:
        command = Command(self.cluster, UPLOAD_POD, ["sh", "-c", script, "sh", *arguments], stdin=stdin)
        try:
            yield command
        finally:
            command.close()

    def _have_pod(self) -> None:
        """Returns when the pod runs. One that is there is shared with whoever made it."""
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
            if error.status != 409:  # somebody was faster
                raise

    def _say_why_not(self, status: dict[str, Any]) -> None:
        conditions = {c["type"]: c for c in status.get("conditions") or []}
        scheduled = conditions.get("PodScheduled", {})
        said = [scheduled] if scheduled.get("status") == "False" else []
        waits = ((c.get("state") or {}).get("waiting", {}) for c in status.get("containerStatuses") or [])
        said += [wait for wait in waits if wait.get("reason") not in (None, "ContainerCreating", "PodInitializing")]
        why = "; ".join(": ".join(str(one[key]) for key in ("reason", "message") if one.get(key)) for one in said)
        if why and why != self._waiting_for:
            self.say(f"waiting for {UPLOAD_POD}: {' '.join(why.split())}")
        self._waiting_for = why

    def _remove_pod(self) -> None:
        if not self._made:
            return
        try:
            self.cluster.delete_pod(UPLOAD_POD)
        except ClusterError as error:
            self.say(f"{UPLOAD_POD} was not removed, and ends by itself ({error})")

    def _pause(self) -> None:
        kubernetes_api.pause(self.poll_seconds)
