"""`python -m tests.secluded REPORT COMMAND...`: runs a command without a network and reports its network use.

The command runs in its own Linux namespaces, which unprivileged users may create. Loopback is the only interface, and
the only name server replies that no name exists. The JSON report lists the names that any process looked up, and
the number of packets that could not be routed. The exit code is the command's.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SET_FLAGS, _UP_AND_RUNNING = 0x8914, 0x41  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
_NAMESPACES = (
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)


@dataclass(frozen=True)
class Wanted:
    """A command's attempts to use the network. code: its exit code. said: its output.

    names: looked up in DNS. packets: how many could not be routed, because their address is not on this machine.
    """

    code: int
    said: str
    names: list[str]
    packets: int


def why_not() -> str:
    """Return why this machine cannot isolate a command; empty if it can."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return "network namespaces need Linux and util-linux's unshare"
    tried = subprocess.run([*_NAMESPACES, "true"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"no namespaces for this user: {tried.stderr.strip()}"


def secluded(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout_seconds: float = 120
) -> Wanted:
    """Run a command without a network. Its child processes end with it, even after a time-out."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        words = [*_NAMESPACES, sys.executable, "-m", "tests.secluded", report.name, *command]
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parent.parent,
            env=None if environment is None else dict(environment),
            timeout=timeout_seconds,
        )
        text = Path(report.name).read_text()
    said = done.stdout + done.stderr
    if not text:
        raise AssertionError(f"the command wrote no report:\n{said}")
    found = json.loads(text)
    return Wanted(done.returncode, said, found["names"], found["packets"])


def main(report: str, command: Sequence[str]) -> int:
    """Run the command; called inside the namespaces."""
    _loopback_up()
    with tempfile.NamedTemporaryFile("w", suffix=".resolv") as resolver:
        resolver.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        resolver.flush()
        subprocess.run(["mount", "--bind", resolver.name, "/etc/resolv.conf"], check=True)
        names: list[str] = []
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))
        threading.Thread(target=_answer, args=(server, names), daemon=True).start()
        before = _lost_packets()
        code = subprocess.run(command, check=False).returncode
        Path(report).write_text(json.dumps({"names": names, "packets": _lost_packets() - before}))
    return code


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh", b"lo", _UP_AND_RUNNING))


def _answer(server: socket.socket, names: list[str]) -> None:
    while True:
        query, sender = server.recvfrom(4096)
        labels, place = [], 12
        while query[place]:
            labels.append(query[place + 1 : place + 1 + query[place]].decode(errors="replace"))
            place += 1 + query[place]
        names.append(".".join(labels))
        no_such_name = b"\x81\x83"
        server.sendto(query[:2] + no_such_name + b"\0\1" + bytes(6) + query[12 : place + 5], sender)


def _lost_packets() -> int:
    """Read this namespace's kernel counters of packets without a route."""
    rows = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Ip:")]
    lost = int(dict(zip(*rows, strict=True))["OutNoRoutes"])
    for line in Path("/proc/net/snmp6").read_text().splitlines() if Path("/proc/net/snmp6").exists() else ():
        name, value = line.split()
        lost += int(value) if name == "Ip6OutNoRoutes" else 0
    return lost


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
