"""Protects Triton so that only the agent can load models, with a key made at each start.

Who can load a model can run Python as Triton's user. With the options of `fenced` Triton takes models, shared
memory, trace and log settings from the agent alone, and nothing over HTTP.

Triton takes the key as an argument only, and every user of the machine can read the arguments of a process. So the
agent overwrites the key in Triton's memory as soon as Triton has read it. Where only the agent's user needs Triton, it
listens at a socket file that only this user can open.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

REPOSITORY_KEY: Final = "dance"
"""The name of the key in `--grpc-restricted-protocol=model-repository:dance=KEY`."""
RESTRICTED: Final = "model-repository,shared-memory,trace,logging"
"""The parts of Triton's gRPC service that ask for the key. Drawing, health and statistics are open."""

# The fields of /proc/PID/stat behind the name, which may hold spaces: see proc(5), arg_start and arg_end.
_ARGUMENTS_START, _ARGUMENTS_END = 45, 46


def fresh_key() -> str:
    """A random key of 64 hexadecimal digits."""
    return secrets.token_hex(32)


def fenced(key: str) -> tuple[str, ...]:
    """Options for `tritonserver`: no HTTP service, which cannot ask for a key everywhere, and the `key` for gRPC."""
    return ("--allow-http=false", f"--grpc-restricted-protocol={RESTRICTED}:{REPOSITORY_KEY}={key}")


def key_header(key: str) -> dict[str, str] | None:
    """The header that shows the key to Triton; None for an empty one."""
    return {f"triton-grpc-protocol-{REPOSITORY_KEY}": key} if key else None


def hide(pid: int, key: str) -> bool:
    """Overwrites `key` among the arguments of a child that has read them. Returns whether they are without it now.

    Until then, some tenths of a second after the start, every user of this machine can read it there.
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
