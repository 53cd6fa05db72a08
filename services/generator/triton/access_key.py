"""Restrict Triton's model loading to the agent, with a new key at each start.

A client that can load a model can run Python as Triton's user. With the options of `fenced`, Triton accepts models,
shared memory, trace and log settings from the agent alone, and nothing over HTTP.

Triton takes the key only as an argument, and every user of the machine can read the arguments of a process. So the
agent overwrites the key in Triton's memory as soon as Triton has read it. If only the agent's user needs Triton, Triton
listens on a socket file that only this user can open.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

REPOSITORY_KEY: Final = "dance"
"""The key's name in `--grpc-restricted-protocol=model-repository:dance=KEY`."""
RESTRICTED: Final = "model-repository,shared-memory,trace,logging"
"""The parts of Triton's gRPC service that require the key. Inference, health and statistics do not."""

# Indices into /proc/PID/stat after the name, which may contain spaces: see arg_start and arg_end in proc(5).
_ARGUMENTS_START, _ARGUMENTS_END = 45, 46


def fresh_key() -> str:
    """Return a random key of 64 hexadecimal digits."""
    return secrets.token_hex(32)


def fenced(key: str) -> tuple[str, ...]:
    """Return options for `tritonserver`: the `key` for gRPC, and no HTTP service, which cannot be fully restricted."""
    return ("--allow-http=false", f"--grpc-restricted-protocol={RESTRICTED}:{REPOSITORY_KEY}={key}")


def key_header(key: str) -> dict[str, str] | None:
    """Return the header that carries the key; None for an empty key."""
    return {f"triton-grpc-protocol-{REPOSITORY_KEY}": key} if key else None


def hide(pid: int, key: str) -> bool:
    """Overwrite `key` in the arguments of a child that has read them. Returns whether it is gone.

    Until then, a few tenths of a second after the start, every user of this machine can read it.
    """
    process = Path(f"/proc/{pid}")
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_ARGUMENTS_START]), int(fields[_ARGUMENTS_END])
        with (process / "mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            found = memory.read(end - start).find(key.encode())
            if found >= 0:
                memory.seek(start + found)
                memory.write(b"x" * len(key))
        return key.encode() not in (process / "cmdline").read_bytes()
    except OSError as error:
        _log.warning("the key stays among Triton's arguments, where every user of this machine can read it: %s", error)
        return False
