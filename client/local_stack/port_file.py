"""A file with the ports of a running `dance up`, so that `dance doctor` finds its processes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from client.local_stack.processes import Ready
from motion.documents import read_document
from serving.process.atomic_files import written_whole


@contextmanager
def noted(address: str, ready: Mapping[str, Ready], folder: Path | None = None) -> Iterator[None]:
    """Keep a file with the ports of all processes while the context lasts.

    address: host:port of their orchestrator. folder: where the file is; None for a folder of this user below the
    folder for temporary files.
    """
    path = _path(address, folder)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(json.dumps({name: dict(process.ports) for name, process in ready.items()}))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def health_addresses(address: str, folder: Path | None = None) -> dict[str, str]:
    """The health address, host:port, of each process of the `dance up` at `address`; empty if there is no file.

    A file of another user is ignored.
    """
    path = _path(address, folder)
    host = address.rpartition(":")[0]
    try:
        if path.stat().st_uid != os.getuid():
            return {}
        processes = read_document(path)
        return {name: f"{host}:{int(ports['health_port'])}" for name, ports in processes.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _path(address: str, folder: Path | None) -> Path:
    chosen = Path(tempfile.gettempdir()) / f"dance-{os.getuid()}" if folder is None else folder
    return chosen / f"up-{address.rpartition(':')[2]}.json"
